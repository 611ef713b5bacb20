"""The entry of the `stackr` command, and the only place that ends the process.

A `StackrError` is one line on stderr, its way out on a second one, and the class's exit code; bad
usage is exit code 1; Ctrl-C is 130; a reader that went away (`stackr logs | head`) is silent. What
was not foreseen is one line as well: `STACKR_DEBUG=1` shows its traceback.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

from typer import Abort, Exit, TyperException
from typer.completion import completion_init  # type: ignore[attr-defined]

from stackr.cli.group import root_group
from stackr.cli.options import TIMINGS
from stackr.errors import InvalidProject, StackrError
from stackr.text import visible

__all__ = ["main", "run"]

_INTERRUPTED = 130
_HELP = ("-h", "--help")


def main(at_end: Callable[[int], object] | None = None) -> NoReturn:
    """Run the command that `sys.argv` names, and exit with its code.

    at_end: is called with the code, once the command is done.
    """
    signal.signal(signal.SIGTERM, _terminated)
    _open_streams()
    try:
        code = run(sys.argv[1:])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it is done: there is nothing to interrupt
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_gone()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if at_end is not None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        at_end(code)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End at once: the interpreter takes longer to clear up than a quick command takes in all."""
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    if threading.active_count() > 1:
        sys.exit(code)
    os._exit(code)


def _open_streams() -> None:
    """A standard stream that the caller has closed is /dev/null, not the next file opened.

    What a stream's encoding lacks is escaped: a locale must not end a command half-way.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for the whole process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(argv: Sequence[str]) -> int:
    """Run one command line; the exit code, with every failure already reported on stderr."""
    try:
        return _invoke(_as_command(argv))
    except StackrError as error:
        return _report(error)
    except (KeyboardInterrupt, Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except TyperException as error:
        return _report_usage(error)
    except Exception as error:
        return _report_unexpected(error)


def _as_command(argv: Sequence[str]) -> list[str]:
    """No words ask for help, as `help COMMAND` does; `--version` in front is the command."""
    if argv[:1] in (["--version"], ["-v"]):
        return ["version", *argv[1:]]
    if argv[:1] == ["help"]:
        return [*(word for word in argv[1:] if word not in _HELP), "--help"]
    return list(argv) or ["--help"]


def _invoke(argv: list[str]) -> int:
    group = root_group()
    if "_STACKR_COMPLETE" in os.environ:
        completion_init()
        try:
            group.main(argv, prog_name="stackr", complete_var="_STACKR_COMPLETE")
        except SystemExit as answered:  # `main` leaves more quickly
            return answered.code if isinstance(answered.code, int) else 0
    try:
        with group.make_context("stackr", argv) as ctx:
            code = group.invoke(ctx)
    except Exit as exit_:
        return exit_.exit_code
    return code if isinstance(code, int) else 0


def _report(error: StackrError) -> int:
    problems = error.problems if isinstance(error, InvalidProject) else ()
    for problem in problems or (error.message,):
        hint = getattr(problem, "hint", None) if problems else error.hint
        snippet = getattr(problem, "snippet", "").splitlines()
        lines = [f"stackr: {problem}", *(f"  {line}" for line in snippet)]
        _write_error([*lines, f"  {hint}"] if hint else lines)
    if problems and error.hint and all(getattr(p, "hint", None) is None for p in problems):
        _write_error([f"  {error.hint}"])
    _debug()
    return error.exit_code


def _report_usage(error: TyperException) -> int:
    ctx = getattr(error, "ctx", None)
    if ctx is not None and error.format_message() == ctx.get_help():
        sys.stdout.write(f"{ctx.get_help()}\n")
        return 0
    path = ctx.command_path if ctx is not None else "stackr"
    message = _nearest_option(error) or error.format_message().rstrip(".")
    if message:
        message = message[0].lower() + message[1:]
    hints = [TIMINGS] if getattr(error, "option_name", None) == "--profile" else []
    _write_error([f"stackr: {message}", *(f"  {each}" for each in (*hints, f"see {path} --help"))])
    return 1


def _nearest_option(error: TyperException) -> str | None:
    """Of an option that there is not: its name, and the one that is most likely meant."""
    name, possible = getattr(error, "option_name", ""), getattr(error, "possibilities", None)
    if not possible:
        return None
    names = {each.lstrip("-"): each for each in possible}
    near = difflib.get_close_matches(name.lstrip("-"), names, n=1)
    return f"no such option: {name}" + (f", did you mean {names[near[0]]}?" if near else "")


def _report_unexpected(error: Exception) -> int:
    detail = " ".join(str(error).split()) or "no detail"
    _write_error([f"stackr: internal error: {type(error).__name__}: {detail}"])
    if not _debug():
        _write_error(["  set STACKR_DEBUG=1 to see where it comes from"])
    return 1


def _debug() -> bool:
    """Write the traceback of the error in flight, where STACKR_DEBUG asks for it."""
    if not os.environ.get("STACKR_DEBUG"):
        return False
    sys.stderr.write(traceback.format_exc())
    return True


def _write_error(lines: Sequence[str]) -> None:
    try:
        sys.stderr.write("".join(f"{visible(line)}\n" for line in lines))
    except OSError:
        return


def _reader_gone() -> int:
    """Point stdout elsewhere, so that the interpreter's own flush at exit is silent as well."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM asks for the same orderly end as Ctrl-C."""
    raise KeyboardInterrupt
