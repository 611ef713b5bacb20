"""Revisions of stacks in a Swarm's configs, where every manager has them, encrypted in its log.

A config holds less than 1000 KiB, so a large revision is in pieces. The head, the first of them,
is written last: what has a head is whole, and whoever writes it has the number. It says by which
digest the others are found; pieces without a head are left by who was cut off, and go with the
number.
Source: swarmkit, manager/controlapi/config.go (size), secret.go (names of at most 64 characters).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stackr.errors import AlreadyExists, NotFound
from stackr.runtime.docker import create
from stackr.runtime.docker.client import Client
from stackr.runtime.labels import HISTORY, REVISION
from stackr.runtime.swarm.refusals import refusals
from stackr.runtime.workloads import RevisionRecord
from stackr.text import whole_number

__all__ = ["forget", "heads_and_pieces", "keep", "listed", "readable_name", "relabel"]

Json = dict[str, Any]

PIECE_BYTES: Final = 900 * 1024
_DIGEST: Final = "io.stackr.revision.digest"
_PIECE: Final = "io.stackr.revision.piece"
_OWN: Final = (HISTORY, REVISION, _DIGEST, _PIECE)
_READABLE: Final = 20


@dataclass(frozen=True, slots=True)
class _Config:
    """A config as the manager has it. piece: from 1, which is the head."""

    id: str
    version: int
    number: int
    piece: int
    digest: str
    data: bytes
    labels: Mapping[str, str]


async def keep(client: Client, record: RevisionRecord) -> None:
    """Raises AlreadyExists where the number is taken."""
    head, *others = _bodies(record)
    made = []
    try:
        for body in others:
            try:
                made.append(await _create(client, body))
            except AlreadyExists:
                continue  # the very same content, of who was cut off
        await _create(client, head)
    except BaseException:
        for id in made:
            await _remove(client, id)
        raise


async def relabel(client: Client, record: RevisionRecord) -> None:
    """Raises NotFound, and Conflict where the labels are others than at `record.version`."""
    for config in await _configs(client, record.project, record.number):
        if config.piece == 1:
            own = {key: value for key, value in config.labels.items() if key in _OWN}
            body = {
                "Name": _name(record.project, record.number),
                "Labels": {**record.labels, **own},
            }
            path, query = f"/configs/{config.id}/update", {"version": record.version}
            with refusals(_what(record.project, record.number)):
                await client.call("POST", path, query=query, body=body)
            return
    raise NotFound(f"{_what(record.project, record.number)}: not found")


async def forget(client: Client, project: str, number: int) -> None:
    """The head goes first: what follows it is no revision any more."""
    configs = await _configs(client, project, number)
    for config in sorted(configs, key=lambda config: config.piece):
        await _remove(client, config.id)


async def listed(client: Client, project: str) -> tuple[RevisionRecord, ...]:
    """The whole ones, by number."""
    return heads_and_pieces(project, await _configs(client, project))


def heads_and_pieces(project: str, configs: Sequence[_Config]) -> tuple[RevisionRecord, ...]:
    """Pure. Revisions of which a piece is missing are left out."""
    found = []
    for head in (config for config in configs if config.piece == 1):
        parts = {
            config.piece: config.data
            for config in configs
            if (config.number, config.digest) == (head.number, head.digest)
        }
        content = b"".join(data for _, data in sorted(parts.items()))
        if _digest(content) == head.digest:
            labels = {key: value for key, value in head.labels.items() if key not in _OWN}
            found.append(RevisionRecord(project, head.number, content, labels, head.version))
    return tuple(sorted(found, key=lambda record: record.number))


def _bodies(record: RevisionRecord) -> list[Json]:
    """Of `POST /configs/create`, the head first."""
    digest = _digest(record.content)
    starts = range(0, max(len(record.content), 1), PIECE_BYTES)
    bodies = []
    for piece, start in enumerate(starts, 1):
        name = _name(record.project, record.number)
        own = {
            HISTORY: record.project,
            REVISION: str(record.number),
            _DIGEST: digest,
            _PIECE: str(piece),
        }
        data = record.content[start : start + PIECE_BYTES]
        bodies.append(
            {
                "Name": name if piece == 1 else f"{name}.{piece}-{digest[:8]}",
                "Labels": {**record.labels, **own} if piece == 1 else own,
                "Data": base64.b64encode(data).decode(),
            }
        )
    return bodies


def _name(project: str, number: int) -> str:
    return readable_name(project, f"revision-{number}")


def readable_name(project: str, what: str) -> str:
    """At most 64 characters, with those of a piece: the project's own name may be as long."""
    key = hashlib.sha256(project.encode()).hexdigest()[:12]
    return f"{project[:_READABLE]}-{key}.{what}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _what(project: str, number: int) -> str:
    return f'revision {number} of "{project}"'


async def _create(client: Client, body: Json) -> str:
    labels = body["Labels"]
    with refusals(_what(labels[HISTORY], int(labels[REVISION]))):
        return str((await client.call("POST", "/configs/create", body=body))["ID"])


async def _remove(client: Client, id: str) -> None:
    try:
        await client.call("DELETE", f"/configs/{id}")
    except NotFound:
        return


async def _configs(client: Client, project: str, number: int | None = None) -> list[_Config]:
    labels = [f"{HISTORY}={project}"]
    labels += [f"{REVISION}={number}"] if number is not None else []
    query = {"filters": json.dumps(create.filters(labels))}
    items = await client.call("GET", "/configs", query=query)
    return [config for item in items if (config := _read(item)) is not None]


def _read(item: Json) -> _Config | None:
    """None for what somebody else has labelled so."""
    spec: Json = item["Spec"]
    labels: Mapping[str, str] = spec.get("Labels") or {}
    told = (labels.get(REVISION, ""), labels.get(_PIECE, ""))
    number, piece = (whole_number(each) for each in told)
    if number is None or piece is None:
        return None
    return _Config(
        id=item["ID"],
        version=item["Version"]["Index"],
        number=number,
        piece=piece,
        digest=labels.get(_DIGEST, ""),
        data=base64.b64decode(spec.get("Data") or ""),
        labels=labels,
    )
