"""The seam that everything is read through, and the host behind it."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from stackr.errors import InvalidProject
from stackr.spec.files import HOST
from stackr.spec.load import LoadOptions, load


class Shelf:
    """Files that are only in memory."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def read(self, path: str, most: int) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[path].encode()[:most]

    def read_file(self, path: str, most: int) -> bytes | None:
        return self.read(path, most) if path in self.files else None

    def exists(self, path: str) -> bool:
        return path in self.files or self.is_folder(path)

    def is_folder(self, path: str) -> bool:
        return any(name.startswith(path.rstrip("/") + "/") for name in self.files)

    def names(self, path: str) -> list[str]:
        return [name.rpartition("/")[2] for name in self.files]

    def real(self, path: str) -> str:
        return path.replace("/p/link", "/p/target", 1)


def test_nothing_is_read_but_through_the_seam() -> None:
    shelf = Shelf(
        {
            "/p/compose.yaml": "include: [{path: inc/c.yaml, project_directory: inc/dir}]\n"
            "services:\n  a:\n    extends: {file: base.yaml, service: b}\n    env_file: a.env\n"
            "    label_file: l\n    secrets: [s]\n    develop:\n"
            "      watch: [{path: link/x, action: rebuild}]\nsecrets: {s: {file: secret}}\n",
            "/p/compose.override.yaml": "services: {a: {hostname: '${H}'}}",
            "/p/base.yaml": "services: {b: {image: i}}",
            "/p/inc/c.yaml": "services: {i: {image: '${INNER}'}}",
            "/p/inc/dir/.env": "INNER=inner\n",
            "/p/a.env": "A=1\n",
            "/p/l": "l=1\n",
            "/p/.env": "H=host\n",
            "/p/secret": "hidden",
        }
    )
    project = load(LoadOptions(), {}, Path("/p"), shelf)
    service = project.services["a"]
    assert (service.image, service.hostname) == ("i", "host")
    assert (service.environment, service.labels) == ({"A": "1"}, {"l": "1"})
    assert project.services["i"].image == "inner"
    assert service.develop is not None
    assert service.develop.watch[0].path == "/p/target/x"
    assert project.read(project.secrets["s"].file or "") == b"hidden"
    assert project.compose_files == ("/p/compose.yaml", "/p/compose.override.yaml")


def test_a_read_is_bounded() -> None:
    assert HOST.read("/dev/zero", 70_000) == bytes(70_000)
    assert HOST.read("/dev/null", 5) == b""


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TimeoutError, match="nothing is written to it"):
        HOST.read(str(tmp_path / "pipe"), 5)
    with pytest.raises(InvalidProject, match="pipe: nothing is written to it"):
        load(LoadOptions(files=("pipe",)), {}, tmp_path)


def test_a_pipe_that_is_written_to_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackr.spec.files.SILENCE_S", 60)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"ab" * 100_000,))
    writer.start()
    assert HOST.read(str(tmp_path / "pipe"), 1 << 20) == b"ab" * 100_000
    writer.join()


def test_a_pipe_of_the_shell_may_be_empty() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    try:
        assert HOST.read(f"/dev/fd/{reader}", 5) == b""
    finally:
        os.close(reader)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    assert HOST.read("-", 2) == b"ab"


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("a\0b", "x" * 5000, "\udcff\ud800"):
        assert not HOST.exists(f"{tmp_path}/{name}")
        assert not HOST.is_folder(f"{tmp_path}/{name}")
        with pytest.raises(OSError, match=r"."):
            HOST.read(f"{tmp_path}/{name}", 1)
    with pytest.raises(IsADirectoryError):
        HOST.read(str(tmp_path), 1)


def test_only_a_regular_file_of_the_size_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert HOST.read_file(str(tmp_path / "file"), 5) == b"12345"
    assert HOST.read_file(str(tmp_path / "link"), 5) == b"12345"
    assert HOST.read_file(str(tmp_path / "file"), 4) is None
    for other in (tmp_path, tmp_path / "pipe", tmp_path / "nothing", Path("/dev/zero")):
        assert HOST.read_file(str(other), 5) is None
    assert HOST.read_file("no\0name", 5) is None
