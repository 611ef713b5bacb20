"""Run nftables commands in this process, by libnftables; by the `nft` program where it is missing.

A call is one transaction: all of it takes effect, or nothing. libnftables waits by select(2), which
ends a process that gives it a descriptor above 1,023. So it runs on a thread of its own that has a
table of descriptors of its own, with nothing else in it.
Source: libnftables(3), nft(8), unshare(2).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache

from stackr.errors import Internal
from stackr.runtime.engine.linux import netns
from stackr.runtime.engine.linux.netlink import RouteSocket
from stackr.runtime.engine.linux.netlink_wire import HEADER, attributes, text
from stackr.runtime.engine.linux.nft_elements import text_attribute
from stackr.runtime.engine.linux.syscalls import CLONE_FILES, unshare

__all__ = ["INET", "NftError", "Nftables"]

INET = 1
"""The family `inet` as the kernel numbers it; `ip` is `AF_INET`, `ip6` is `AF_INET6`."""

_LIBRARY = "libnftables.so.1"
_TIMEOUT_S = 30
_FIRST_FD, _LAST_FD = 3, 0x7FFFFFFF
_NETLINK_NETFILTER = 12
_NFT_MSG_GETTABLE, _NFT_MSG_GETCHAIN, _NFT_MSG_GETGEN = (
    10 << 8 | number  # NFNL_SUBSYS_NFTABLES
    for number in (1, 4, 16)
)
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 1, 4, 0x300
_NFTA_TABLE_NAME = 1
_NFTA_CHAIN_TABLE, _NFTA_CHAIN_NAME, _NFTA_CHAIN_POLICY = 1, 3, 5
_NFGENMSG = struct.Struct("=BBH")
_NFTA_GEN_ID = 1
_NUMERIC_PROTOCOLS = 1 << 7  # NFT_CTX_OUTPUT_NUMERIC_PROTO: not each host has /etc/protocols


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
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_ctx_output_set_flags.restype = None
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def _own_descriptors() -> None:
    """The calling thread has none but the standard streams from now on; the others keep theirs."""
    unshare(CLONE_FILES)
    os.closerange(_FIRST_FD, _LAST_FD)


class Nftables:
    """The rules of the network namespace it is made in, and of those it visits. Not thread-safe.

    thread_id: the kernel's number of the thread that makes the changes.
    """

    def __init__(self) -> None:
        self._netlink = RouteSocket(_NETLINK_NETFILTER)
        self._generation: int | None = None
        self._known: dict[str, str] = {}  # of this generation
        self._thread = ThreadPoolExecutor(1, "nftables")
        self._context: int | None = None
        self._thread.submit(self._open).result()

    def close(self) -> None:
        self._thread.submit(_free, self._context).result()
        self._thread.submit(self._changes.close).result()
        self._context = None
        self._thread.shutdown()
        self._netlink.close()

    def look(self, commands: str) -> str:
        """What `run` prints for commands that change nothing. Raises NftError.

        The kernel numbers its rules' generations; within one, a listing is made once.
        """
        generation = self.generation()
        if generation is None or generation != self._generation:
            self._known.clear()
            self._generation = generation
        if commands not in self._known:  # a failure may be a moment's, and is not kept
            self._known[commands] = self.run(commands)
        return self._known[commands]

    def generation(self) -> int | None:
        """Each transaction, whoever makes it, has the next number; None of a kernel without."""
        with suppress(OSError):
            for _, found in self._ask(_NFT_MSG_GETGEN):
                number = found.get(_NFTA_GEN_ID)
                return int.from_bytes(number, "big") if number else None
        return None

    def tables(self) -> set[tuple[int, str]]:
        """Those there are, by family and name; libnftables would fetch all rules as well.

        Raises NftError.
        """
        try:
            tables = [*self._ask(_NFT_MSG_GETTABLE, _NLM_F_DUMP)]
        except OSError as error:
            raise NftError(f"nftables: {error.strerror or error}") from error
        return {(family, text(found.get(_NFTA_TABLE_NAME, b""))) for family, found in tables}

    def policy(self, family: int, table: str, chain: str) -> int | None:
        """Of a base chain: 0 drops, 1 accepts. None where there is no such chain."""
        body = text_attribute(_NFTA_CHAIN_TABLE, table) + text_attribute(_NFTA_CHAIN_NAME, chain)
        with suppress(OSError):
            for _, found in self._ask(_NFT_MSG_GETCHAIN, family=family, body=body):
                policy = found.get(_NFTA_CHAIN_POLICY)
                return int.from_bytes(policy, "big") if policy else None
        return None

    def _ask(
        self, kind: int, flags: int = 0, *, family: int = 0, body: bytes = b""
    ) -> Iterator[tuple[int, dict[int, bytes]]]:
        """The family and the attributes of each answer."""
        body = _NFGENMSG.pack(family, 0, 0) + body
        length = HEADER.size + len(body)
        flags |= _NLM_F_REQUEST | (0 if flags else _NLM_F_ACK)
        for answer in self._netlink.query(HEADER.pack(length, kind, flags, 0, 0) + body):
            (family, _, _) = _NFGENMSG.unpack_from(answer, HEADER.size)
            yield family, attributes(answer[HEADER.size + _NFGENMSG.size :])

    def transact(self, messages: Sequence[bytes]) -> None:
        """A batch, all of which takes effect, or nothing. Raises NftError."""
        try:
            self._thread.submit(self._changes.transact, messages).result()
        except OSError as error:
            raise NftError(f"nftables: {error.strerror or error}") from error

    def run(self, commands: str, *, pid: int = 0) -> str:
        """What the commands print, mostly nothing. Raises NftError, and OSError for a `pid`.

        pid: act on the network namespace of this process.
        """
        if pid:
            return self._thread.submit(self._visit, commands, pid).result()
        return self._thread.submit(_run, self._context, commands).result()

    # --- on the thread -----------------------------------------------------------------------

    def _open(self) -> None:
        self.thread_id = threading.get_native_id()
        _own_descriptors()
        self._home = netns.open_current()
        self._changes = RouteSocket(_NETLINK_NETFILTER)
        self._context = _new_context()

    def _visit(self, commands: str, pid: int) -> str:
        with netns.of_process(pid) as namespace, netns.inside(namespace, home=self._home):
            context = _new_context()
            try:
                return _run(context, commands)
            finally:
                _free(context)


def _new_context() -> int | None:
    """None without the library. Its socket is the calling thread's namespace's."""
    library = _library()
    if library is None:
        return None
    context: int = library.nft_ctx_new(0)
    library.nft_ctx_buffer_output(context)
    library.nft_ctx_buffer_error(context)
    library.nft_ctx_output_set_flags(context, _NUMERIC_PROTOCOLS)
    return context


def _free(context: int | None) -> None:
    library = _library()
    if library is not None and context is not None:
        library.nft_ctx_free(context)


def _run(context: int | None, commands: str) -> str:
    library = _library()
    if library is None or context is None:
        return _run_program(commands)
    failed = library.nft_run_cmd_from_buffer(context, commands.encode())
    output = library.nft_ctx_get_output_buffer(context) or b""
    error = library.nft_ctx_get_error_buffer(context) or b""
    if failed:
        raise NftError(f"nftables: {_first_line(error)}")
    text: str = output.decode(errors="replace")
    return text


def _run_program(commands: str) -> str:
    try:
        done = subprocess.run(
            ["nft", "--numeric-protocol", "-f", "-"],
            input=commands.encode(),
            capture_output=True,
            timeout=_TIMEOUT_S,
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
