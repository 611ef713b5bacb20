"""The process of one copy: it confines itself to a container before it looks at any path.

Started by `copies.py` through the launcher, in a mount namespace of its own. Descriptors: 0 an
archive to extract, 1 the archive that is made, 3 a socket for one request and JSON lines of
answers: `{"stat": {...}}`, then `{"done": true}` or `{"error": [kind, message]}`. Kinds:
`missing`, `invalid`, `failed`. View and request are described in `copies.py`.
"""

from __future__ import annotations

import errno
import json
import os
import posixpath
import signal
from collections.abc import Iterator, Sequence
from typing import Any, Final

from stackr.runtime.engine.archive import view
from stackr.runtime.engine.archive.decompress import Source, decompressed
from stackr.runtime.engine.archive.extract import Extractor
from stackr.runtime.engine.archive.pack import Packer
from stackr.runtime.engine.archive.paths import Place, find, follow, open_directory, status_of
from stackr.runtime.engine.archive.process import limit_memory
from stackr.runtime.engine.archive.tarstream import ArchiveError, Limits, TarReader
from stackr.runtime.engine.linux.syscalls import die_with_parent

__all__ = ["CONTROL_FD", "main"]

CONTROL_FD: Final = 3
_INPUT_FD: Final = 0
_OUTPUT_FD: Final = 1
_MEMORY_LIMIT: Final = 1 << 30
_LIMITS: Final = Limits(size_bytes=1 << 44)
_HOST_IS_AT_FAULT: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE)


class _Refused(Exception):
    """The request asks for what a container's settings forbid."""


def main(_: list[str]) -> None:
    """Do what the request says, answer, end."""
    die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    limit_memory(_MEMORY_LIMIT)
    request = _receive()
    path = request["path"]
    try:
        _copy(request, path)
        answer: dict[str, Any] = {"done": True}
    except (_Refused, ArchiveError, view.SourceError) as error:
        answer = {"error": ["invalid", str(error)]}
    except FileNotFoundError:
        answer = {"error": ["missing", path]}
    except BrokenPipeError:
        os._exit(1)
    except MemoryError:
        answer = {"error": ["failed", f"{path}: needs more than {_MEMORY_LIMIT >> 20} MiB"]}
    except OSError as error:
        answer = {"error": _explained(error, path)}
    except Exception as error:
        answer = {"error": ["failed", f"{type(error).__name__}: {error}"]}
    _answer(answer)
    os._exit(0)


def _receive() -> dict[str, Any]:
    data = b""
    while not data.endswith(b"\n"):
        chunk = os.read(CONTROL_FD, 1 << 16)
        if not chunk:
            os._exit(1)
        data += chunk
    request: dict[str, Any] = json.loads(data)
    return request


def _answer(answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(CONTROL_FD, data) :]


def _explained(error: OSError, path: str) -> list[str]:
    """In one line, as Go words it: the path first, the reason in lower case."""
    kind = "failed" if error.errno in _HOST_IS_AT_FAULT else "invalid"
    where = error.filename if isinstance(error.filename, str) else path
    return [kind, f"{where}: {(error.strerror or str(error)).lower()}"]


def _copy(request: dict[str, Any], path: str) -> None:
    is_extraction = request["verb"] == "extract"
    # What decompresses is started now: afterwards nothing can be.
    archive = decompressed(Source(_INPUT_FD)) if is_extraction else iter(())
    view.enter(request["view"])
    view.confine()
    if is_extraction:
        _extract(request, path, archive)
    else:
        _read(request, Place(path))


def _read(request: dict[str, Any], place: Place) -> None:
    _answer({"stat": status_of(place)})
    if request["verb"] == "pack":
        folder, name = find(place)
        packer = Packer(_OUTPUT_FD)
        if request["content"]:
            packer.add_content(folder, name)
        else:
            packer.add(folder, name, b"" if place.path == "/" else place.archive_name)
        packer.close()


def _extract(request: dict[str, Any], path: str, archive: Iterator[bytes]) -> None:
    target = follow(posixpath.normpath("/" + path.lstrip("/")))
    try:
        folder = open_directory(-100, os.fsencode(target))
    except NotADirectoryError as error:
        raise _Refused("extraction point is not a directory") from error
    _check_writable(target, request["mounts"], read_only=request["read_only"])
    owner = request["owner"]
    extractor = Extractor(
        TarReader(archive, _LIMITS),
        folder,
        shown=target,
        owner=None if owner is None else (owner[0], owner[1]),
        keep_kinds=request["keep_kinds"],
    )
    extractor.run()


def _check_writable(path: str, mounts: Sequence[Sequence[Any]], *, read_only: bool) -> None:
    """By the innermost mount that holds the path; the kernel refuses what is not seen here."""
    holding = [
        (target, is_writable)
        for target, is_writable in mounts
        if path == target or path.startswith(target.rstrip("/") + "/")
    ]
    if holding:
        if not max(holding, key=lambda mount: len(mount[0]))[1]:
            raise _Refused("mounted volume is marked read-only")
    elif read_only:
        raise _Refused("container rootfs is marked read-only")
