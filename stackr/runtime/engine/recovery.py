"""What the records are, where the database or its copy may be damaged; pure.

The database says what there is. The journal (`journal.py`) stands in for what is damaged in it or
missing from it, as each of its lines can be checked: a database never holds less than the journal,
unless it has been damaged, as its changes are written first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from stackr.runtime.engine.database import Contents
from stackr.runtime.engine.journal import Key, Replay
from stackr.text import visible

__all__ = ["Recovered", "recover"]


@dataclass(slots=True)
class Recovered:
    """documents: the records; sequence: of the last change. notes: what was damaged, a line each.

    is_sound: whether the database can be written on, or must be made anew.
    """

    documents: dict[Key, str]
    sequence: int
    notes: list[str] = field(default_factory=list)
    is_sound: bool = True


def recover(database: Contents | None, journal: Replay) -> Recovered:
    """database: None where it cannot be read at all."""
    if database is None:
        return _from_journal(journal)
    found = Recovered(dict(database.documents), max(database.sequence, journal.sequence))
    if database.is_partial:
        found.is_sound = False
        found.notes.append("the database is damaged")
    if journal.is_whole and journal.sequence >= database.sequence:
        _take_whole(found, database, journal)
    else:
        _take_newer(found, database, journal)
    _drop_damaged(found, journal)
    return found


def _from_journal(journal: Replay) -> Recovered:
    note = "the database is damaged: the records are those of its copy"
    if not journal.is_whole:
        note = "the database is damaged, and so is its copy: records may be missing"
    return Recovered(journal.documents, journal.sequence, [note], is_sound=False)


def _take_whole(found: Recovered, database: Contents, journal: Replay) -> None:
    """The journal tells all that the database should."""
    documents = journal.documents
    keys = documents.keys() | found.documents.keys()
    differing = [key for key in keys if documents.get(key) != found.documents.get(key)]
    found.documents = documents
    if not differing:
        return
    if journal.sequence > database.sequence:
        what = f"{journal.sequence - database.sequence} changes are missing from the database"
    else:
        found.is_sound = False
        what = f"{len(differing)} records are damaged in the database"
    found.notes.append(f"{what}: they are taken from its copy")


def _take_newer(found: Recovered, database: Contents, journal: Replay) -> None:
    for key, (sequence, body) in journal.changes.items():
        is_missing = database.is_partial and key not in found.documents
        if sequence <= database.sequence and not (is_missing and body is not None):
            continue
        if body is None:
            found.documents.pop(key, None)
        else:
            found.documents[key] = body


def _drop_damaged(found: Recovered, journal: Replay) -> None:
    """A record that cannot be read costs that record alone."""
    for key, body in list(found.documents.items()):
        if _is_document(key, body):
            continue
        found.is_sound = False
        _, copy = journal.changes.get(key, (0, None))
        if copy is not None and _is_document(key, copy):
            found.documents[key] = copy
            found.notes.append(f"{' '.join(key)}: damaged: taken from the copy")
        else:
            del found.documents[key]
            found.notes.append(f"{visible(' '.join(key))}: damaged: it is left out")


def _is_document(key: Key, body: str) -> bool:
    """What is no UTF-8 has been read as lone surrogates, which cannot be written."""
    try:
        "".join((*key, body)).encode()
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
