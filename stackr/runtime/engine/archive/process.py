"""What the processes that read and write archives have in common: limits, confinement, answers.

Each is started with one request, and answers JSON lines: any number of reports, then
`{"done": {...}}`, `{"error": "..."}` where the archive is at fault, or `{"failure": "..."}` where
the host is (a full disk).
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any, Final

from stackr.runtime.engine.archive.tarstream import ArchiveError

__all__ = ["answer", "forbid_imports", "limit_memory", "make_folder_the_root", "say"]

_ANSWERS_FD: Final = 1


def limit_memory(size_bytes: int) -> None:
    """And write no core file, whatever happens."""
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def forbid_imports() -> None:
    """From here on nothing is imported.

    Python looks for modules in the file system when something is imported late: without this, an
    archive, or a container, could plant one in the new root.
    """
    "".encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    sys.meta_path.clear()


def make_folder_the_root() -> int:
    """The working directory becomes the root, for good; returns a descriptor of it."""
    forbid_imports()
    os.chroot(".")
    os.chdir("/")
    os.umask(0)
    return os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def answer(
    arguments: list[str], work: Callable[[dict[str, Any]], dict[str, Any]], *, memory_bytes: int
) -> None:
    """Do the work of the request in the arguments, and say how it ended."""
    limit_memory(memory_bytes)
    try:
        last: dict[str, Any] = {"done": work(json.loads(arguments[0]))}
    except ArchiveError as error:
        last = {"error": str(error)}
    except MemoryError:
        last = {"error": f"needs more than {memory_bytes >> 20} MiB of memory"}
    except OSError as error:
        last = {"failure": str(error.strerror or error)}
    say(last)


def say(line: dict[str, Any]) -> None:
    os.write(_ANSWERS_FD, json.dumps(line).encode() + b"\n")
