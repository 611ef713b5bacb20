"""What the command of a test environment is told, and by which names."""

from __future__ import annotations

import json

import pytest

from stackr.cli.commands.test import check_command, fixed_ports
from stackr.errors import InvalidArgument
from stackr.stack.testenv.options import EnvironmentOptions
from stackr.stack.testenv.variables import (
    Address,
    Member,
    dotenv,
    reached_from,
    services_json,
    variables,
)


def _member(service: str, number: int = 1, *ports: Address) -> Member:
    return Member(service, number, ports=ports)


def test_the_variables_of_one_port() -> None:
    values, unclear = variables([_member("web", 1, Address(80, "127.0.0.1", 20123))])
    assert values == {
        "STACKR_WEB_80": "127.0.0.1:20123",
        "STACKR_WEB_80_HOST": "127.0.0.1",
        "STACKR_WEB_80_PORT": "20123",
        "STACKR_WEB_80_URL": "http://127.0.0.1:20123",
    }
    assert unclear == []


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address(443, "127.0.0.1", 1), "https://127.0.0.1:1"),
        (Address(5432, "::1", 2), "postgresql://[::1]:2"),
        (Address(80, "h", 3, scheme="grpc"), "grpc://h:3"),
        (Address(9999, "h", 4), "tcp://h:4"),
        (Address(53, "h", 5, "udp"), "udp://h:5"),
    ],
)
def test_a_ports_url(address: Address, url: str) -> None:
    assert address.url == url


def test_names_are_made_of_letters_and_digits() -> None:
    hostile = ["a-b.c_d", "9lives", "x" * 100]
    values, _ = variables([_member(name, 1, Address(80, "h", 1)) for name in hostile])
    assert {name for name in values if name.endswith("_PORT")} == {
        "STACKR_A_B_C_D_80_PORT",
        "STACKR_9LIVES_80_PORT",
        f"STACKR_{'X' * 100}_80_PORT",
    }


def test_udp_has_names_of_its_own() -> None:
    values, unclear = variables(
        [_member("dns", 1, Address(53, "h", 1), Address(53, "h", 2, "udp"))]
    )
    assert (values["STACKR_DNS_53_PORT"], values["STACKR_DNS_53_UDP_PORT"]) == ("1", "2")
    assert unclear == []


def test_of_several_containers_each_has_its_own() -> None:
    members = [_member("web", n, Address(80, "h", n)) for n in (3, 1, 2)]
    values, unclear = variables(members)
    ports = {name: value for name, value in values.items() if name.endswith("_PORT")}
    assert ports == {
        "STACKR_WEB_80_PORT": "1",
        "STACKR_WEB_1_80_PORT": "1",
        "STACKR_WEB_2_80_PORT": "2",
        "STACKR_WEB_3_80_PORT": "3",
    }
    assert unclear == []


def test_what_two_services_would_be_called_is_left_out() -> None:
    values, unclear = variables(
        [
            _member("my-app", 1, Address(80, "h", 1), Address(81, "h", 2)),
            _member("my.app", 1, Address(80, "h", 3)),
            _member("web", 1, Address(80, "h", 4)),
            _member("web", 2, Address(80, "h", 5)),
            _member("web_1", 1, Address(80, "h", 6)),
        ]
    )
    assert [name for name in unclear if name.endswith("_PORT")] == [
        "STACKR_MY_APP_80_PORT",
        "STACKR_WEB_1_80_PORT",
    ]
    assert {name for name in values if name.endswith("_PORT")} == {
        "STACKR_MY_APP_81_PORT",
        "STACKR_WEB_80_PORT",
        "STACKR_WEB_2_80_PORT",
    }


def test_every_address_is_reached_at_one() -> None:
    published = [
        Address(80, "0.0.0.0", 1),
        Address(80, "::", 1),
        Address(81, "::", 2),
        Address(82, "10.0.0.1", 3),
        Address(83, "", 4),
    ]
    seen = reached_from("127.0.0.1", published)
    assert [address.text for address in seen] == [
        "127.0.0.1:1",
        "[::1]:2",
        "10.0.0.1:3",
        "127.0.0.1:4",
    ]
    far = reached_from("ci.example", published)
    assert [address.text for address in far] == [
        "ci.example:1",
        "ci.example:2",
        "10.0.0.1:3",
        "ci.example:4",
    ]


def test_all_of_it_as_json() -> None:
    told = json.loads(services_json([_member("web", 1, Address(80, "h", 1)), _member("db")]))
    assert told["web"][0]["ports"] == [
        {"container_port": 80, "host": "h", "port": 1, "protocol": "tcp", "url": "http://h:1"}
    ]
    assert told["db"][0]["ports"] == []


def test_dotenv_quotes_what_a_shell_would_read_otherwise() -> None:
    assert dotenv({"A": "127.0.0.1:80", "B": "a b", "C": "it's", "D": '{"x":1}', "E": ""}) == (
        "A=127.0.0.1:80\nB='a b'\nC='it'\\''s'\nD='{\"x\":1}'\nE=\n"
    )


def test_spans_and_fixed_ports() -> None:

    from stackr.cli.arguments import parse_span

    assert parse_span("--ttl", "90") == 90
    assert parse_span("--ttl", "1.5") == 1.5
    assert parse_span("--ttl", "1h30m") == 5400
    assert parse_span("--ttl", "0") is None
    for text in ("", "soon", "-1", "-5m", "1e400", "nan", "5 m"):
        with pytest.raises(InvalidArgument, match="--ttl"):
            parse_span("--ttl", text)
    assert fixed_ports(["web:80", "a:b:443"]) == {("web", 80), ("a:b", 443)}
    for text in ("web", ":80", "web:", "web:x", "web:-1", "web:\N{SUPERSCRIPT TWO}"):
        with pytest.raises(InvalidArgument, match="--fixed-port"):
            fixed_ports([text])
    with pytest.raises(InvalidArgument, match="a command is expected"):
        check_command(EnvironmentOptions())
    with pytest.raises(InvalidArgument, match="--timeout needs a command"):
        check_command(EnvironmentOptions(keep=True, timeout_s=1))
