"""A revision as a cluster keeps it: what it says of itself, and every document that was written.

Documents are kept as they were sent, contents left out: what they held is in configs and secrets
whose names say it, and which stay as long as a revision names them. So going back needs no file.
Pure.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, field, fields
from typing import Any

from stackr.planner.observe.revision import REVISION_VERSION, Revision
from stackr.planner.workloads.compare import Recorded
from stackr.planner.workloads.dialect import Dialect, Need, Rendered
from stackr.planner.workloads.document import key_of
from stackr.runtime import labels
from stackr.runtime.workloads import (
    Document,
    DocumentKind,
    Observation,
    ObservedDocument,
    RevisionRecord,
)
from stackr.spec.model.project import Project
from stackr.text import parse_json

__all__ = [
    "KeptRevision",
    "as_observed",
    "images_of",
    "kept_names",
    "record_of",
    "recorded",
    "returning",
    "revision_in",
]

_MAX_BYTES = 64 << 20
_APPLIED, _NEWER, _DAMAGED = "applied", "newer", "damaged"
_PARTS = (DocumentKind.CONFIG, DocumentKind.SECRET)


@dataclass(frozen=True, slots=True)
class KeptRevision:
    """revision: of which `archive` is the resolved project. documents: without contents.

    needs: by a service document's name, what it waits for. jobs: names of those that end.
    """

    revision: Revision
    documents: tuple[Document, ...] = ()
    needs: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)
    jobs: frozenset[str] = frozenset()


def record_of(project: str, kept: KeptRevision) -> RevisionRecord:
    document = {
        "version": REVISION_VERSION,
        "revision": asdict(kept.revision),
        "documents": [_document_json(each) for each in kept.documents],
        "needs": {name: [astuple(n) for n in all_of] for name, all_of in kept.needs.items()},
        "jobs": sorted(kept.jobs),
    }
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    outside = {
        labels.REVISION_STATUS: kept.revision.status,
        labels.REVISION_USES: " ".join(sorted(_parts_of(kept))),
    }
    content = zlib.compress(text.encode(), 9)
    return RevisionRecord(project, kept.revision.number, content, outside)


def revision_in(record: RevisionRecord) -> KeptRevision:
    """Of a record that cannot be read there is the number, and why."""
    status = _DAMAGED
    try:
        text = zlib.decompressobj().decompress(record.content, _MAX_BYTES)
        value = dict(parse_json(text))
        if value["version"] > REVISION_VERSION:
            status = _NEWER
        else:
            known = {f.name for f in fields(Revision)}
            told = {name: item for name, item in value["revision"].items() if name in known}
            documents = tuple(_document_of(each) for each in value["documents"])
            needs = {
                name: tuple(Need(str(n), str(c), *map(bool, rest)) for n, c, *rest in all_of)
                for name, all_of in value["needs"].items()
            }
            return KeptRevision(Revision(**told), documents, needs, frozenset(value["jobs"]))
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
        pass
    return KeptRevision(Revision(record.number, by="?", action="?", status=status))


def recorded(records: Iterable[RevisionRecord]) -> Recorded:
    """The documents of the newest revision that was applied whole; {} where there is none."""
    for record in sorted(records, key=lambda record: -record.number):
        if record.labels.get(labels.REVISION_STATUS, _APPLIED) != _APPLIED:
            continue  # what its label says needs no look into it
        kept = revision_in(record)
        if kept.revision.status == _APPLIED:
            return {(each.kind, each.name): each for each in kept.documents}
    return {}


def kept_names(records: Iterable[RevisionRecord]) -> frozenset[str]:
    """The configs and secrets that going back to one of these would need."""
    names: set[str] = set()
    for record in records:
        told = record.labels.get(labels.REVISION_USES)
        names |= _parts_of(revision_in(record)) if told is None else set(told.split())
    return frozenset(names)


def _parts_of(kept: KeptRevision) -> set[str]:
    return {document.name for document in kept.documents if document.kind in _PARTS}


def as_observed(observation: Observation, dialect: Dialect) -> tuple[Document, ...]:
    """What a cluster has of a project, as documents that `returning` can go back to."""
    return tuple(dialect.normal(each, observation.names) for each in observation.documents)


def images_of(observation: Observation, dialect: Dialect) -> dict[str, str]:
    """The image that each service runs, with its digest if it has one, by the service's key."""
    services = (each for each in observation.documents if each.kind is DocumentKind.SERVICE)
    return {key_of(each): dialect.image_of(each) for each in services}


def returning(kept: KeptRevision, dialect: Dialect, project: Project) -> Rendered:
    """What was there, as something to reach: each image has the digest that it had then.

    project: the resolved one of that time.
    """
    services = [each for each in kept.documents if each.kind is DocumentKind.SERVICE]
    then = kept.revision.images
    return Rendered(
        project,
        kept.documents,
        kept.needs,
        images={each.name: _image_then(each, dialect, then) for each in services},
        jobs=kept.jobs,
        uses={each.name: dialect.uses(each) for each in services},
    )


def _image_then(document: Document, dialect: Dialect, then: Mapping[str, str]) -> str:
    """What the file said, and the digest that it meant. then: as `images_of`."""
    seen = ObservedDocument(document.kind, document.name, "", 0, document.spec, document.labels)
    reference = dialect.image_of(seen)
    digest = then.get(key_of(seen), "").partition("@")[2]
    return f"{reference}@{digest}" if digest and "@" not in reference else reference


def _document_json(document: Document) -> dict[str, Any]:
    return {
        "kind": document.kind.value,
        "name": document.name,
        "key": document.key,
        "spec": dict(document.spec),
        "labels": dict(document.labels),
        "hash": document.hash,
    }


def _document_of(value: Mapping[str, Any]) -> Document:
    """Raises KeyError, TypeError and ValueError for what is none."""
    return Document(
        kind=DocumentKind(value["kind"]),
        name=str(value["name"]),
        key=str(value["key"]),
        spec=dict(value["spec"]),
        labels={str(k): str(v) for k, v in value["labels"].items()},
        hash=str(value["hash"]),
    )
