"""Fixtures for scenarios: `stackr`, `docker` and `docker compose` against one private engine."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peer import DOCKERD, EMBEDDED, Peer, dockerd_beside
from stackr_stack import Stack

from stackr.runtime.engine.config import EngineConfig

Docker = Callable[..., subprocess.CompletedProcess[str]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is marked `peers` runs on dockerd, too, with `--dockerd` or where it says "always"."""
    mark = metafunc.definition.get_closest_marker("peers")
    if mark is None or "peer" not in metafunc.fixturenames:
        return
    if mark.kwargs.get("always") or metafunc.config.getoption("dockerd"):
        metafunc.parametrize("peer", [EMBEDDED, DOCKERD], indirect=True, scope="session")


@pytest.fixture(scope="session")
def peer(request: pytest.FixtureRequest) -> Peer:
    """The engine that Docker's clients are tried on: stackr's, or dockerd."""
    if getattr(request, "param", EMBEDDED) == EMBEDDED:
        return Peer(EMBEDDED, request.getfixturevalue("engine").socket)
    found: Peer = request.getfixturevalue("dockerd_peer")
    return found


@pytest.fixture(scope="session")
def dockerd_peer(registry_folder: Path, registry: str) -> Iterator[Peer]:
    with dockerd_beside(registry_folder, registry) as found:
        yield found


@pytest.fixture(autouse=True)
def _unlike_dockerd(request: pytest.FixtureRequest) -> None:
    """What is meant to differ, or newer than Debian's dockerd, is not tried there."""
    mark = request.node.get_closest_marker("unlike_dockerd")
    callspec = getattr(request.node, "callspec", None)
    if mark is not None and callspec is not None and callspec.params.get("peer") == DOCKERD:
        pytest.skip(mark.args[0])


@pytest.fixture
def docker_host(peer: Peer) -> dict[str, str]:
    """An environment in which Docker's clients use the engine that they are tried on."""
    return {**os.environ, "DOCKER_HOST": f"unix://{peer.socket}", "DOCKER_CLI_HINTS": "0"}


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
    """The test image, present in the engine."""
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
