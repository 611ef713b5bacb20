"""`/exec` and `/containers/{id}/exec`: further processes in a running container.

Source: Docker Engine API, "Exec".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackr.errors import InvalidArgument, StackrError
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.body import boolean, console_size, detach_keys
from stackr.runtime.engine.api.http import Request, Response, json_response, terminal_size
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.stream import content_type, frame, pump
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
        await self._stream.close_stdin()
        self._execs.drain(self._session.id, self._stream)

    async def read(self) -> tuple[int, bytes] | None:
        output = await self._stream.read()
        if output is None:
            await self._session.ended.wait()
        return output


async def _create(engine: Engine, request: Request) -> Response:
    spec = parse_exec(await request.json_object())
    if not spec.cmd:
        raise InvalidArgument("No exec command specified")
    detach_keys(spec.detach_keys, "escape")
    exec_id = await engine.execs.create(request.params["id"], spec)
    return json_response({"Id": exec_id}, 201)


async def _start(engine: Engine, request: Request) -> Response | None:
    """Errors of the start itself are told on the stream, as dockerd does."""
    body = await request.json_object()
    session = engine.execs.startable(request.params["id"])
    size = console_size(body, "ConsoleSize")
    if boolean(body, "Detach"):
        engine.execs.drain(session.id, await engine.execs.start(session.id, size=size))
        return Response(200)
    is_raw, spec = boolean(body, "Tty"), session.request
    client = await request.hijack(content_type(request.api_version, tty=is_raw))
    try:
        stream = await engine.execs.start(session.id, size=size)
    except StackrError as error:
        text = f"{error.message}\r\n".encode()
        await client.write(text if is_raw else frame(1, text))
        await client.close()
        return None
    if await pump(
        client,
        _UntilEnded(stream, session, engine.execs),
        stdin=spec.attach_stdin,
        framed=not is_raw,
        shown=[n for n, asked in ((1, spec.attach_stdout), (2, spec.attach_stderr)) if asked],
        keys=detach_keys(spec.detach_keys, "escape") if spec.tty else b"",
    ):
        engine.execs.detached(session.id)
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
            "DetachKeys": spec.detach_keys,
            "Pid": session.pid,
        }
    )


async def _resize(engine: Engine, request: Request) -> Response:
    height, width = terminal_size(request)
    engine.execs.resize(request.params["id"], height=height, width=width)
    return Response(200)


ROUTES = (
    Route("POST", "/containers/{id}/exec", _create),
    Route("POST", "/exec/{id}/start", _start, hijacks=True),
    Route("POST", "/exec/{id}/resize", _resize),
    Route("GET", "/exec/{id}/json", _inspect),
)
