"""What the phases of one load share: options, environment, the files read, problems, warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stackr.spec.files import HOST, Files, Metered
from stackr.spec.foreign import foreign
from stackr.spec.paths import Base
from stackr.spec.positions import Place, Sources
from stackr.spec.problems import Problems, refuse
from stackr.spec.rules import Path as KeyPath
from stackr.spec.rules import show
from stackr.spec.source import MAX_BYTES, BadSource, Budget, Document, documents
from stackr.spec.syntax import advise
from stackr.text import unicode

MAX_FILES = 1000


@dataclass(frozen=True)
class LoadOptions:
    """What to load, and how far to resolve it.

    files: paths, or "-" for standard input; () to look for one. project_directory: what relative
    paths start at; the first file's folder if None. profiles: "*" for all; () for those of
    COMPOSE_PROFILES. env_files: () for COMPOSE_ENV_FILES, else `.env`. services: only these and
    what they depend on; () for all. all_resources: keep what no service uses.
    """

    files: tuple[str, ...] = ()
    project_directory: str | None = None
    project_name: str | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    check_consistency: bool = True
    all_resources: bool = False


class SourceFile(NamedTuple):
    """A stack file that has been read; `name` is its absolute path, or "-"."""

    name: str
    documents: tuple[Document, ...]


class Session:
    """One load; everything that it reads comes from `files`."""

    def __init__(
        self, options: LoadOptions, environ: Mapping[str, str], cwd: Path, files: Files = HOST
    ) -> None:
        self.files = Metered(files)
        self.budget = Budget()
        self.options = options
        self.environ = {unicode(name): unicode(value) for name, value in environ.items()}
        self.cwd = cwd
        self.sources = Sources(str(cwd))
        self.problems = Problems(self.sources)
        self._warnings: dict[str, None] = {}
        self._unset_warnings: dict[str, str] = {}
        self.unset: set[str] = set()
        self.env_files: list[list[str]] = []
        """Those of the project's variables: of groups that are read one after the other, the first
        counts, of files in a group the last."""
        self._files_read = 0

    @property
    def home(self) -> str | None:
        """The user's home folder, by the environment."""
        return self.environ.get("HOME") or None

    def base(self, folder: str) -> Base:
        """What relative paths start at, with the user's home and this load's files."""
        return Base(folder, self.home, self.files, [])

    def warn(self, message: str) -> None:
        """Note a warning, once."""
        self._warnings[message] = None

    @property
    def warnings(self) -> list[str]:
        """What has been noted, in order; of variables, with the first place that uses them."""
        return [self._placed(text) for text in self._warnings]

    def warn_unset(self, name: str) -> None:
        """Note that a variable is not set and has no default."""
        self.unset.add(name)
        self._unset_warnings[_unset_text(name)] = name
        self.warn(_unset_text(name))

    def _placed(self, warning: str) -> str:
        name = self._unset_warnings.get(warning)
        place = self.sources.find_variable(name) if name is not None else None
        if place is None:
            return warning
        shown = self.sources.relative(place)
        return f"{shown}: {warning} ${{{name}:-WORD}} gives it a default"

    def warn_boolean(self, value: str) -> None:
        """Note a boolean in a spelling that YAML 1.2 does not have."""
        meant = "true" if value.lower() in ("y", "yes", "on") else "false"
        self.warn(f'"{value}" for boolean is not supported by YAML 1.2, please use `{meant}`')

    def absolute(self, path: str) -> str:
        """A path that starts at the working folder of this process."""
        return str(self.cwd / path)

    def read(self, name: str) -> SourceFile:
        """Read a stack file; raises InvalidProject for one that is missing or is no YAML."""
        self._files_read += 1
        if self._files_read > MAX_FILES:
            raise refuse(f"{name}: the project has more than {MAX_FILES} files")
        data = self.read_bytes(name)
        self.sources.add(name, data)
        try:
            file = SourceFile(name, tuple(documents(data, self.budget)))
            self._refuse_foreign(file)
            self.sources.layers.reset(
                name, [path for document in file.documents for path in document.resets]
            )
            return file
        except BadSource as error:
            advice = advise(data, error.message, error.line, error.column)
            at = advice or error
            place = Place(name, at.line + 1, at.column + 1)
            hint = advice.hint if advice is not None else None
            self.problems.add(error.path, error.message, hint=hint, place=place)
            self.problems.check()
            raise

    def _refuse_foreign(self, file: SourceFile) -> None:
        """Raises InvalidProject for a file of another tool, in one line instead of many."""
        for document in file.documents:
            if found := foreign(document.value):
                place = self.sources.find_in(file.name, (found.key,), at_key=True)
                message = f"this is {found.what}, not a stack file"
                hint = f'{found.hint}; a stack file has "services"'
                self.problems.add((), message, hint=hint, place=place)
                self.problems.check()

    def read_bytes(self, name: str) -> bytes:
        """What is in a file; at most so much that it is seen to be too large."""
        try:
            return self.files.read(name, MAX_BYTES + 1)
        except OSError as error:
            reason = error.strerror or str(error)
            raise refuse(f"open {name}: {reason[:1].lower()}{reason[1:]}") from error

    def fail(self, path: KeyPath, message: str, *, hint: str | None = None) -> None:
        """Stop with a problem, and those noted before it."""
        self.problems.add(path, message, hint=hint)
        self.problems.check()

    def report(self, faults: list[tuple[KeyPath, str]]) -> None:
        """Note what a phase found."""
        for path, message in faults:
            self.problems.add(path, message)

    def report_warnings(self, warnings: list[tuple[KeyPath, str]]) -> None:
        """Note the warnings of a phase."""
        for path, message in warnings:
            self.warn(f"{show(path)}: {message}")


def _unset_text(name: str) -> str:
    return f'The "{name}" variable is not set. Defaulting to a blank string.'
