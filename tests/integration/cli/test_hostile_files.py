"""Stack files that are made to do harm: one clear line, soon, in little memory.

Each is given to the real command, in an address space of 700 MiB.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

_MEMORY = 700 << 20
_MANY = 1 << 20
_FINE = "services: {a: {image: i}}"


def _laughs(inner: str, outer: str) -> str:
    rows = [f"x0: &a0 {inner}"]
    rows += [f"x{i}: &a{i} " + outer % ",".join([f"*a{i - 1}"] * 10) for i in range(1, 20)]
    return "\n".join([*rows, _FINE])


def _value(text: str) -> str:
    return f'services: {{a: {{image: i, labels: {{x: "{text}"}}}}}}'


_REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "laughs": ({"compose.yaml": _laughs("[1,1]", "[%s]")}, "aliases stand for more than"),
    "merged laughs": ({"compose.yaml": _laughs("{k: 1}", "{<<: [%s]}")}, "aliases stand for more"),
    "a long text many times": (
        {"compose.yaml": f"x: &a {'y' * 100_000}\nz: [{','.join(['*a'] * 90_000)}]"},
        "aliases stand for more",
    ),
    "deep lists": ({"compose.yaml": "a: " + "[" * _MANY}, "nested deeper than 200"),
    "deep maps": ({"compose.yaml": "a: " + "{a: " * 300_000}, "nested deeper than 200"),
    "deep blocks": (
        {"compose.yaml": "".join(f"{' ' * i}a:\n" for i in range(2000))},
        "nested deeper than 200",
    ),
    "many values": ({"compose.yaml": "x-a:\n" + "- a\n" * _MANY}, "more than 250000 keys"),
    "a large file": ({"compose.yaml": "#" * (17 << 20)}, "larger than 16 MiB"),
    "an open quote": ({"compose.yaml": '"' + "a\n" * _MANY}, "unexpected end of stream"),
    "nested variables": (
        {"compose.yaml": _value("${A:-" * 100_000 + "}" * 100_000)},
        "nested too deeply",
    ),
    "many variables": ({"compose.yaml": _value("${A}" * _MANY)}, "too much to expand"),
    "variables that multiply": (
        {
            "compose.yaml": "services: {a: {image: $A30}}",
            ".env": "A0=xxxxxxxx\n"
            + "".join(f"A{i}=" + f"$A{i - 1}" * 3 + "\n" for i in range(1, 31)),
        },
        "too much to expand",
    ),
    "a large env file": (
        {"compose.yaml": "services: {a: {image: i, env_file: e}}", "e": "A=1\n" * (2 * _MANY)},
        "larger than 4 MiB",
    ),
    "a circle of includes": (
        {"compose.yaml": "include: [b.yaml]", "b.yaml": "include: [compose.yaml]"},
        "include cycle",
    ),
    "includes that multiply": (
        {
            "compose.yaml": "include: [c0.yaml]",
            **{f"c{n}.yaml": f"include: [c{n + 1}.yaml, c{n + 1}.yaml]" for n in range(40)},
            "c40.yaml": _FINE,
        },
        "more than 1000 files",
    ),
    "deep includes": (
        {
            "compose.yaml": "include: [c0.yaml]",
            **{f"c{n}.yaml": f"include: [c{n + 1}.yaml]" for n in range(900)},
            "c900.yaml": _FINE,
        },
        "nested deeper than 100 levels",
    ),
    "a large include, often": (
        {
            "compose.yaml": f"include: [{','.join(['b.yaml'] * 900)}]",
            "b.yaml": _value("z" * _MANY),
        },
        "more than 64 MiB together",
    ),
    "a circle of extends": (
        {"compose.yaml": "services: {a: {extends: b}, b: {extends: a}}"},
        "circular reference",
    ),
    "a large base, often": (
        {
            "compose.yaml": "services:\n  b: {image: i, labels: "
            + f"[{','.join(f'a{i}=b' for i in range(2000))}]}}\n"
            + "".join(f"  s{i}: {{extends: b}}\n" for i in range(2000))
        },
        "more than 1000000 values",
    ),
    "many ports": (
        {
            "compose.yaml": "services:\n"
            + "  s%d: {image: i, ports: [1-65535]}\n" * 9 % (*range(9),)
        },
        "too many ports",
    ),
    "many problems": (
        {
            "compose.yaml": "services:\n"
            + "".join(f"  s{i}: {{immage: i}}\n" for i in range(20_000))
        },
        "unknown key",
    ),
    "a long command": (
        {"compose.yaml": f"services: {{a: {{image: i, command: {'a ' * (2 * _MANY)}}}}}"},
        "longer than 2 MiB",
    ),
    "hosts that multiply": (
        {"compose.yaml": f"services: {{a: {{extra_hosts: ['{'a' * _MANY}={',' * _MANY}']}}}}"},
        "more than 16 MiB together",
    ),
    "a huge number": (
        {"compose.yaml": f"services: {{a: {{image: i, cpu_shares: {'1' * _MANY}}}}}"},
        "value out of range",
    ),
    "a pattern of brackets": (
        {"compose.yaml": f"services: {{a: {{x-stackr: {{probe: {{log: '{'(' * 5000}'}}}}}}}}"},
        "is no regular expression",
    ),
    "no UTF-8": ({"compose.yaml": "a: \udcff"}, "invalid leading UTF-8 octet"),
    "NUL": ({"compose.yaml": "a: \0"}, "control characters are not allowed"),
    "NUL in a name": ({"compose.yaml": 'include: ["a\\0b"]'}, "invalid argument"),
    "keys of other kinds": ({"compose.yaml": "{1: 2}"}, "non-string key at top level: 1"),
    "a device": ({"compose.yaml": "include: [/dev/zero]"}, "larger than 16 MiB"),
    "a device of variables": (
        {"compose.yaml": "services: {a: {image: i, env_file: /dev/zero}}"},
        "larger than 4 MiB",
    ),
    "a folder": ({"compose.yaml": "include: [d]", "d/x": ""}, "is a directory"),
    "a missing file": ({"compose.yaml": "include: [none.yaml]"}, "no such file or directory"),
    "a long name": ({"compose.yaml": f"include: [{'x' * 100_000}]"}, "file name too long"),
}
_TAKEN: dict[str, str] = {
    "a large text": _value("z" * (10 << 20)),
    "a large comment": "#" * (10 << 20) + "\n" + _FINE,
    "many lines": "\n" * (10 << 20) + _FINE,
    "many empty documents": _FINE + "\n---\n{}" * 10_000,
    "a mark": "\ufeff" + _FINE,
    "a long chain": "services:\n  s0: {image: i}\n"
    + "".join(f"  s{i}: {{image: i, depends_on: [s{i - 1}]}}\n" for i in range(1, 2000)),
}


def _config(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "stackr", *arguments, "config", "--quiet"],
        cwd=folder,
        env={"HOME": "/", "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY)),
    )


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("name", _REFUSED)
def test_it_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    files, message = _REFUSED[name]
    _write(tmp_path, files)
    done = _config(tmp_path)
    first = done.stderr.decode("utf-8", "replace").splitlines()[0]
    assert done.returncode == 1
    assert message in first
    assert len(first) < 2000
    assert "internal error" not in first
    assert done.stdout == b""


@pytest.mark.parametrize("name", _TAKEN)
def test_it_is_taken(tmp_path: Path, name: str) -> None:
    _write(tmp_path, {"compose.yaml": _TAKEN[name]})
    done = _config(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("name", ["compose.yaml", ".env", "e", "i.yaml", "l"])
def test_a_pipe_that_nobody_writes_to(tmp_path: Path, name: str) -> None:
    text = "include: [i.yaml]\nservices: {a: {image: i, env_file: e, label_file: l}}"
    _write(tmp_path, {"compose.yaml": text, ".env": "", "e": "", "l": "", "i.yaml": "{}"})
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    done = _config(tmp_path)
    assert done.returncode == 1
    assert b"nothing is written to it" in done.stderr


def test_files_of_the_command_line(tmp_path: Path) -> None:
    _write(tmp_path, {"compose.yaml": _FINE})
    assert b"larger than 4 MiB" in _config(tmp_path, "--env-file", "/dev/zero").stderr
    assert _config(tmp_path, "--env-file", "/dev/null").returncode == 0
    assert b"larger than 16 MiB" in _config(tmp_path, "-f", "/dev/zero").stderr
    assert b"empty compose file" in _config(tmp_path, "-f", "/dev/null").stderr
    assert b"is a directory" in _config(tmp_path, "-f", str(tmp_path)).stderr
