"""The program for `init`: one that needs no libraries, or an error that says which to install."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.oci.init_program import find_init, is_static

PT_LOAD, PT_INTERP = 1, 3


def program(path: Path, *kinds: int, bits: int = 64, order: str = "<") -> Path:
    """An ELF header, and a program header of each kind."""
    at, size = (64, 56) if bits == 64 else (52, 32)
    header = bytearray(64)
    header[:6] = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2])
    struct.pack_into(
        f"{order}Q" if bits == 64 else f"{order}I", header, 32 if bits == 64 else 28, at
    )
    struct.pack_into(f"{order}HH", header, 54 if bits == 64 else 42, size, len(kinds))
    table = b"".join(struct.pack(f"{order}I", kind).ljust(size, b"\0") for kind in kinds)
    path.write_bytes((bytes(header)[:at] + table).ljust(128, b"\0"))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_program_with_an_interpreter_is_not_static(tmp_path: Path, bits: int, order: str) -> None:
    assert is_static(program(tmp_path / "a", PT_LOAD, PT_LOAD, bits=bits, order=order))
    assert not is_static(program(tmp_path / "b", PT_LOAD, PT_INTERP, bits=bits, order=order))


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\nexec tini\n" * 9, b"\x7fELF", None])
def test_what_is_no_program_is_not_static(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    assert not is_static(tmp_path / "x")


def test_this_interpreter_is_judged_as_the_kernel_does() -> None:
    has_maps = "ld-linux" in Path("/proc/self/maps").read_text()
    assert is_static(Path(sys.executable)) == (not has_maps)


def test_the_first_static_program_is_taken(tmp_path: Path) -> None:
    program(tmp_path / "tini", PT_INTERP)
    program(tmp_path / "tini-static", PT_LOAD)
    program(tmp_path / "catatonit", PT_LOAD)
    names = ("docker-init", "tini", "tini-static", "catatonit")
    assert find_init(names, str(tmp_path)) == str(tmp_path / "tini-static")


def test_an_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"no init program found: docker-init, tini") as error:
        find_init(search=str(tmp_path))
    assert "tini-static" in (error.value.hint or "")
    program(tmp_path / "tini", PT_INTERP)
    with pytest.raises(InvalidArgument, match=r"/tini: is linked dynamically") as error:
        find_init(search=str(tmp_path))
    assert "tini-static" in (error.value.hint or "")
