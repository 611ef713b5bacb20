"""Fixtures for scenarios: `stackr`, `docker` and `docker compose` against one private engine."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stackr_stack import Stack

from stackr.runtime.engine.config import EngineConfig

Docker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def docker(docker_host: dict[str, str]) -> Docker:
    """Run one `docker` command; fails the test where the exit code is not `want`."""

    def run(
        *arguments: str, want: int = 0, stdin: str = "", timeout_s: float = 180
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", *arguments],
            env=docker_host,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        shown = f"docker {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == want, shown
        return done

    return run


@pytest.fixture
def pulled(docker: Docker, busybox_image: str) -> str:
    """The test image, present in the shared engine."""
    docker("pull", "-q", busybox_image)
    return busybox_image


@pytest.fixture
def name(docker: Docker) -> Iterator[str]:
    """A container's name of this test alone; whatever has it is removed afterwards."""
    chosen = f"t-{uuid.uuid4().hex[:8]}"
    yield chosen
    docker("rm", "-f", "-v", chosen)


@pytest.fixture
def stack(engine: EngineConfig, tmp_path: Path, pulled: str) -> Iterator[Stack]:
    """The installed `stackr`, in a folder of its own; `IMAGE` is the test image.

    Whatever the test brings up is taken down afterwards, and nothing of the project may be left.
    """
    yield from _stack(engine, tmp_path, pulled)


@pytest.fixture(scope="module")
def standing(
    engine: EngineConfig, tmp_path_factory: pytest.TempPathFactory, busybox_image: str
) -> Iterator[Stack]:
    """The same for a whole module, whose tests leave it as they find it."""
    yield from _stack(engine, tmp_path_factory.mktemp("standing"), busybox_image)


def _stack(engine: EngineConfig, folder: Path, image: str) -> Iterator[Stack]:
    made = Stack(folder, engine)
    made.environ["IMAGE"] = image
    yield made
    made.end()
    made("down", "-v", "-t", "0", "--remove-orphans", "-p", made.name)
    assert made.containers() == {}
