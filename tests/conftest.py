"""Fixtures for every test that needs the real thing; a test that asks for none pays for none.

* `registry`: host:port of a Debian docker-registry on loopback (session).
* `busybox_image`: a reference in it, to a small image with every busybox applet (session).
* `engine`: a private embedded engine, on folders of its own (session); gives its EngineConfig.
* `new_engine`: makes further engines for one test, which stops them and counts what they leave;
  with a size ("8m"), on a disk that is no larger.
* `swarm`: a Swarm of three dockerd, and its registry (session; see `swarm_rig`). All files that use
  it are called test_swarm_*.py, and run in one process.
* `dice`: a random generator of this test; the run's seed is shown, and set by `STACKR_SEED`.

At the end of the session the shared engine is emptied and stopped, and nothing may be left of it.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import log_path

if TYPE_CHECKING:
    from recorded_answers import Verdict

_LOG_CHARS = 20_000
_SEED = "STACKR_SEED"
_RECORD = "STACKR_TEST_RECORD"
_TEST_WARM = "STACKR_TEST_WARM"
_TEST_WARM_FOLDER = "STACKR_TEST_WARM_FOLDER"
_VERDICT: pytest.StashKey[Verdict] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--dockerd",
        action="store_true",
        help="what judges the engine by Docker's clients is tried on a dockerd as well",
    )
    parser.addoption(
        "--described",
        action="store_true",
        help="the engines' answers are held against Docker's API description at the end",
    )


def pytest_configure(config: pytest.Config) -> None:
    """What xdist's workers inherit."""
    if config.getoption("described") and _RECORD not in os.environ:
        os.environ[_RECORD] = tempfile.mkdtemp(prefix="stackr-test-answers-")
        paths = (str(Path(__file__).with_name("recording")), os.environ.get("PYTHONPATH", ""))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    os.environ.setdefault(_SEED, str(secrets.randbelow(10**6)))
    # Commands are run by a warm process, as users have it, of this run alone; or by themselves.
    if os.environ.get(_TEST_WARM, "1") == "0":
        os.environ["STACKR_WARM"] = "0"
    elif _TEST_WARM_FOLDER not in os.environ:
        os.environ[_TEST_WARM_FOLDER] = tempfile.mkdtemp(prefix="stackr-test-warm-")
        os.environ["XDG_RUNTIME_DIR"] = os.environ[_TEST_WARM_FOLDER]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Judge what the engines have answered; the run that made the folder does it."""
    config, folder = session.config, os.environ.get(_RECORD)
    if not config.getoption("described") or folder is None or hasattr(config, "workerinput"):
        return
    from recorded_answers import judge, recorded

    config.stash[_VERDICT] = judge(recorded(Path(folder)))
    if config.stash[_VERDICT].differences and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(folder)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    verdict = config.stash.get(_VERDICT, None)
    if verdict is None:
        return
    found = verdict.differences
    terminalreporter.section(f"not as described: {len(found)}, in {verdict.judged} answers")
    for difference, count in sorted(found.items()):
        terminalreporter.line(f"{count} x {difference}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """The run that made the folder ends its warm processes."""
    folder = os.environ.get(_TEST_WARM_FOLDER)
    if folder is None or hasattr(config, "workerinput"):
        return
    from polling import until

    from stackr.warm.launch import running_servers, stop_servers

    stop_servers()
    until(lambda: not running_servers())
    shutil.rmtree(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadscope`, a file's tests run in one process, for what they share.

    The two engines of one file, which share nothing, may have one each; those of a Swarm share
    it.
    """
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            if "/test_swarm_" in file and not file.startswith("tests/unit/"):
                return "swarm"
            return f"{file}@docker" if "[docker" in test else file

    return ByFile(config, log)


def pytest_report_header() -> str:
    return f"{_SEED}={os.environ[_SEED]}"


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    seed = os.environ[_SEED]
    request.node.add_report_section("setup", "dice", f"{_SEED}={seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture(scope="session")
def registry_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="session")
def registry(registry_folder: Path) -> Iterator[str]:
    import loopback_registry

    with loopback_registry.serve(registry_folder) as address:
        yield address


@pytest.fixture(scope="session")
def busybox_image(registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    import busybox_image as image
    import loopback_registry

    reference = f"{registry}/test/busybox:latest"
    loopback_registry.push(image.busybox_image(), reference, tmp_path_factory.mktemp("busybox"))
    return reference


def _start(folder: Path) -> EngineConfig:
    from stackr.runtime.engine.launch import ensure_running

    # Sockets have paths of at most 107 bytes, and pytest's folders have long names.
    config = EngineConfig.at(folder / "data", folder / "run")
    ensure_running(config)
    return config


def _stop(config: EngineConfig) -> None:
    """Remove every container and network, stop the daemon, and see that nothing is left."""
    import docker
    import leak_census

    from stackr.runtime.engine import control
    from stackr.runtime.engine.launch import ensure_running

    ensure_running(config)
    client = docker.DockerClient(base_url=f"unix://{config.socket}", timeout=60)
    try:
        for container in client.containers.list(all=True, ignore_removed=True):
            with contextlib.suppress(docker.errors.NotFound):  # one that removes itself
                container.remove(force=True, v=True)
        bridges = frozenset(f"sk-{network.id[:12]}" for network in client.networks.list())
        client.networks.prune()
    finally:
        client.close()
    control.stop(config, timeout_s=60)
    leak_census.assert_nothing_left(config, bridges)


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineConfig]:
    with tempfile.TemporaryDirectory(prefix="stackr-test-") as folder:
        config = _start(Path(folder))
        yield config
        _stop(config)


@contextlib.contextmanager
def _disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs of this size, as mount(8) takes it."""
    from small_disk import small_disk

    folder.mkdir(parents=True)
    with small_disk(folder, size):
        yield


@pytest.fixture
def new_engine(request: pytest.FixtureRequest) -> Iterator[Callable[..., EngineConfig]]:
    configs: list[EngineConfig] = []
    with (
        tempfile.TemporaryDirectory(prefix="stackr-test-") as folder,
        contextlib.ExitStack() as disks,
    ):

        def start(disk: str = "") -> EngineConfig:
            root = Path(folder, str(len(configs)))
            if disk:
                disks.enter_context(_disk(root / "data", disk))
            configs.append(_start(root))
            return configs[-1]

        yield start
        for number, config in enumerate(configs):
            try:
                _stop(config)
            finally:
                log = log_path(config).read_text(errors="replace")
                request.node.add_report_section("teardown", f"engine {number}", log[-_LOG_CHARS:])


@pytest.fixture(scope="session")
def swarm() -> Iterator[Any]:
    import swarm_rig

    with swarm_rig.serve() as rig:
        yield rig
