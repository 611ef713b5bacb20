"""pytest: `stackr_env`, an isolated copy of a stack for tests.

    @pytest.mark.stackr("stack.yml", publish=["db:5432"])
    def test_front_page(stackr_env):
        urlopen(stackr_env.url("web", 80))

By default one environment is shared by all tests of a process (with pytest-xdist, of a worker) that
ask for the same; `scope="function"` gives a test one of its own. A test that fails shows what the
containers wrote meanwhile; with `--stackr-artifacts DIR`, all of their output is kept there.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import stackr

__all__ = ["stackr_env"]

_TAIL = 20
_SCOPES = ("session", "function")
_USED: pytest.StashKey[list[tuple[stackr.Environment, float]]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stackr", "environments of containers")
    group.addoption("--stackr-file", metavar="FILE", help="stack file of tests that name none")
    group.addoption("--stackr-engine", metavar="ENGINE", help="engine, as stackr --engine")
    group.addoption("--stackr-artifacts", metavar="DIR", help="where failed tests' logs are kept")
    parser.addini("stackr_file", "stack file of tests that name none, from the root folder")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        'stackr(*files, services=(), publish=(), scale={}, profiles=(), scope="session"): '
        "the environment that stackr_env is",
    )


@dataclass(frozen=True)
class _Wanted:
    """What a test asks for; equal ones share an environment."""

    files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    scale: tuple[tuple[str, int], ...] = ()
    profiles: tuple[str, ...] = ()
    engine: str | None = None
    scope: str = "session"

    @contextlib.contextmanager
    def opened(self) -> Iterator[stackr.Environment]:
        """The environment, in the block; what it cannot be made for fails the test in short."""
        # Tests without an environment do not pay for it.
        import stackr

        with contextlib.ExitStack() as stack:
            try:
                environment = stackr.Environment(
                    *self.files,
                    services=self.services,
                    publish=self.publish,
                    scale=dict(self.scale),
                    profiles=self.profiles,
                    engine=self.engine,
                )
                stack.enter_context(environment)
            except stackr.StackrError as error:
                notes = getattr(error, "__notes__", [error.hint] if error.hint else [])
                pytest.fail("\n".join([str(error), *notes]), pytrace=False)
            yield environment


@dataclass
class _Pool:
    """The environments of a session; a failure to get ready is not tried again."""

    exit: contextlib.ExitStack
    found: dict[_Wanted, stackr.Environment | str] = field(default_factory=dict)

    def take(self, wanted: _Wanted) -> stackr.Environment:
        if wanted not in self.found:
            try:
                self.found[wanted] = self.exit.enter_context(wanted.opened())
            except pytest.fail.Exception as error:
                self.found[wanted] = str(error)
        found = self.found[wanted]
        if isinstance(found, str):
            pytest.fail(found, pytrace=False)
        return found


@pytest.fixture(scope="session")
def _stackr_pool() -> Iterator[_Pool]:
    with contextlib.ExitStack() as stack:
        yield _Pool(stack)


@pytest.fixture
def stackr_env(request: pytest.FixtureRequest, _stackr_pool: _Pool) -> Iterator[stackr.Environment]:
    """An isolated copy of the stack that the mark `stackr` names, ready to be used."""
    wanted = _wanted(request)
    if wanted.scope == "function":
        with wanted.opened() as environment:
            _note(request.node, environment)
            yield environment
        return
    environment = _stackr_pool.take(wanted)
    _note(request.node, environment)
    yield environment


def _note(item: Any, environment: stackr.Environment) -> None:
    item.stash.setdefault(_USED, []).append((environment, time.time()))


def _wanted(request: pytest.FixtureRequest) -> _Wanted:
    """What the nearest mark says; files are looked for beside the test, then from the root."""
    mark = request.node.get_closest_marker("stackr")
    given: Mapping[str, Any] = mark.kwargs if mark is not None else {}
    unknown = set(given) - {"services", "publish", "scale", "profiles", "scope"}
    if unknown or given.get("scope", "session") not in _SCOPES:
        raise pytest.UsageError(f"mark stackr: {', '.join(unknown) or 'scope'}: not known")
    config = request.config
    named = mark.args if mark is not None else ()
    default = config.getoption("--stackr-file") or config.getini("stackr_file")
    files = named or ((str(config.rootpath / default),) if default else ())
    return _Wanted(
        files=tuple(_found(str(file), request) for file in files),
        services=_words(given.get("services", ())),
        publish=_words(given.get("publish", ())),
        scale=tuple(sorted(dict(given.get("scale", {})).items())),
        profiles=_words(given.get("profiles", ())),
        engine=config.getoption("--stackr-engine"),
        scope=given.get("scope", "session"),
    )


def _found(file: str, request: pytest.FixtureRequest) -> str:
    for folder in (request.path.parent, request.config.rootpath):
        if (folder / file).exists():
            return str(folder / file)
    return file


def _words(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.when == "call":
        for environment, since in item.stash.get(_USED, []):
            with contextlib.suppress(Exception):  # the test's own failure counts
                report.sections.append(_section(environment, since))
                _keep(item, environment)
    return report


def _section(environment: stackr.Environment, since: float) -> tuple[str, str]:
    states = [
        f"{each.service}-{each.number}: {each.state}{f', {each.health}' if each.health else ''}"
        for each in environment.containers
    ]
    lines = environment.logs(since=since, tail=_TAIL)
    written = lines or ["(the containers wrote nothing during the test)"]
    return f"stackr {environment.name}", "\n".join([*states, *written])


def _keep(item: pytest.Item, environment: stackr.Environment) -> None:
    folder = item.config.getoption("--stackr-artifacts")
    if not folder:
        return
    own = Path(folder) / re.sub(r"[^\w.-]+", "_", item.nodeid)
    own.mkdir(parents=True, exist_ok=True)
    for service in {each.service for each in environment.containers}:
        text = "\n".join(environment.logs(service))
        (own / f"{service}.log").write_text(f"{text}\n", encoding="utf-8", errors="replace")
