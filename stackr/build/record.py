"""What an image was built from, as a label of it holds it, and what is different by now; pure.

No content is in it: digests of the files that steps read, of each step, the base images' IDs, and
the build arguments that stages declare.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "Difference",
    "Record",
    "StepText",
    "differences",
    "digest",
    "first_miss",
    "hidden",
    "parse_record",
]

_VERSION: Final = 2
_MOST_FILES: Final = 300
_MOST_BYTES: Final = 1 << 20
_DIGITS: Final = 12
_HIDDEN: Final = "sha256:"


@dataclass(frozen=True, slots=True)
class StepText:
    """An instruction, for people. line: of the Dockerfile."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Record:
    """files: digest by path, `NAME:path` of a named context, `folder/` for all that is in it.

    arguments: by name, a digest of those that are secret. bases: image ID by reference. steps: the
    digest of each step, by stage, in the order in which they are built. settings: a digest of the
    rest: target, labels, limits. texts: the steps themselves, which are not recorded.
    """

    files: Mapping[str, str]
    arguments: Mapping[str, str]
    bases: Mapping[str, str]
    steps: Mapping[str, Sequence[str]]
    settings: str = ""
    texts: Mapping[str, Sequence[StepText]] = field(default_factory=dict, compare=False)

    def encode(self) -> str:
        """As the label has it."""
        document = {
            "version": _VERSION,
            "files": _folded(self.files),
            "arguments": dict(self.arguments),
            "bases": dict(self.bases),
            "steps": {stage: list(each) for stage, each in self.steps.items()},
            "settings": self.settings,
        }
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        packed = zlib.compress(text.encode("utf-8", "surrogatepass"), 9)
        return base64.urlsafe_b64encode(packed).decode()


@dataclass(frozen=True, slots=True)
class Difference:
    """path: of the file, argument or image, as `files.src/app.py`; words: `src/app.py changed`.

    Of a file that has other permissions alone, the path is `modes.src/app.py`.
    """

    path: str
    old: str | None
    new: str | None
    words: str


def parse_record(text: str) -> Record | None:
    """None for a label that is absent, damaged, or of another version."""
    try:
        packed = base64.urlsafe_b64decode(text.encode())
        unpacked = zlib.decompressobj().decompress(packed, _MOST_BYTES)
        document = json.loads(unpacked)
        if not isinstance(document, dict) or document.get("version") != _VERSION:
            return None
        return Record(
            _texts(document["files"]),
            _texts(document["arguments"]),
            _texts(document["bases"]),
            {
                str(stage): [str(each) for each in steps]
                for stage, steps in document["steps"].items()
            },
            str(document["settings"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, binascii.Error, zlib.error):
        return None


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(each) for key, each in value.items()}


def digest(*parts: str) -> str:
    """Of these texts, which are kept apart; short, as it tells changes, and guards nothing."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return sha256.hexdigest()[:_DIGITS]


def hidden(value: str) -> str:
    return f"{_HIDDEN}{digest(value)}"


def _folded(files: Mapping[str, str]) -> dict[str, str]:
    """At most so many entries: where there are more files, folders stand for what is in them."""
    if len(files) <= _MOST_FILES:
        return dict(files)
    deepest = max(path.count("/") for path in files)
    for depth in range(deepest, 0, -1):
        found = _folded_at(files, depth)
        if len(found) <= _MOST_FILES:
            return found
    return _folded_at(files, 0)


def _folded_at(files: Mapping[str, str], depth: int) -> dict[str, str]:
    """Files that are so deep by folder; at 0, one entry is all."""
    kept: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for path, each in sorted(files.items()):
        parts = path.split("/")
        if len(parts) > depth:
            groups.setdefault("/".join(parts[:depth] or ["."]) + "/", []).append(f"{path}={each}")
        else:
            kept[path] = each
    return kept | {folder: digest(*entries) for folder, entries in groups.items()}


def _folded_as(files: Mapping[str, str], other: Mapping[str, str]) -> Mapping[str, str]:
    """As `other` was folded, so that the two can be compared."""
    folders = [path for path in other if path.endswith("/")]
    if not folders:
        return files
    return _folded_at(files, 0 if "./" in folders else max(each.count("/") for each in folders))


def differences(old: Record, new: Record) -> list[Difference]:
    """Nothing where a build would come to the same image."""
    found = list(_in_values("bases", old.bases, new.bases, _base))
    found += _in_values("arguments", old.arguments, new.arguments, _argument)
    found += _in_files(old.files, _folded_as(new.files, old.files))
    if not found and old.steps != new.steps:
        miss = first_miss(old, new)
        line = f":{miss[1].line}" if miss is not None and miss[1].line else ""
        found.append(Difference("dockerfile", None, None, f"Dockerfile{line} changed"))
    if old.settings != new.settings:
        found.append(Difference("settings", None, None, "labels, target or limits changed"))
    return found


def _in_files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for path in sorted(old.keys() | new.keys()):
        before, now = old.get(path), new.get(path)
        if before != now:
            yield _in_file(path, before, now)


def _in_file(path: str, before: str | None, now: str | None) -> Difference:
    """A file's entry is some digits of its digest, and its permissions."""
    if before is None or now is None:
        what = "is new" if before is None else "is gone"
        return Difference(f"files.{path}", before, now, f"{path} {what}")
    if before[:_DIGITS] == now[:_DIGITS]:
        modes = before[_DIGITS:].zfill(4), now[_DIGITS:].zfill(4)
        return Difference(f"modes.{path}", *modes, f"{path} has mode {modes[1]}")
    return Difference(f"files.{path}", before, now, f"{path} changed")


def _in_values(
    section: str,
    old: Mapping[str, str],
    new: Mapping[str, str],
    words: Callable[[str, str | None, str | None], str],
) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before != now:
            yield Difference(f"{section}.{name}", before, now, words(name, before, now))


def _argument(name: str, old: str | None, new: str | None) -> str:
    if any(each is not None and each.startswith(_HIDDEN) for each in (old, new)):
        return f"ARG {name} changed"
    return f"ARG {name} {_shown(old)} → {_shown(new)}"


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value or '""'


def _base(name: str, old: str | None, new: str | None) -> str:
    if old is not None and new is not None:
        return f"base image {name} moved"
    return f"base image is {name} now" if old is None else f"base image {name} is no longer used"


def first_miss(old: Record, new: Record) -> tuple[str, StepText, int] | None:
    """The stage and step with which a build would begin, and how many steps follow it."""
    missed: tuple[str, StepText] | None = None
    count = 0
    for stage, steps in new.steps.items():
        before = old.steps.get(stage, ())
        same = 0
        while same < min(len(steps), len(before)) and steps[same] == before[same]:
            same += 1
        if same < len(steps):
            if missed is None:
                missed = stage, new.texts[stage][same]
            count += len(steps) - same
    return None if missed is None else (*missed, count - 1)
