"""The whole stack file, resolved: what `stackr.spec.load.load` returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import PrivateAttr

from stackr.spec import canonical, checks, paths
from stackr.spec.attribute import (
    MODEL_ONLY,
    NAMES,
    OWN,
    At,
    Check,
    IsPath,
    LongForm,
    Mark,
    Since,
    partly,
    refused,
    supported,
    swarm,
)
from stackr.spec.files import HOST, MOST_CONTENT, Files
from stackr.spec.model.base import Model
from stackr.spec.model.extension import Level, ProjectExtension, project_extension
from stackr.spec.model.network import Network
from stackr.spec.model.secret import FileObject
from stackr.spec.model.service import Service
from stackr.spec.model.volume import Volume
from stackr.spec.rules import Path
from stackr.spec.value_source import Provenance


class Position(NamedTuple):
    """A place in a stack file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Isolated:
    """What a project is that is one folder's own copy of a stack.

    name: of the copy. stack: the name that the file gives. folder: the copy is this one's, and
    goes with it. seen: where that is, as `stackr.runtime.labels.SEEN` has it. notes: what the copy
    shares with others.
    """

    name: str
    stack: str
    folder: str
    seen: str = ""
    notes: tuple[str, ...] = ()

    @property
    def project(self) -> str:
        return isolated_project(self.stack, self.name)


def isolated_project(stack: str, name: str) -> str:
    """The project's name of a copy."""
    return f"{stack[:_LONGEST_STACK]}-{name}"


_LONGEST_STACK = 40


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a project comes from.

    typed: its values by section, as `stackr.spec.decode` has them. locate: where a path is
    written. trace: where its value comes from. files: where configs and secrets are read from.
    policy: of the file that `x-stackr` names. digest: of the files that it was loaded from.
    """

    typed: Mapping[str, Any] = field(default_factory=dict)
    locate: Callable[[str], Position | None] = lambda path: None
    trace: Callable[[str | Path], Provenance | None] = lambda path: None
    files: Files = HOST
    policy: dict[str, Level] | None = None
    digest: Callable[[], str] = str

    def __deepcopy__(self, memo: dict[int, Any]) -> "Origin":
        """A copy of a project comes from the same place."""
        return self


_NOWHERE = Origin()


class LanguageModel(Model):
    """A language model of top-level `models`."""

    name: str | None = None
    model: str | None = None
    context_size: int = 0
    runtime_flags: tuple[str, ...] = ()


def _each(*marks: Mark) -> At:
    """What is known of each resource of a section."""
    return At("*", LongForm(canonical.external), *marks)


class Project(Model):
    """A stack: its services that the active profiles enable, and what they use.

    `environment` is what `${...}` was resolved with. `compose_files` are absolute paths, or "-".
    """

    name: Annotated[str, OWN]
    working_dir: Annotated[str, OWN] = ""
    compose_files: Annotated[tuple[str, ...], OWN] = ()
    environment: Annotated[dict[str, str], OWN] = {}
    profiles: Annotated[tuple[str, ...], OWN] = ()
    services: Annotated[dict[str, Service], NAMES] = {}
    disabled_services: Annotated[dict[str, Service], OWN] = {}
    networks: Annotated[
        dict[str, Network],
        NAMES,
        _each(),
        supported("of the driver bridge"),
        swarm(supported("of the driver overlay, where none is named")),
    ] = {}
    volumes: Annotated[
        dict[str, Volume],
        NAMES,
        _each(IsPath(paths.driver_opts), Check(checks.external)),
        supported("of the driver local"),
        swarm(supported("as mounts; each node makes its own")),
    ] = {}
    secrets: Annotated[
        dict[str, FileObject],
        NAMES,
        _each(Check(checks.one_source("file", "environment"))),
        At("*.environment", Since("2.6.0")),
        At(
            "*.content",
            MODEL_ONLY,
            partly("what `environment` names; in a file, for configs alone", lambda value: False),
        ),
        supported("from a file or a variable"),
        swarm(supported("kept by the Swarm, at most 500 KiB")),
    ] = {}
    configs: Annotated[
        dict[str, FileObject],
        NAMES,
        _each(Check(checks.one_source("file", "environment", "content"))),
        At("*.content", Since("2.23.1")),
        At("*.environment", Since("2.23.1")),
        At("*.driver", MODEL_ONLY),
        At("*.driver_opts", MODEL_ONLY),
        supported("from a file, a variable or their content"),
        swarm(supported("kept by the Swarm, at most 1000 KiB")),
    ] = {}
    models: Annotated[dict[str, LanguageModel], refused("no language models are run")] = {}
    warnings: Annotated[tuple[str, ...], OWN] = ()
    isolated: Annotated[Isolated | None, OWN] = None

    _origin: Origin = PrivateAttr(default=_NOWHERE)

    def bind(self, origin: Origin) -> "Project":
        """Say where the project comes from; for who makes it."""
        self._origin = origin
        return self

    @property
    def typed(self) -> Mapping[str, Any]:
        """The typed values that the project was made of; {} for one that is made by hand."""
        return self._origin.typed

    @cached_property
    def stackr(self) -> ProjectExtension:
        """stackr's own extension of the specification, `x-stackr`; its policy file is read."""
        return project_extension(self.extensions, self._origin.policy)

    def read(self, path: str) -> bytes:
        """What is in a file that a config or secret names; of a huge one, the first 64 MiB.

        It comes from where the stack file came from. Raises OSError.
        """
        return self._origin.files.read(path, MOST_CONTENT)

    def read_file(self, path: str, most: int) -> bytes | None:
        """What is in a regular file of at most so many bytes; None for anything else."""
        return self._origin.files.read_file(path, most)

    def digest(self) -> str:
        """The SHA-256 of the files that the project was loaded from, in their order; or ""."""
        return self._origin.digest()

    def provenance(self, path: str | Path) -> Provenance | None:
        """Where the value at `path` comes from: a file, a variable, an env file, a default.

        path: as in "services.web.ports[0]", or its parts, as keys may have dots in them.
        None for a project that no file was loaded for. The files are read again to find out.
        """
        return self._origin.trace(path)

    def position(self, path: str) -> Position | None:
        """Where `path` (as in "services.web.ports[0]") is written; its nearest parent if it is not.

        None for a project that no file was loaded for. The files are read again to find out.
        """
        return self._origin.locate(path)
