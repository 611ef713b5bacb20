"""`/exec` and `/containers/{id}/exec`: further processes in a running container.

Source: Docker Engine API, "Exec".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.body import boolean, console_size
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.stream import content_type, pump
from stackr.runtime.engine.container.settings.spec import parse_exec

if TYPE_CHECKING:
    from stackr.runtime.engine.api.backends import ExecBackend
    from stackr.runtime.engine.container.exec.session import ExecSession
    from stackr.runtime.engine.container.io.stream import PipeStream

__all__ = ["ROUTES"]


class _UntilEnded:
    """A session's stream whose end is the process's: clients then ask for the exit code.

    A client that goes before that leaves the process running, with nobody to read its output.
    """

    def __init__(self, stream: PipeStream, session: ExecSession, execs: ExecBackend) -> None:
        self._session = session
        self._stream = stream
        self._execs = execs
        self.write = stream.write
        self.close_stdin = stream.close_stdin

    async def close(self) -> None:
        if self._session.ended.is_set():
            await self._stream.close()
            return
        if not self._session.request.tty:
            await self._stream.close_stdin()
        self._execs.drain(self._stream)

    async def read(self) -> tuple[int, bytes] | None:
        output = await self._stream.read()
        if output is None:
            await self._session.ended.wait()
        return output


async def _create(engine: Engine, request: Request) -> Response:
    spec = parse_exec(await request.json_object())
    if not spec.cmd:
        raise InvalidArgument("No exec command specified")
    exec_id = engine.execs.create(request.params["id"], spec)
    return json_response({"Id": exec_id}, 201)


async def _start(engine: Engine, request: Request) -> Response | None:
    body = await request.json_object()
    session = engine.execs.get(request.params["id"])
    size = console_size(body, "ConsoleSize")
    stream = await engine.execs.start(session.id, size=size)
    if boolean(body, "Detach"):
        engine.execs.drain(stream)
        return Response(200)
    tty, stdin = session.request.tty, session.request.attach_stdin
    until_ended = _UntilEnded(stream, session, engine.execs)
    try:
        client = await request.hijack(content_type(request.api_version, tty=tty))
    except BaseException:
        await until_ended.close()
        raise
    await pump(client, until_ended, stdin=stdin, framed=not tty)
    return None


async def _inspect(engine: Engine, request: Request) -> Response:
    session = engine.execs.get(request.params["id"])
    spec = session.request
    return json_response(
        {
            "ID": session.id,
            "Running": session.running,
            "ExitCode": session.exit_code,
            "ProcessConfig": {
                "tty": spec.tty,
                "entrypoint": spec.cmd[0],
                "arguments": spec.cmd[1:],
                "privileged": spec.privileged,
                "user": spec.user,
            },
            "OpenStdin": spec.attach_stdin,
            "OpenStderr": spec.attach_stderr,
            "OpenStdout": spec.attach_stdout,
            "CanRemove": session.exit_code is not None,
            "ContainerID": session.container.id,
            "DetachKeys": "",
            "Pid": session.pid,
        }
    )


async def _resize(engine: Engine, request: Request) -> Response:
    engine.execs.resize(
        request.params["id"], height=request.integer("h", 0), width=request.integer("w", 0)
    )
    return Response(200)


ROUTES = (
    Route("POST", "/containers/{id}/exec", _create),
    Route("POST", "/exec/{id}/start", _start, hijacks=True),
    Route("POST", "/exec/{id}/resize", _resize),
    Route("GET", "/exec/{id}/json", _inspect),
)
