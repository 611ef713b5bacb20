"""Terminals that arrive, or do not, over a console socket."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from stackr.runtime.engine.container.exec.console_socket import ConsoleSocket


async def test_a_terminal_arrives_however_long_the_folders_path_is(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 200)
    folder.mkdir()
    ended = asyncio.get_running_loop().create_future()
    console = ConsoleSocket(folder)
    receiving = asyncio.ensure_future(console.receive(ended))
    await asyncio.sleep(0)
    with open("/dev/null") as sent, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(console.path)
        await asyncio.sleep(0.01)
        socket.send_fds(peer, [b"console"], [sent.fileno()])
        terminal = await asyncio.wait_for(receiving, 60)
    assert terminal is not None
    assert os.readlink(f"/proc/self/fd/{terminal}") == "/dev/null"
    os.close(terminal)
    console.close()


async def test_one_that_was_sent_before_the_end_is_not_missed(tmp_path: Path) -> None:
    ended = asyncio.get_running_loop().create_future()
    console = ConsoleSocket(tmp_path)
    with open("/dev/null") as sent, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(console.path)
        socket.send_fds(peer, [b"console"], [sent.fileno()])
    ended.set_result(0)
    terminal = await console.receive(ended)
    assert terminal is not None
    os.close(terminal)
    console.close()


async def test_a_runtime_that_ends_without_one(tmp_path: Path) -> None:
    ended = asyncio.get_running_loop().create_future()
    console = ConsoleSocket(tmp_path)
    receiving = asyncio.ensure_future(console.receive(ended))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(console.path)
        await asyncio.sleep(0.01)
    ended.set_result(1)
    assert await asyncio.wait_for(receiving, 60) is None
    console.close()
