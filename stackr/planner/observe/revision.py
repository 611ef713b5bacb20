"""A revision: what a stack was when it was brought up, kept with the engine.

It is the labels of a volume without data: volumes are the only things that every engine keeps for
long and that no command removes unasked. The label holds the resolved stack, without the content
of secrets. It is a record with a version, in `version`; one without is of the first. What only a
newer stackr can read keeps its number and its place, and nobody goes by what else it says. Pure.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pydantic import TypeAdapter

from stackr.errors import Conflict, NotFound
from stackr.planner.observe.observed import Observed
from stackr.runtime import labels
from stackr.runtime.types import VolumeConfig, VolumeState
from stackr.text import parse_json, whole_number

__all__ = [
    "KEPT",
    "REVISION_VERSION",
    "Revision",
    "check_readable",
    "find_revision",
    "had_replicas",
    "last_applied",
    "next_number",
    "outdated",
    "previous",
    "revision_of",
    "revision_volume",
]

KEPT = 20
"""How many revisions a project keeps."""
REVISION_VERSION = 1
_MAX_ENTRY_BYTES = 64 << 20
_NEWER, _DAMAGED = "newer", "damaged"
_END_OF_TIME_S = 253402300800.0  # the year 10000, which no calendar of Python's has


@dataclass(frozen=True, slots=True)
class Revision:
    """number: from 1. at: Unix seconds. by: user@host. action: up, apply, rollback to 3...

    status: applied, failed, undone, or rolled back as an update asked for; newer or damaged where
    it cannot be read. digest: of the stack files. model: of the resolved services. images: service
    -> image ID. digests: service -> repository@digest. replicas: by service. summary: what was
    changed. services: whose containers or images were. commit: of the git work tree that the stack
    file is in, with "+" behind it where it was changed since. archive: the resolved project
    (`stackr.spec.archive`).
    """

    number: int
    at: float = 0
    by: str = ""
    action: str = "up"
    status: str = "applied"
    digest: str = ""
    model: str = ""
    summary: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    services: Sequence[str] = field(default_factory=list)
    commit: str = ""
    archive: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All but the archive."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "archive"}


_KEPT_FORM = TypeAdapter(Revision)


def revision_volume(project: str, revision: Revision) -> VolumeConfig:
    """The volume that keeps a revision of this project."""
    document = {"version": REVISION_VERSION, **asdict(revision)}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    entry = base64.b85encode(zlib.compress(text.encode(), 9)).decode("ascii")
    return VolumeConfig(
        name=f"{project}_stackr-revision-{revision.number}",
        labels={
            labels.HISTORY: project,
            labels.HISTORY_NUMBER: str(revision.number),
            labels.HISTORY_ENTRY: entry,
        },
    )


def revision_of(volume: VolumeState) -> Revision | None:
    """The revision that a volume keeps; None where its labels are none of ours.

    Of one that cannot be read there is the number, and why.
    """
    status, value = _DAMAGED, {}
    try:
        value = _decoded(volume.labels.get(labels.HISTORY_ENTRY, ""))
        if _version(value) <= REVISION_VERSION:
            return _checked(_KEPT_FORM.validate_python(value))
        status = _NEWER
    except (ValueError, TypeError, zlib.error):
        pass
    number, at = _number(volume), value.get("at")
    when = at if isinstance(at, float) and 0 <= at < _END_OF_TIME_S else 0
    return Revision(number, when, by="?", action="?", status=status) if number else None


def _checked(revision: Revision) -> Revision:
    """Raises ValueError for numbers that no revision has."""
    if revision.number < 1 or not 0 <= revision.at < _END_OF_TIME_S:
        raise ValueError("out of range")
    return revision


def _decoded(entry: str) -> dict[str, Any]:
    """Raises ValueError, TypeError, zlib.error."""
    inflater = zlib.decompressobj()
    text = inflater.decompress(base64.b85decode(entry), _MAX_ENTRY_BYTES)
    return dict(parse_json(text))


def _version(value: Mapping[str, Any]) -> int:
    version = value.get("version", 1)
    if type(version) is not int or version < 1:
        raise ValueError(f"no version: {version!r}")
    return version


def check_readable(revision: Revision) -> Revision:
    """Raises Conflict for one that cannot be read."""
    if revision.status == _NEWER:
        raise Conflict(
            f"revision {revision.number} was kept by a newer stackr",
            hint="use the stackr that made it, or a newer one",
        )
    if revision.status == _DAMAGED:
        raise Conflict(f"revision {revision.number} is damaged")
    return revision


def had_replicas(observed: Observed, service: str, count: int) -> bool:
    """Whether the newest revision left so many, of a project that was not taken down since."""
    if not observed.history or not (observed.containers or observed.networks):
        return False
    newest = revision_of(max(observed.history.values(), key=_number))
    return newest is not None and count <= newest.replicas.get(service, 0)


def _number(volume: VolumeState) -> int:
    text = volume.labels.get(labels.HISTORY_NUMBER, "")
    return whole_number(text) or 0


def next_number(revisions: Iterable[Revision]) -> int:
    return max((revision.number for revision in revisions), default=0) + 1


def outdated(revisions: Iterable[Revision]) -> list[Revision]:
    """Those that make room for one more; the last applied one always stays."""
    by_number = sorted(revisions, key=lambda revision: revision.number)
    last = last_applied(by_number)
    return [
        revision
        for revision in by_number[: -(KEPT - 1)]
        if revision is not last and revision.status != _NEWER
    ]


def find_revision(revisions: Iterable[Revision], number: int) -> Revision:
    """Raises NotFound for a number that is not kept, and Conflict for one that cannot be read."""
    kept = {revision.number: revision for revision in revisions}
    if number not in kept:
        known = f"{min(kept)} to {max(kept)} are kept" if kept else "none is kept"
        raise NotFound(f"no such revision: {number}", hint=f"{known}: see stackr history")
    return check_readable(kept[number])


def last_applied(revisions: Iterable[Revision]) -> Revision | None:
    applied = [revision for revision in revisions if revision.status == "applied"]
    return max(applied, key=lambda revision: revision.number, default=None)


def previous(revisions: Iterable[Revision]) -> Revision:
    """The last applied revision that is not what is there now, whole or half.

    Raises NotFound where there is none, and Conflict where what is there now cannot be told.
    """
    revisions = list(revisions)
    if revisions:
        check_readable(max(revisions, key=lambda revision: revision.number))
    left = sorted(
        (revision for revision in revisions if revision.status in ("applied", "failed")),
        key=lambda revision: revision.number,
    )
    for revision in reversed(left[:-1]):
        if revision.status == "applied" and _essence(revision) != _essence(left[-1]):
            return revision
    raise NotFound("there is no earlier revision to go back to", hint="see stackr history")


def _essence(revision: Revision) -> tuple[Any, ...]:
    return revision.archive, revision.images, revision.replicas
