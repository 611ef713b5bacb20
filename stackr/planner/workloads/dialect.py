"""What the plan has to know of one engine's documents, as one Protocol. All of it is pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from stackr.runtime.workloads import (
    Document,
    DocumentKind,
    ObservedDocument,
    WorkloadCapabilities,
)
from stackr.spec.model.project import Project

__all__ = ["Dialect", "Need", "Rendered"]


@dataclass(frozen=True, slots=True)
class Need:
    """What must be true of another document before this one is made.

    required: else it may fail. restart: its tasks are made anew when the other's are.
    """

    name: str
    condition: str
    required: bool = True
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A stack file as documents.

    documents: networks, configs, secrets, then services; each kind by key. needs: by a service
    document's name, those of others that it waits for. uses: by a service document's name, the
    names of the other documents that its spec names. external: what must be there already, with
    the path where the file says so. images: by a service document's name, the reference.
    """

    project: Project
    documents: tuple[Document, ...] = ()
    needs: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    external: tuple[tuple[DocumentKind, str, str], ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    jobs: frozenset[str] = frozenset()
    """The names of service documents whose tasks end."""

    def of_kind(self, *kinds: DocumentKind) -> tuple[Document, ...]:
        return tuple(document for document in self.documents if document.kind in kinds)


class Dialect(Protocol):
    """How one engine is told what a stack file says."""

    name: str

    def render(self, project: Project, capabilities: WorkloadCapabilities) -> Rendered:
        """Raises InvalidProject with all that this engine cannot do, each with its place."""
        ...

    def refusals(
        self, project: Project, capabilities: WorkloadCapabilities
    ) -> list[tuple[str, str]]:
        """Path and reason of what `render` refuses, apart from what `spec.support` knows."""
        ...

    def unwritten(self, project: Project) -> list[tuple[str, str, str]]:
        """What means another thing where the file says nothing: path, on one host, here."""
        ...

    def normal(
        self,
        observed: ObservedDocument,
        names: Mapping[str, str],
        wanted: Document | None = None,
    ) -> Document:
        """An observed document in the form that `render` gives; equal meaning is equal.

        Its hash is made of that, whatever its label says. names: by ID, see `Observation`. wanted:
        what it is compared with, for what only that can tell.
        """
        ...

    def attributes(self, document: Document) -> dict[str, Any]:
        """A normal document in the stack file's words, for people: no difference is lost."""
        ...

    def renamed(self, document: Document, names: Mapping[str, str]) -> Document:
        """A service that refers to other documents by other names: old name -> new one."""
        ...

    def uses(self, document: Document) -> frozenset[str]:
        """The names of the other documents that a service's spec names."""
        ...

    def volumes(self, observed: ObservedDocument, project: str) -> frozenset[str]:
        """The names of the stack's volumes that an observed service's tasks leave on nodes."""
        ...

    def pinned(self, document: Document, image: str) -> Document:
        """A service of this very image."""
        ...

    def image_of(self, observed: ObservedDocument) -> str:
        """The image that an observed service runs, with its digest if it has one."""
        ...

    def replaces_tasks(self, path: str) -> bool:
        """Whether a change of an attribute makes new tasks; else the old ones stay."""
        ...

    def is_fixed(self, old: Document, new: Document) -> bool:
        """Whether the engine cannot make one of the other by an update."""
        ...
