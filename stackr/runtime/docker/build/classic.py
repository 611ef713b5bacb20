"""Docker's classic builder: one archive or address, and lines of text as its answer.

Source: Docker Engine API, "ImageBuild".
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

from stackr.build.dockerfile import parse
from stackr.errors import NotSupported, StackrError
from stackr.runtime.docker.build.source import (
    Counted,
    dockerfile_text,
    read_folder,
    sent,
    told_size,
)
from stackr.runtime.docker.client import Client
from stackr.runtime.image_build import BuildFailed, BuildProgress, ImageBuild, is_remote

__all__ = ["build_classic"]

_STEP: Final = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
_FROM: Final = re.compile(r"FROM\s+.*?(?:\s+AS\s+(\S+))?\s*", re.IGNORECASE | re.DOTALL)
_CODE: Final = re.compile(r"returned a non-zero code: (\d+)$")
_COLOUR: Final = re.compile(r"\x1b\[\d*m")


async def build_classic(
    client: Client, build: ImageBuild, headers: dict[str, str]
) -> AsyncIterator[BuildProgress]:
    """Raises NotSupported, by name, for what this builder has no way to take."""
    _check(build)
    query: dict[str, Any] = _query(build)
    body: Counted | bytes = b""
    counted: Counted | None = None
    if is_remote(build.context):
        query["remote"] = build.context
        query["dockerfile"] = build.dockerfile
    else:
        folder = await read_folder(build.context, build.dockerfile)
        if text := told_size(folder):
            yield BuildProgress("notice", text=text)
        query["dockerfile"], pieces = sent(folder, build)
        body = counted = Counted(pieces)
    lines = _Lines(build)
    async with client.stream("POST", "/build", query=query, body=body, headers=headers) as chunks:
        if counted is not None:
            yield BuildProgress("sent", size_bytes=counted.size_bytes)
        async for item in client.lines(chunks, "/build"):
            for progress in lines.take(item):
                yield progress
    yield BuildProgress("built", text=lines.image)


def _check(build: ImageBuild) -> None:
    remote = is_remote(build.context)
    for name, value in (
        ("secrets", build.secrets),
        ("ssh", build.ssh),
        ("additional_contexts", build.contexts),
        ("no_cache_filter", build.no_cache_filter),
        ("cache_to", build.cache_to),
        ("--debug", build.keeps_failure),
        ("cache_from (a folder)", [each for each in build.cache_from if each.path]),
        ("dockerfile_inline", remote and build.dockerfile_text is not None),
    ):
        if value:
            why = " together with a context that is an address" if remote else ""
            raise NotSupported(f"build.{name}: not supported by the engine's builder{why}")


def _query(build: ImageBuild) -> dict[str, Any]:
    return {
        "t": list(build.tags),
        "rm": "1",
        "forcerm": "1",
        "buildargs": json.dumps(dict(build.arguments)),
        "labels": json.dumps(dict(build.labels)),
        "target": build.target or None,
        "platform": build.platform or None,
        "pull": "1" if build.pull else None,
        "nocache": "1" if build.no_cache else None,
        "cachefrom": json.dumps([each.ref for each in build.cache_from])
        if build.cache_from
        else None,
        "networkmode": build.network or None,
        "extrahosts": ",".join(build.extra_hosts) or None,
        "shmsize": str(build.shm_size_bytes) if build.shm_size_bytes else None,
        "memory": str(build.memory_bytes) if build.memory_bytes else None,
        "ulimits": json.dumps(
            [
                {"Name": name, "Soft": soft, "Hard": hard}
                for name, (soft, hard) in build.ulimits.items()
            ]
        )
        if build.ulimits
        else None,
    }


class _Lines:
    """What the lines mean: the steps, and the stage that they belong to."""

    def __init__(self, build: ImageBuild) -> None:
        self.image = ""
        self._build = build
        self._stage = ""
        self._stages = -1
        self._number = self._total = self._line = 0
        self._text = ""

    def take(self, item: dict[str, Any]) -> list[BuildProgress]:
        """Raises BuildFailed for the line that says so."""
        if "error" in item or "errorDetail" in item:
            raise self._failure(item)
        if isinstance(aux := item.get("aux"), dict):
            self.image = str(aux.get("ID") or self.image)
            return []
        if "stream" in item:
            return self._stream(str(item["stream"]))
        if "status" in item:
            text = " ".join(filter(None, (str(item.get("id") or ""), str(item["status"]))))
            return [self._progress("pull", text)]
        return []

    def _stream(self, text: str) -> list[BuildProgress]:
        if match := _STEP.match(text):
            return self._step(int(match[1]), int(match[2]), match[3].strip())
        clean = text.strip()
        if clean == "---> Using cache":
            return [self._progress("cached", "")]
        if not clean or clean.startswith(("---> ", "Removing intermediate", "Successfully ")):
            return []
        return [self._progress("output", _COLOUR.sub("", text))]

    def _step(self, number: int, total: int, text: str) -> list[BuildProgress]:
        if match := _FROM.fullmatch(text):
            self._stages += 1
            self._stage = match[1] or str(self._stages)
        self._number, self._total, self._text = number, total, text
        self._line = 0
        return [self._progress("step", text)]

    def _progress(self, kind: str, text: str) -> BuildProgress:
        return BuildProgress(kind, self._stage, self._number, self._total, text, self._line)

    def _failure(self, item: dict[str, Any]) -> BuildFailed:
        detail = item.get("errorDetail") or {}
        message = str(detail.get("message") or item.get("error"))
        match = _CODE.search(message)
        begin, end = self._lines()
        return BuildFailed(
            f"{self._text}: exit code {match[1]}" if match else message,
            line=begin,
            end_line=end,
            code=int(match[1]) if match else None,
        )

    def _lines(self) -> tuple[int, int]:
        """Where the step is in the Dockerfile: steps are instructions from its begin on."""
        if is_remote(self._build.context) or not self._number:
            return 0, 0
        try:
            instructions = parse(dockerfile_text(self._build)).instructions
        except StackrError:
            return 0, 0
        if self._number > len(instructions):
            return 0, 0
        found = instructions[self._number - 1]
        word = self._text.partition(" ")[0].upper()
        return (found.line, found.end_line) if found.name == word else (0, 0)
