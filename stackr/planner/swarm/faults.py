"""What a Swarm cannot do, collected with its places and told all together."""

from __future__ import annotations

from stackr.errors import InvalidProject
from stackr.spec.model.project import Project
from stackr.spec.problems import Problem, invalid_project
from stackr.spec.rules import Path, show

__all__ = ["Faults"]


class Faults:
    """Problems of one project, in the order in which they are found; each once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._found: dict[str, Problem] = {}
        self.reasons: dict[str, str] = {}
        """The first message of each path that was added."""

    def add(self, path: Path, message: str, *, hint: str | None = None) -> None:
        """path: in the stack file."""
        place = self._project.position(show(path))
        where = f"{place}: " if place is not None else ""
        text = f"{where}{show(path)}: {message}"
        self._found.setdefault(text, Problem.of(text, hint=hint, snippet=""))
        self.reasons.setdefault(show(path), message)

    def take(self, problems: list[Problem]) -> None:
        for problem in problems:
            self._found.setdefault(problem, problem)

    def check(self) -> None:
        """Raises InvalidProject with everything found, if there is anything."""
        if self._found:
            raise self.error

    @property
    def error(self) -> InvalidProject:
        return invalid_project([*self._found.values()])
