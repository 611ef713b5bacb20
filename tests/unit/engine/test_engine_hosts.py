"""Where an engine may listen: addresses, ports that nobody names, and who could use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.hosts import (
    FdHost,
    Host,
    TcpHost,
    UnixHost,
    check_authenticated,
    parse_host,
)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("unix:///run/x.sock", UnixHost(Path("/run/x.sock"))),
        ("/run/x.sock", UnixHost(Path("/run/x.sock"))),
        ("tcp://10.0.0.1:99", TcpHost("10.0.0.1", 99)),
        ("tcp://[::1]:99", TcpHost("::1", 99)),
        ("tcp://:99", TcpHost("localhost", 99)),
        ("tcp://", TcpHost("localhost", 2375)),
        ("fd://", FdHost("")),
        ("fd://*", FdHost("")),
        ("fd://stackr.socket", FdHost("stackr.socket")),
    ],
)
def test_addresses(text: str, host: Host) -> None:
    assert parse_host(text, tls=False) == host


def test_the_port_is_that_of_tls() -> None:
    assert parse_host("tcp://0.0.0.0", tls=True) == TcpHost("0.0.0.0", 2376)
    assert str(TcpHost("::1", 1)) == "tcp://[::1]:1"


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "unix://", "unix://x", "unix:///" + "x" * 200, "http://x", "npipe:////./pipe/x"),
        *("tcp://a:b", "tcp://a:70000", "tcp://a/b", "tcp://u@a:1", "tcp://[::1", "fd://a b"),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidArgument, match="not an address to listen at"):
        parse_host(text, tls=False)


def test_who_is_root_here() -> None:
    loopback, everywhere = TcpHost("127.0.0.2", 1), TcpHost("0.0.0.0", 1)
    local = UnixHost(Path("/x"))
    assert check_authenticated([loopback, everywhere, local], verifies=True, allowed=False) == []
    (warning,) = check_authenticated([loopback, local], verifies=False, allowed=False)
    assert "any user of this host is root here" in warning
    with pytest.raises(InvalidArgument, match=r"0\.0\.0\.0:1.*whoever reaches it would be root"):
        check_authenticated([loopback, everywhere], verifies=False, allowed=False)
    told = check_authenticated([everywhere], verifies=False, allowed=True)
    assert "whoever reaches it is root here" in told[0]
