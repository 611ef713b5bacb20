"""Are the engine's answers as Docker's API description says?

`tests/recording` writes them down while tests run; here they are read and held against
`engine_api.json.xz` (made by `scripts/condense_api.py`): an unknown call, a status that is not
described, a field that is missing or of another type. Fields beyond the description are no fault,
nor is null for a list or a map: dockerd, which is written in Go, says so of many an empty one.
"""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema

__all__ = ["KNOWN", "Answer", "Verdict", "judge", "recorded"]

KNOWN: Final = {
    "POST /exec/{id}/start 101: a status that is not described": "to a client that upgrades",
    "GET /exec/{id}/json 200: .ExitCode: None is not of type 'integer'": "while it runs",
    **{
        f"{call} 200: {where}: 'UnpackedSize' is a required property": "the description's mistake"
        for call, where in (
            ("GET /images/json", "[].Manifests[].ImageData"),
            ("GET /images/{name}/json", ".Manifests[].ImageData"),
        )
    },
    "GET /containers/{id}/json 200: .HostConfig.MemorySwappiness: None is not of type 'integer'": (
        "what dockerd says of a container that has none of its own"
    ),
}
"""What is not as described, and as dockerd has it: why."""

_VERSION: Final = re.compile(r"/v1\.[0-9]+(?=/)")
_OWN: Final = ("/stackr/v1/", "/metrics")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_SLASHED: Final = ("/images/", "/distribution/", "/plugins/")
"""Names after these have slashes."""

_EVENTS: Final = "GET /events"
"""A stream, in which there may be nothing."""

_OF_LINKS: Final = "DELETE /containers/{id}"

_FORMATS: Final = jsonschema.FormatChecker(formats=())


def _is_date(value: object) -> bool:
    return not isinstance(value, str) or value == "" or bool(_DATE.fullmatch(value))


_FORMATS.checks("dateTime")(_is_date)


@dataclass(frozen=True, slots=True)
class Answer:
    """target: as it was asked for, with version and query. whole: none of the body is missing."""

    method: str
    target: str
    status: int
    type: str
    body: str
    whole: bool

    @property
    def path(self) -> str:
        return _VERSION.sub("", self.target.partition("?")[0], count=1)

    def values(self) -> Iterator[Any]:
        """Each JSON value of the body; a stream has many. Raises ValueError for what is none."""
        decoder = json.JSONDecoder()
        at = 0
        while at < len(self.body):
            if self.body[at] in " \r\n\t":
                at += 1
                continue
            try:
                value, at = decoder.raw_decode(self.body, at)
            except ValueError:
                if self.whole:
                    raise
                return
            yield value


def recorded(folder: Path) -> Iterator[Answer]:
    """What the daemons of a run have answered."""
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # else a daemon was killed while it wrote
                    yield Answer(**json.loads(line))


class _Description:
    def __init__(self, data: dict[str, Any]) -> None:
        self._definitions = data["definitions"]
        self._calls: dict[str, dict[str, Any]] = data["calls"]
        self._patterns = [(call, *_compiled(call)) for call in self._calls]
        self._patterns.sort(key=lambda each: each[0].count("{"))
        self.words = frozenset(_enumerated(data))

    def call(self, method: str, path: str) -> str:
        """`GET /containers/{id}/json`; "" where nothing is described."""
        for call, verb, pattern in self._patterns:
            if verb == method and pattern.fullmatch(path):
                return str(call)
        return ""

    def statuses(self, call: str) -> frozenset[int]:
        return frozenset(int(status) for status in self._calls[call])

    @cache  # noqa: B019
    def validator(self, call: str, status: int) -> Any:
        """A validator; None where no body is described."""
        schema = self._calls[call].get(str(status))
        if schema is None and status >= 400:
            schema = {"$ref": "#/definitions/ErrorResponse"}
        if schema is None or schema.get("type") == "string":
            return None
        whole = {"allOf": [schema], "definitions": self._definitions}
        return jsonschema.Draft4Validator(whole, format_checker=_FORMATS)


def _compiled(call: str) -> tuple[str, re.Pattern[str]]:
    method, _, path = call.partition(" ")
    name = ".+" if path.startswith(_SLASHED) or call == _OF_LINKS else "[^/]+"
    return method, re.compile(re.sub(r"\\\{\w+\\\}", name, re.escape(path)))


def _enumerated(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        words = value.get("enum")
        if isinstance(words, list):
            yield from (word for word in words if isinstance(word, str))
        for each in value.values():
            yield from _enumerated(each)
    elif isinstance(value, list):
        for each in value:
            yield from _enumerated(each)


@cache
def _description() -> _Description:
    file = Path(__file__).with_name("engine_api.json.xz")
    return _Description(json.loads(lzma.decompress(file.read_bytes())))


def _shape(value: Any) -> Any:
    """Alike for what is judged alike: most answers differ in names and numbers alone."""
    if isinstance(value, dict):
        return frozenset((key, _shape(each)) for key, each in value.items())
    if isinstance(value, list):
        return (frozenset(_shape(each) for each in value),)
    if isinstance(value, str):
        if value in _description().words:
            return value
        return "date" if _DATE.fullmatch(value) else "text"
    return value if value is None else type(value).__name__


@dataclass(frozen=True, slots=True)
class Verdict:
    """judged: how many answers, without those to stackr's own calls.

    differences: what is not as described, and how often:
    `GET /info 200: .Swarm: None is not of type ...`.
    """

    judged: int
    differences: Counter[str]


def judge(answers: Iterator[Answer]) -> Verdict:
    found: Counter[str] = Counter()
    known: dict[Any, list[str]] = {}
    count = 0
    for answer in answers:
        if answer.path.startswith(_OWN):
            continue
        count += 1
        call = _description().call(answer.method, answer.path)
        if not call:
            if answer.status < 400:
                found[
                    f"{answer.method} {answer.path}: not described, answered {answer.status}"
                ] += 1
            continue
        what = f"{call} {answer.status}"
        if answer.status < 400 and answer.status not in _description().statuses(call):
            found[f"{what}: a status that is not described"] += 1
        found.update(_of_body(what, call, answer, known))
    return Verdict(count, Counter({what: n for what, n in found.items() if what not in KNOWN}))


def _of_body(what: str, call: str, answer: Answer, known: dict[Any, list[str]]) -> Iterator[str]:
    validator = _description().validator(call, answer.status)
    if validator is None or answer.method == "HEAD":
        return
    if not answer.body:
        if answer.whole and call != _EVENTS:
            yield f"{what}: no JSON where it is described: {answer.type or 'nothing'}"
        return
    try:
        for value in answer.values():
            key = (what, _shape(value))
            if key not in known:
                known[key] = [f"{what}: {problem}" for problem in _problems(validator, value)]
            yield from known[key]
    except ValueError as error:
        yield f"{what}: no JSON: {error}"


def _problems(validator: Any, value: Any) -> Iterator[str]:
    for error in validator.iter_errors(value):
        for each in [*_leaves(error)] or [error]:
            if each.instance is None and each.validator_value in ("array", "object"):
                continue
            where = "".join(
                "[]" if isinstance(part, int) else f".{part}" for part in each.absolute_path
            )
            yield f"{where}: {each.message[:160]}"


def _leaves(error: Any) -> Iterator[Any]:
    """Of "null or ...", what is wrong with the second."""
    for each in error.context or ():
        if each.validator == "type" and each.validator_value == "null":
            continue
        yield from [*_leaves(each)] or [each]
