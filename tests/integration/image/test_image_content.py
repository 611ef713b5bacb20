"""The content store under the suite, and damage on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import content_suite
import pytest
from content_suite import DATA, DIGEST

from stackr.errors import Internal
from stackr.runtime.engine.image.content import ContentStore


@pytest.fixture
def factory(tmp_path: Path) -> Callable[[], ContentStore]:
    def reopen() -> ContentStore:
        store = ContentStore(tmp_path / "content")
        store.open()
        return store

    return reopen


@pytest.mark.parametrize("check", content_suite.CHECKS, ids=lambda check: check.__name__)
def test_suite(
    check: Callable[[Callable[[], ContentStore]], None], factory: Callable[[], ContentStore]
) -> None:
    check(factory)


def test_a_damaged_blob_is_not_served(factory: Callable[[], ContentStore]) -> None:
    store = factory()
    store.write(DATA, digest=DIGEST)
    store.path(DIGEST).chmod(0o600)
    store.path(DIGEST).write_bytes(b"damaged")
    with pytest.raises(Internal, match="damaged on disk"):
        store.read(DIGEST)


def test_what_nobody_can_go_on_with_is_dropped_at_the_start(
    factory: Callable[[], ContentStore], tmp_path: Path
) -> None:
    store = factory()
    ingest = store.ingest(DIGEST)
    ingest.write(b"x")
    ingest.close()
    fd, _ = store.begin()
    os.close(fd)
    factory()
    (partial,) = (tmp_path / "content" / "ingest").iterdir()
    assert partial.name.startswith("sha256-")
