"""What becomes of each document: what shall be beside what is, before any order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from stackr.planner.change.diff import field_changes
from stackr.planner.change.slot import Verdict
from stackr.planner.plan.model import FieldChange, Origin
from stackr.planner.workloads.dialect import Dialect, Rendered
from stackr.planner.workloads.document import HASH_DIGITS, key_of, plain_labels
from stackr.runtime import labels
from stackr.runtime.workloads import Document, DocumentKind, Observation, ObservedDocument

__all__ = ["Recorded", "VerdictOf", "Verdicts", "compare", "is_same"]

Recorded = Mapping[tuple[DocumentKind, str], Document]
"""The documents of the last applied revision, by kind and name; {} where none is known."""

_OUTSIDE = "changed outside stackr"


@dataclass(frozen=True, slots=True)
class VerdictOf:
    """One document. wanted: as it shall be sent. found: what is there of it, if anything.

    A RECREATE is a removal and a creation: of a network under another name, beside the old one.
    """

    verdict: Verdict
    wanted: Document
    found: ObservedDocument | None = None
    cause: str = ""
    fields: tuple[FieldChange, ...] = ()
    origin: Origin = Origin.FILE
    replaces_tasks: bool = False


@dataclass(frozen=True, slots=True)
class Verdicts:
    """wanted: by kind and then as rendered. obsolete: what the stack file does not account for.

    names: of networks that have another name than the stack file gives them, by that name.
    """

    wanted: tuple[VerdictOf, ...]
    obsolete: tuple[ObservedDocument, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def of_kind(self, *kinds: DocumentKind) -> Iterator[VerdictOf]:
        return (each for each in self.wanted if each.wanted.kind in kinds)


def compare(
    rendered: Rendered,
    observation: Observation,
    dialect: Dialect,
    *,
    recorded: Recorded | None = None,
    digests: Mapping[str, str] | None = None,
    never: bool = False,
) -> Verdicts:
    """digests: what image references have in their registry now, of those that were asked for.

    never: what exists stays as it is, changed or not.
    """
    judge = _Judge(observation, dialect, recorded or {}, digests or {}, never=never)
    networks = [judge.network(each) for each in rendered.of_kind(DocumentKind.NETWORK)]
    names = dict(judge.names)
    files = [
        judge.plain(each) for each in rendered.of_kind(DocumentKind.CONFIG, DocumentKind.SECRET)
    ]
    services = [
        judge.service(dialect.renamed(each, names), rendered.images.get(each.name, ""))
        for each in rendered.of_kind(DocumentKind.SERVICE)
    ]
    kept = {
        (each.wanted.kind, each.found.id)
        for each in (*networks, *files, *services)
        if each.found is not None and not _is_left(each)
    }
    obsolete = tuple(each for each in observation.documents if (each.kind, each.id) not in kept)
    return Verdicts((*networks, *files, *services), obsolete, names)


def _is_left(verdict: VerdictOf) -> bool:
    """A network that another one replaces is one more that nobody needs."""
    return verdict.verdict is Verdict.RECREATE and verdict.wanted.kind is DocumentKind.NETWORK


def is_same(one: Document, other: Document) -> bool:
    """Whether two documents in normal form mean the same; what they hold shows in their names."""
    return one.spec == other.spec and plain_labels(one.labels) == plain_labels(other.labels)


class _Judge:
    def __init__(
        self,
        observation: Observation,
        dialect: Dialect,
        recorded: Recorded,
        digests: Mapping[str, str],
        *,
        never: bool,
    ) -> None:
        self._observation, self._dialect = observation, dialect
        self._recorded, self._digests, self._never = recorded, digests, never
        self._by_name = {(each.kind, each.name): each for each in observation.documents}
        self.names: dict[str, str] = {}

    def plain(self, wanted: Document) -> VerdictOf:
        """A config or secret: only its labels can change."""
        found = self._by_name.get((wanted.kind, wanted.name))
        return self._absent(wanted) if found is None else self._compared(wanted, found)

    def network(self, wanted: Document) -> VerdictOf:
        """One that means the same, under whichever name; else a new one, as none can change."""
        candidates = [*self._networks(wanted)]
        for found in candidates:
            if is_same(wanted, self._normal(found, wanted)) or self._never:
                self._call(wanted.name, found.name)
                return VerdictOf(Verdict.KEEP, replace(wanted, name=found.name), found)
        if not candidates:
            return self._absent(wanted)
        taken = {each.name for each in self._observation.documents}
        name = wanted.name
        if name in taken:
            name = f"{wanted.name}-{wanted.hash[:HASH_DIGITS]}"
        self._call(wanted.name, name)
        judged = self._compared(replace(wanted, name=name), candidates[0])
        return replace(judged, verdict=Verdict.RECREATE)

    def _networks(self, wanted: Document) -> Iterable[ObservedDocument]:
        networks = (n for n in self._observation.documents if n.kind is DocumentKind.NETWORK)
        same = [n for n in networks if n.name == wanted.name or key_of(n) == wanted.key]
        return sorted(same, key=lambda network: (network.name != wanted.name, network.name))

    def _call(self, old: str, new: str) -> None:
        if old != new:
            self.names[old] = new

    def service(self, wanted: Document, reference: str) -> VerdictOf:
        found = self._by_name.get((wanted.kind, wanted.name))
        fresh = self._dialect.pinned(wanted, _at(reference, self._digests.get(reference, "")))
        if found is None:
            return replace(self._absent(wanted), wanted=fresh)
        if self._never:
            return VerdictOf(Verdict.KEEP, wanted, found)
        judged = self._compared(wanted, found)
        if any(each.path == "image" for each in judged.fields):
            return replace(judged, wanted=fresh)
        image = self._dialect.image_of(found)
        moved = self._moved(reference, image)
        if moved is not None:
            return _with_field(replace(judged, wanted=fresh), moved)
        return replace(judged, wanted=self._dialect.pinned(wanted, image))

    def _moved(self, reference: str, image: str) -> FieldChange | None:
        """The same reference has another digest in its registry now, or had one at its time."""
        written, old = reference.partition("@")[2], image.partition("@")[2]
        new = written or self._digests.get(reference, "")
        if not new or not old or new == old:
            return None
        if written:
            return FieldChange("image", old, new, note="another digest of the same name")
        note = "moved at its registry"
        return FieldChange("image", old, new, note=note, origin=Origin.DRIFT)

    def _absent(self, wanted: Document) -> VerdictOf:
        if (wanted.kind, wanted.name) in self._recorded:
            cause, origin = "it was removed outside stackr", Origin.DRIFT
        else:
            cause, origin = f"no existing {wanted.kind.value}", Origin.FILE
        return VerdictOf(Verdict.CREATE, wanted, None, cause, origin=origin)

    def _normal(self, found: ObservedDocument, wanted: Document) -> Document:
        return self._dialect.normal(found, self._observation.names, wanted)

    def _compared(self, wanted: Document, found: ObservedDocument) -> VerdictOf:
        normal = self._normal(found, wanted)
        if is_same(wanted, normal):
            return VerdictOf(Verdict.KEEP, wanted, found)
        fields = self._fields(wanted, normal, found)
        is_fixed = self._dialect.is_fixed(normal, wanted)
        makes_tasks = any(self._dialect.replaces_tasks(each.path) for each in fields)
        is_service = wanted.kind is DocumentKind.SERVICE
        is_drift = bool(fields) and all(each.origin is Origin.DRIFT for each in fields)
        return VerdictOf(
            Verdict.RECREATE if is_fixed else Verdict.UPDATE,
            wanted,
            found,
            _cause(fields),
            fields,
            Origin.DRIFT if is_drift else Origin.FILE,
            replaces_tasks=is_service and (is_fixed or makes_tasks),
        )

    def _fields(
        self, wanted: Document, normal: Document, found: ObservedDocument
    ) -> tuple[FieldChange, ...]:
        now, then = self._dialect.attributes(wanted), self._dialect.attributes(normal)
        fields = field_changes(then, now)
        if not fields:  # what people read is the same, what the engine has is not
            fields = (FieldChange("spec", dict(normal.spec), dict(wanted.spec)),)
        is_untouched = found.labels.get(labels.DOCUMENT_HASH) == wanted.labels.get(
            labels.DOCUMENT_HASH
        )
        before = self._recorded.get((wanted.kind, wanted.name))
        from_file: set[str] | None = None
        if before is not None:
            changed = field_changes(self._dialect.attributes(before), now)
            from_file = {each.path for each in changed}
        return tuple(
            replace(
                each,
                forces_recreate=self._dialect.replaces_tasks(each.path),
                origin=Origin.DRIFT if is_drift else Origin.FILE,
                note=_OUTSIDE if is_drift else "",
            )
            for each in fields
            for is_drift in (_is_drift(each.path, from_file, is_untouched=is_untouched),)
        )


def _is_drift(path: str, from_file: set[str] | None, *, is_untouched: bool) -> bool:
    """Whether somebody changed an attribute, rather than the file since the last revision.

    from_file: the attributes that the file has changed since then, None for unknown.
    is_untouched: the document was last written by this very stack file.
    """
    if from_file is None:
        return is_untouched
    return not any(_overlap(path, each) for each in from_file)


def _overlap(one: str, other: str) -> bool:
    """Whether one of two paths is the other, or above it."""
    return one == other or any(
        longer.startswith((f"{shorter}.", f"{shorter}["))
        for shorter, longer in ((one, other), (other, one))
    )


def _at(reference: str, digest: str) -> str:
    """The reference with its digest, where one is known."""
    return f"{reference}@{digest}" if digest and "@" not in reference else reference


def _with_field(judged: VerdictOf, change: FieldChange) -> VerdictOf:
    fields = tuple(sorted((*judged.fields, change), key=lambda each: each.path))
    if judged.verdict is Verdict.KEEP:
        judged = replace(judged, verdict=Verdict.UPDATE, origin=change.origin)
    return replace(judged, fields=fields, cause=_cause(fields), replaces_tasks=True)


def _cause(fields: Iterable[FieldChange]) -> str:
    fields = tuple(fields)
    tops = dict.fromkeys(each.path.partition(".")[0].partition("[")[0] for each in fields)
    is_drift = bool(fields) and all(each.origin is Origin.DRIFT for each in fields)
    is_moved = any(each.note and each.note != _OUTSIDE for each in fields)
    outside = " outside stackr" if is_drift and not is_moved else ""
    return f"{', '.join(tops)} changed{outside}"
