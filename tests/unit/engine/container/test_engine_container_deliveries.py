"""Logs that are sent elsewhere: their messages, their addresses, and what sends them."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib
from pathlib import Path

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.io.deliveries import (
    Address,
    Message,
    Origin,
    fluentd,
    gelf,
    journal,
    parse_address,
    syslog,
)
from stackr.runtime.engine.container.io.log_options import Rotation, destination, rotation
from stackr.runtime.engine.container.io.log_sender import LogSender
from stackr.runtime.engine.container.settings.spec import LogConfig

_ORIGIN = Origin("f" * 64, "web", "i:1", "sha256:0", "sh -c x", "2026-01-01", "tag", {"a": "1"})
_OUT = Message("stdout", 1_767_323_045_120_000_000, "hello")
_ERR = Message("stderr", 1_767_323_045_120_000_000, "no")


def test_syslog_messages() -> None:
    plain = syslog(_ORIGIN, _OUT, form="", kind=3, is_stream=False)
    assert plain.startswith(b"<30>Jan  2 03:04:05 tag[")
    assert plain.endswith(b"]: hello")
    assert syslog(_ORIGIN, _ERR, form="rfc3164", kind=16, is_stream=True).startswith(b"<131>")
    framed = syslog(_ORIGIN, _OUT, form="rfc5424micro", kind=3, is_stream=True)
    size, _, rest = framed.partition(b" ")
    assert int(size) == len(rest)
    assert rest.startswith(b"<30>1 2026-01-02T03:04:05.120000+00:00 ")


def test_gelf_messages() -> None:
    (packed,) = gelf(_ORIGIN, _OUT, packing="gzip", is_stream=False)
    value = json.loads(gzip.decompress(packed))
    assert (value["short_message"], value["level"], value["_a"]) == ("hello", 6, "1")
    (plain,) = gelf(_ORIGIN, _ERR, packing="none", is_stream=True)
    assert json.loads(plain.rstrip(b"\0"))["level"] == 3
    large = Message("stdout", 0, "x" * 20_000)
    parts = list(gelf(_ORIGIN, large, packing="none", is_stream=False))
    assert [part[:2] + part[10:12] for part in parts] == [
        b"\x1e\x0f" + bytes((number, 3)) for number in range(3)
    ]
    (small,) = gelf(_ORIGIN, large, packing="zlib", is_stream=False)
    assert b"xxx" in zlib.decompress(small)


def test_fluentd_and_journal_messages() -> None:
    data = fluentd(_ORIGIN, _OUT)
    assert data.startswith(b"\x93\xa3tag\xce")
    assert b"\xa3log\xa5hello" in data
    assert data[10] == 0x85
    entry = journal(_ORIGIN, _ERR)
    assert b"MESSAGE\n\x02" + bytes(7) + b"no\n" in entry
    assert b"PRIORITY\n\x01" + bytes(7) + b"3\n" in entry
    assert b"A\n\x01" + bytes(7) + b"1\n" in entry


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("udp://1.2.3.4:5", Address("udp", "1.2.3.4", 5)),
        ("tcp://[::1]", Address("tcp", "::1", 514)),
        ("host:1", Address("udp", "host", 1)),
        ("unixgram:///dev/log", Address("unixgram", "/dev/log")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    schemes = ("udp", "tcp", "unixgram")
    assert parse_address("syslog-address", text, schemes=schemes, port=514) == address


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("syslog", {"syslog-address": "tcp+tls://h:1"}, "syslog-address: tcp+tls: expected one of"),
        ("syslog", {"syslog-address": "udp://h:x"}, "syslog-address"),
        ("syslog", {"syslog-facility": "odd"}, "invalid syslog facility"),
        ("syslog", {"syslog-format": "odd"}, "invalid syslog format"),
        ("gelf", {}, "gelf-address is required"),
        ("gelf", {"gelf-address": "udp://h", "gelf-compression-type": "xz"}, "compression-type"),
        ("fluentd", {"fluentd-address": "unix://x"}, "must be absolute"),
        ("fluentd", {"fluentd-request-ack": "true"}, "unknown log opt 'fluentd-request-ack'"),
        ("splunk", {}, 'plugin "splunk" not found'),
    ],
)
def test_what_cannot_be_sent_so_is_refused(kind: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        rotation(LogConfig(type=kind, config=options))
    assert text in caught.value.message


def test_what_is_sent_is_kept_for_readers_too() -> None:
    assert rotation(LogConfig(type="syslog")) == Rotation(20 << 20, 5)
    found = destination(LogConfig(type="fluentd"))
    assert found is not None
    assert found[0] == Address("tcp", "127.0.0.1", 24224)


def _sender(address: Address, buffer_bytes: int = 0) -> LogSender:
    loop = asyncio.get_running_loop()
    return LogSender(
        address,
        lambda message: (message.text.encode() + b";",),
        start=lambda work, name: loop.create_task(work, name=name),
        buffer_bytes=buffer_bytes,
    )


async def test_a_receiver_that_comes_late_gets_it_in_order(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    sender = _sender(Address("unix", str(path)), buffer_bytes=6)
    sender.send(Message("stdout", 0, text) for text in ("lost", "one", "2"))
    await asyncio.sleep(0.05)  # it finds nobody
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        sender.send([Message("stdout", 0, "3")])
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        seen = b""
        while len(seen) < 4:
            seen += await loop.sock_recv(connection, 100)
        connection.close()
    assert seen == b"2;3;"
    await sender.close()


async def test_datagrams_are_sent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        sender = _sender(Address("udp", "127.0.0.1", receiver.getsockname()[1]))
        sender.send([_OUT, _ERR])
        await sender.close()
        assert [receiver.recv(100), receiver.recv(100)] == [b"hello;", b"no;"]
