"""`/commit`: an image of a container.

Source: Docker Engine API, "ImageCommit".
"""

from __future__ import annotations

import time

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import rfc3339
from stackr.runtime.engine.container.life.commit import image_settings
from stackr.runtime.engine.image.changes import apply_changes
from stackr.runtime.engine.image.commit import Commit

__all__ = ["ROUTES"]


async def _commit(engine: Engine, request: Request) -> Response:
    ref = request.text("container")
    if not ref:
        raise InvalidArgument("container: a name or an ID is expected")
    reference = _reference(request.text("repo"), request.text("tag"))
    given = await request.json_object()
    changes = [line for text in request.query.get("changes", ()) for line in text.splitlines()]
    comment = request.text("comment")
    async with engine.containers.frozen(ref, pause=request.flag("pause", default=True)) as found:
        config = apply_changes(image_settings(found.container, given), changes)
        commit = Commit(
            base=found.container.image_id,
            upper=found.upper,
            config={key: value for key, value in config.items() if value},
            created=rfc3339(time.time_ns()),
            reference=reference,
            author=request.text("author"),
            message=comment,
            command=found.container.config.cmd,
        )
        image = await engine.images.commit(commit, check=found.check)
    engine.containers.committed(found.container, comment, image.id, reference)
    return json_response({"Id": image.id}, 201)


def _reference(repository: str, tag: str) -> str:
    if tag and not repository:
        raise InvalidArgument("tag: a repository is expected with it")
    return f"{repository}:{tag}" if tag else repository


ROUTES = (Route("POST", "/commit", _commit),)
