"""Everyday commands on a small stack, so that what libraries make at first use is made beforehand.

The server rehearses once. A worker that waits for its caller does so again: the memory that a
command writes to (counts of references, above all) is shared with the server until then, and to
copy it page by page, at the first touch, takes twice as long as the command itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from typer import Exit, TyperException

from stackr.cli.group import load_command
from stackr.cli.main import run
from stackr.cli.registry import COMMANDS
from stackr.errors import StackrError

__all__ = ["make_parsers", "rehearse"]

_STACK = str(Path(__file__).with_name("rehearsal.yaml"))
_COMMANDS = (["config"], ["ps"], ["diff"], ["down", "--dry-run"])
_AGAIN = (["up", "--detach", "--dry-run"],)
_NOTHING: dict[str, object] = {
    "Containers": [],
    "Networks": [],
    "Volumes": [],
    "Images": {},
    "Referenced": {},
    "Faults": {},
}


def make_parsers() -> None:
    """Build the parser of every command."""
    for name in COMMANDS:
        command = load_command(name)
        own = command.parsers() if hasattr(command, "parsers") else {}
        for words, parser in {name: command, **own}.items():
            with contextlib.suppress(TyperException, Exit, StackrError):
                parser.make_context(words, [], parent=None)


def rehearse(folder: str, *, again: bool = False) -> None:
    """Run commands with an engine that has nothing, whose socket is in `folder` meanwhile.

    again: only what touches most of what any command touches.
    """
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        contextlib.suppress(OSError),
        _empty_engine(f"{folder}/rehearsal-{os.getpid()}") as engine,
    ):
        for command in _AGAIN if again else (*_COMMANDS, *_AGAIN):
            run(["--engine", engine, "-f", _STACK, *command])
        if not again:
            run(["--engine", f"swarm+{engine}", "-f", _STACK, "diff"])
            _complete(engine)


def _complete(engine: str) -> None:
    """Answer a shell that asks for services, and one that asks for what the engine has."""
    for words in (f"stackr --file {_STACK} logs ", f"stackr --engine {engine} --project-name "):
        question = {
            "_STACKR_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        before = os.environ.copy()
        os.environ.update(question)
        try:
            run([])
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextlib.contextmanager
def _empty_engine(path: str) -> Iterator[str]:
    """The address of an engine that knows no container, network, volume or image."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        try:
            listener.listen()
            answering = threading.Thread(target=_answer_all, args=(listener,))
            answering.start()
            try:
                yield f"unix://{path}"
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                answering.join()
        finally:
            os.unlink(path)


def _answer_all(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                target = stream.readline().split()[1].decode()
                while stream.readline().strip():
                    pass
                stream.write(_answer(target.partition("?")[0]))


def _answer(path: str) -> bytes:
    body = b"[]"
    if path.endswith("/stackr/v1/snapshot"):
        body = json.dumps(_NOTHING).encode()
    head = (
        "HTTP/1.1 200 OK",
        "Api-Version: 1.47",
        "Stackr-Capabilities: snapshot",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
