"""One image built: which builder does it, what it is told of registries, what a failure shows."""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Final

from stackr.errors import InvalidArgument, StackrError
from stackr.registry.credentials import all_credentials
from stackr.runtime.docker.build.classic import build_classic
from stackr.runtime.docker.build.own import build_own
from stackr.runtime.docker.build.source import dockerfile_text
from stackr.runtime.docker.client import Client
from stackr.runtime.image_build import BuildFailed, BuildProgress, ImageBuild, is_remote

__all__ = ["build_image"]

_AROUND: Final = 2
_LOG_LINES: Final = 20
_LINE: Final = re.compile(r"on line (\d+)")


async def build_image(
    client: Client, build: ImageBuild, environ: Mapping[str, str], *, has_own: bool
) -> AsyncIterator[BuildProgress]:
    """has_own: the engine has calls of its own for builds. Raises BuildFailed, with the excerpt
    of the Dockerfile and the last output."""
    auths = await all_credentials(environ)
    text = base64.urlsafe_b64encode(json.dumps(auths).encode()).decode()
    headers = {"X-Registry-Config": text} if auths else {}
    call = build_own if has_own and not is_remote(build.context) else build_classic
    last = _LastOutput()
    try:
        async for progress in call(client, build, headers):
            last.take(progress)
            yield progress
    except InvalidArgument as error:
        found = _LINE.search(error.message)
        if found is None:
            raise
        failure = BuildFailed(error.message, line=int(found[1]), hint=error.hint)
        failure.excerpt = _excerpt(build, failure)
        raise failure from error
    except BuildFailed as failure:
        failure.excerpt = _excerpt(build, failure)
        failure.log = last.lines() if failure.code is not None else ()
        raise


class _LastOutput:
    """The last lines that the steps wrote, of the step that wrote last."""

    def __init__(self) -> None:
        self._step = ("", 0)
        self._pieces: deque[str] = deque(maxlen=1000)

    def take(self, progress: BuildProgress) -> None:
        if progress.kind == "output":
            if (progress.stage, progress.number) != self._step:
                self._step = (progress.stage, progress.number)
                self._pieces.clear()
            self._pieces.append(progress.text)

    def lines(self) -> tuple[str, ...]:
        return tuple("".join(self._pieces).splitlines()[-_LOG_LINES:])


def _excerpt(build: ImageBuild, failure: BuildFailed) -> tuple[str, ...]:
    """`  3 | RUN make`, with `>` before the lines that failed."""
    if not failure.line or is_remote(build.context):
        return ()
    try:
        lines = dockerfile_text(build).splitlines()
    except StackrError:
        return ()
    first = max(failure.line - _AROUND, 1)
    last = min(failure.end_line + _AROUND, len(lines))
    width = len(str(last))
    return tuple(
        f"{'>' if failure.line <= number <= failure.end_line else ' '} {number:>{width}} |"
        f" {lines[number - 1]}"
        for number in range(first, last + 1)
    )
