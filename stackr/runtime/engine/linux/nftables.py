"""Run nftables commands in this process, by libnftables; by the `nft` program where it is missing.

A call is one transaction: all of it takes effect, or nothing. It blocks, and acts on the network
namespace of the calling thread. Source: libnftables(3), nft(8).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import subprocess
from functools import cache

from stackr.errors import Internal

__all__ = ["NftError", "Nftables"]

_LIBRARY = "libnftables.so.1"
_TIMEOUT_S = 30


class NftError(Internal):
    """nftables refused a transaction; the message has its first line of explanation."""


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


class Nftables:
    """A handle on one network namespace's rules; a context manager. Not for two threads at once."""

    def __init__(self) -> None:
        self._library = _library()
        self._context: int | None = None
        if self._library is not None:
            self._context = self._library.nft_ctx_new(0)
            self._library.nft_ctx_buffer_output(self._context)
            self._library.nft_ctx_buffer_error(self._context)

    def __enter__(self) -> Nftables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._library is not None and self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str) -> str:
        """What the commands print, mostly nothing. Raises NftError."""
        if self._library is None or self._context is None:
            return _run_program(commands)
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        error = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise NftError(f"nftables: {_first_line(error)}")
        text: str = output.decode(errors="replace")
        return text


def _run_program(commands: str) -> str:
    try:
        done = subprocess.run(
            ["nft", "-f", "-"], input=commands.encode(), capture_output=True, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NftError(
            f"nftables: cannot be run: {error}", hint="install the package nftables"
        ) from error
    if done.returncode:
        raise NftError(f"nftables: {_first_line(done.stderr)}")
    return done.stdout.decode(errors="replace")


def _first_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "refused, with no reason given"
