"""Units, short forms, command lines, variables and env files: text to values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackr.errors import InvalidArgument
from stackr.spec import dotenv, short, units
from stackr.spec.files import HOST
from stackr.spec.interpolate import (
    InvalidTemplate,
    MissingVariable,
    Substitution,
    substitute,
    variables,
)
from stackr.spec.rules import parse, show
from stackr.spec.shellwords import split

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds", "written"),
    [
        ("0", 0, "0s"),
        ("10s", 10 * SECOND, "10s"),
        ("1m30s", 90 * SECOND, "1m30s"),
        ("1.5h", 5400 * SECOND, "1h30m0s"),
        ("2d", 172800 * SECOND, "48h0m0s"),
        ("1w", 604800 * SECOND, "168h0m0s"),
        ("-1.5s", -1_500_000_000, "-1.5s"),
        ("100ms", 100_000_000, "100ms"),
        ("1us500ns", 1500, "1.5µs"),
    ],
)
def test_durations(text: str, nanoseconds: int, written: str) -> None:
    assert units.parse_duration(text) == nanoseconds
    assert units.format_duration(nanoseconds) == written


@pytest.mark.parametrize(
    "text", ["", "10", "s", "1x", ".s", "-", "1s ", "9999999999w", "9" * 5000 + "s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("100", 100), ("1k", 1024), ("64KB", 65536), ("1.5 GiB", 3 << 29), ("2b", 2), ("1p", 1 << 50)],
)
def test_sizes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1x", "1kbb", "1 kib b", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid|parsing"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e6, "1e+06"),
        (123456.5, "123456.5"),
        (0.00001, "1e-05"),
        (100000.0, "100000"),
        (-1.5, "-1.5"),
        (float("nan"), "NaN"),
        (True, "true"),
        (None, "<nil>"),
        ({"b": 1, "a": [1, "x"]}, "map[a:[1 x] b:1]"),
    ],
)
def test_values_are_written_as_go_writes_them(value: Any, text: str) -> None:
    assert units.go_text(value) == text


def test_a_32_bit_float_is_its_shortest_decimal() -> None:
    assert units.single(0.1) == 0.1
    assert units.single(3.14159274101) == 3.1415927
    with pytest.raises(ValueError, match="out of range"):
        units.single(1e300)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [("", "", 80, "tcp")]),
        ("8080:80/UDP", [("", "8080", 80, "udp")]),
        ("127.0.0.1::80", [("127.0.0.1", "", 80, "tcp")]),
        ("[::1]:81:80", [("::1", "81", 80, "tcp")]),
        ("3000-3001:80-81", [("", "3000", 80, "tcp"), ("", "3001", 81, "tcp")]),
        ("3000-3005:80", [("", "3000-3005", 80, "tcp")]),
    ],
)
def test_ports(text: str, ports: list[tuple[str, str, int, str]]) -> None:
    parsed = short.parse_port(text)
    keys = (("host_ip", ""), ("published", ""), ("target", 0), ("protocol", ""))
    assert [tuple(port.get(key, empty) for key, empty in keys) for port in parsed] == ports


@pytest.mark.parametrize(
    "text", ["", "x", "70000", "80/icmp", "1-2:3-5", "1.2.3:80:80", "5-4", "[::1:80:80", "a:80"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid|no port"):
        short.parse_port(text)


def test_a_range_of_ports_is_bounded() -> None:
    with pytest.raises(ValueError, match="too many ports"):
        short.parse_port("1-65535", most=1000)


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("/data", {"type": "volume", "target": "/data", "volume": {}}),
        ("vol:/data:ro", {"type": "volume", "source": "vol", "target": "/data", "read_only": True}),
        ("./a:/b:z,rshared", {"type": "bind", "source": "./a", "target": "/b"}),
        ("C:\\x:/y", {"type": "bind", "source": "C:\\x", "target": "/y"}),
        ("${A:-x}:/y", {"type": "volume", "source": "${A:-x}", "target": "/y"}),
        ("vol:/data:nocopy", {"type": "volume", "volume": {"nocopy": True}}),
        ("a", {"type": "volume", "target": "a"}),
    ],
)
def test_volumes(text: str, volume: dict[str, Any]) -> None:
    parsed = short.parse_volume(text)
    assert {key: parsed[key] for key in volume} == volume
    assert parsed.get("bind", {"create_host_path": True})["create_host_path"]


@pytest.mark.parametrize("text", ["", ":/x", "aa::b", "aa:bb:ro:dd"])
def test_what_is_no_volume(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid"):
        short.parse_volume(text)


def test_devices_and_hosts() -> None:
    assert short.parse_device("/a:/b:r")["permissions"] == "r"
    assert short.parse_device("/a")["target"] == "/a"
    assert short.parse_host("h=1.1.1.1,::1") == ("h", ["1.1.1.1", "::1"])
    assert short.parse_host("h:1.1.1.1") == ("h", ["1.1.1.1"])
    with pytest.raises(ValueError, match="confusing"):
        short.parse_device("a:b:c:d")
    with pytest.raises(ValueError, match="missing IP"):
        short.parse_host("h")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo  'a b' \"c d\"", ["echo", "a b", "c d"]),
        ("a\\ b 'c\\d'", ["a b", "c\\d"]),
        ("a; b", ["a"]),
        ("a > b", ["a"]),
        ("a 2> b", ["a"]),
        ("''", [""]),
        ("", []),
        ("x=$(a b) `c d`", ["x=$(a b)", "`c d`"]),
    ],
)
def test_command_lines(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize("line", ["'a", '"a', "a\\", "(a)", "`a"])
def test_command_lines_that_do_not_end(line: str) -> None:
    with pytest.raises(ValueError, match="invalid command line"):
        split(line)


ENVIRONMENT = {"A": "a", "EMPTY": "", "B": "b"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A-${B}", "a-b"),
        ("$$A", "$A"),
        ("${NO:-x}${EMPTY:-y}${EMPTY-z}", "xy"),
        ("${A:+x}${EMPTY:+y}${EMPTY+z}${NO+q}", "xz"),
        ("${NO:-${A:-q}}", "a"),
        ("${A:-{x}}", "a"),
        ("${A?no}${A:?no}", "aa"),
        ("$1 $ $-", "$1 $ $-"),
        ("${NO:-a}" * 200, "a" * 200),
        ("${NO}", ""),
    ],
)
def test_variables(text: str, value: str) -> None:
    assert substitute(text, ENVIRONMENT.get) == value


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${A", "${A!x}", "${A b}", "${A:-\n}"])
def test_what_is_no_variable(text: str) -> None:
    with pytest.raises(InvalidTemplate):
        substitute(text, ENVIRONMENT.get)


@pytest.mark.parametrize("text", ["${NO?why $A}", "${EMPTY:?why a}"])
def test_required_variables(text: str) -> None:
    with pytest.raises(MissingVariable, match="is missing a value: why a"):
        substitute(text, ENVIRONMENT.get)


def test_the_default_is_resolved_even_where_it_is_not_used() -> None:
    with pytest.raises(MissingVariable):
        substitute("${A:-${NO:?why}}", ENVIRONMENT.get)


def test_unset_variables_are_told() -> None:
    told: list[str] = []
    substitute("$NO ${NO2} ${NO3:-x}", ENVIRONMENT.get, told.append)
    assert told == ["NO", "NO2"]


def test_what_variables_expand_to_is_bounded() -> None:
    resolve = Substitution({"BIG": "x" * (1 << 20)}.get)
    with pytest.raises(InvalidTemplate, match="more than"):
        resolve("$BIG" * 100)
    with pytest.raises(InvalidTemplate, match="nested too deeply"):
        substitute("${A:-" * 100 + "}" * 100, ENVIRONMENT.get)


def test_the_variables_of_a_tree() -> None:
    tree = {"a": ["${A:-${C-1}} $$x ${B:?w}"], "b": {"c": "$D ${E:+x} ${"}}
    found = variables(tree)
    assert sorted(found) == ["A", "B", "C", "D", "E"]
    assert found["A"].default == "${C-1}"
    assert found["B"].required
    assert found["E"].alternate == "x"


def _parse(text: str) -> dict[str, str]:
    read: dict[str, str] = {}
    dotenv.parse(text, read, ENVIRONMENT.get, lambda name: None)
    return read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("X=1", "1"),
        ("export X = 1 # c", "1"),
        ("X=a#b", "a#b"),
        ("X: yaml", "yaml"),
        ("X='$A \\n'", "$A \\n"),
        ('X="$A \\n \\$A \\" \\0101"', 'a \n $A " A'),
        ('X="two\nlines"', "two\nlines"),
        ("X=${A}-${EMPTY:-d}", "a-d"),
        ("# c\n\n  X=1\n", "1"),
        ("\ufeffX=1", "1"),
        ("X=", ""),
        ("X=1\nX=$X", "1"),
        ("A=own\nX=$A", "a"),
    ],
)
def test_env_files(text: str, value: str) -> None:
    assert _parse(text)["X"] == value


def test_a_bare_name_is_inherited() -> None:
    assert _parse("A\nNO\n") == {"A": "a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\na b=2", "line 2: key cannot contain a space"),
        ("X='a", "line 1: unterminated quoted value 'a"),
        ("A=1\n\n%=2", 'line 3: unexpected character "%"'),
        ("X=${", "invalid template"),
    ],
)
def test_what_is_no_env_file(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        _parse(text)
    assert message in str(caught.value)


def test_raw_env_files_are_taken_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "e"
    file.write_text("# c\n X=$A # not a comment \nA\nNO\nQ='q'\n")
    read: dict[str, str] = {}
    dotenv.read(HOST, str(file), read, ENVIRONMENT.get, lambda name: None, format="raw")
    assert read == {"X": "$A # not a comment ", "A": "a", "Q": "'q'"}


@pytest.mark.parametrize("text", ["=x", "a b=c"])
def test_what_is_no_raw_env_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "e").write_text(text)
    with pytest.raises(InvalidArgument, match="failed to read"):
        dotenv.read(HOST, str(tmp_path / "e"), {}, ENVIRONMENT.get, lambda name: None, format="raw")


def test_env_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="couldn't find"):
        dotenv.read_all(HOST, [str(tmp_path / "no")], {}, lambda name: None)
    with pytest.raises(InvalidArgument, match="is a directory"):
        dotenv.read_all(HOST, [str(tmp_path)], {}, lambda name: None)
    with pytest.raises(InvalidArgument, match='unsupported env_file format "toml"'):
        dotenv.read(
            HOST, str(tmp_path / "no"), {}, ENVIRONMENT.get, lambda name: None, format="toml"
        )
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument, match=r"cannot read .*: Not a directory"):
        dotenv.read_all(HOST, [str(tmp_path / "file" / "below")], {}, lambda name: None)


def test_paths_are_written_and_read() -> None:
    path = ("services", "web", "ports", 0, "target")
    assert show(path) == "services.web.ports[0].target"
    assert parse(show(path)) == path
