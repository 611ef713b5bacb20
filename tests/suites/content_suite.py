"""What every content store has to do; plain functions over a factory that reopens it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from oci_builder import digest_of

from stackr.errors import InvalidArgument, NotFound
from stackr.registry.digest import DigestMismatch
from stackr.runtime.engine.image.content import ContentStore

Factory = Callable[[], ContentStore]

DATA = os.urandom(100_000)
DIGEST = digest_of(DATA)


def a_blob_is_written_and_read(factory: Factory) -> None:
    store = factory()
    assert not store.has(DIGEST)
    store.write(DATA, digest=DIGEST)
    store.write(DATA, digest=DIGEST)
    assert (store.has(DIGEST), store.size(DIGEST), store.read(DIGEST)) == (True, len(DATA), DATA)
    assert factory().digests() == [DIGEST]


def what_is_missing_is_not_found(factory: Factory) -> None:
    store = factory()
    with pytest.raises(NotFound):
        store.read(DIGEST)
    with pytest.raises(NotFound):
        store.size(DIGEST)
    assert store.withdraw([DIGEST]) == []


def digests_are_not_paths(factory: Factory) -> None:
    store = factory()
    for bad in ("", "sha256:", "sha256:../../x", "../x", "sha256:" + "A" * 64, "md5:" + "0" * 32):
        with pytest.raises(InvalidArgument, match="not a sha256 digest"):
            store.has(bad)


def an_interrupted_ingest_is_taken_up(factory: Factory) -> None:
    first = factory().ingest(DIGEST)
    first.resume()
    first.write(DATA[:60_000])
    first.close()
    store = factory()
    assert not store.has(DIGEST)
    second = store.ingest(DIGEST)
    second.resume()
    assert second.offset == 60_000
    second.write(DATA[60_000:])
    second.commit()
    second.close()
    assert store.read(DIGEST) == DATA


def wrong_content_is_refused_and_gone(factory: Factory) -> None:
    store = factory()
    with pytest.raises(DigestMismatch):
        store.write(b"other", digest=DIGEST)
    ingest = store.ingest(DIGEST)
    ingest.write(b"other")
    with pytest.raises(DigestMismatch, match=f"got {digest_of(b'other')} in 5 bytes"):
        ingest.commit()
    ingest.close()
    again = store.ingest(DIGEST)
    again.resume()
    assert again.offset == 0
    again.close()
    assert store.digests() == []


def an_ingest_starts_over(factory: Factory) -> None:
    store = factory()
    ingest = store.ingest(DIGEST)
    ingest.write(b"wrong start")
    ingest.restart()
    ingest.write(DATA)
    ingest.commit()
    ingest.close()
    assert store.read(DIGEST) == DATA


def a_withdrawn_blob_is_gone_at_once(factory: Factory) -> None:
    store = factory()
    store.write(DATA, digest=DIGEST)
    (aside,) = store.withdraw([DIGEST])
    assert not store.has(DIGEST)
    assert aside.read_bytes() == DATA
    store.write(DATA, digest=DIGEST)
    assert store.read(DIGEST) == DATA


def only_old_and_unneeded_blobs_are_abandoned(factory: Factory) -> None:
    store = factory()
    store.write(DATA, digest=DIGEST)
    assert store.abandoned(frozenset()) == []
    os.utime(store.path(DIGEST), (0, 0))
    assert store.abandoned(frozenset([DIGEST])) == []
    assert store.abandoned(frozenset()) == [DIGEST]
    os.utime(store.path(DIGEST), (2**33, 2**33))  # a clock that was put back
    assert store.abandoned(frozenset()) == [DIGEST]


def a_partial_blob_is_abandoned_and_withdrawn_too(factory: Factory) -> None:
    store = factory()
    ingest = store.ingest(DIGEST)
    ingest.write(DATA[:1])
    ingest.close()
    assert store.abandoned(frozenset()) == []
    assert store.abandoned(frozenset(), kept_s=0) == [DIGEST]
    (aside,) = store.withdraw([DIGEST])
    assert aside.read_bytes() == DATA[:1]
    assert store.abandoned(frozenset(), kept_s=0) == []


CHECKS = (
    a_blob_is_written_and_read,
    what_is_missing_is_not_found,
    digests_are_not_paths,
    an_interrupted_ingest_is_taken_up,
    wrong_content_is_refused_and_gone,
    an_ingest_starts_over,
    a_withdrawn_blob_is_gone_at_once,
    a_partial_blob_is_abandoned_and_withdrawn_too,
    only_old_and_unneeded_blobs_are_abandoned,
)
