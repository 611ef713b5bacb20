"""`docker cp` and `docker export` on the engine, and beside it on dockerd."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.peers]

Docker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def running(docker: Docker, pulled: str, name: str) -> str:
    docker(
        "run", "-d", "--name", name, "--tmpfs", "/scratch", "-v", "/kept", pulled, "sleep", "1000"
    )
    return name


@pytest.fixture
def created(docker: Docker, pulled: str, name: str) -> str:
    docker("create", "--name", name, "-v", "/kept", pulled, "sleep", "1000")
    return name


@pytest.fixture(params=["running", "created"])
def container(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def _piped(docker_host: dict[str, str], *arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        ["docker", *arguments], env=docker_host, input=stdin, capture_output=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_files_go_in_and_come_out(docker: Docker, container: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3_000_000))
    file.chmod(0o640)
    for target in ("/tmp/copy", "/kept/copy", "/new"):
        docker("cp", str(file), f"{container}:{target}")
        back = tmp_path / "back"
        docker("cp", f"{container}:{target}", str(back))
        assert back.read_bytes() == file.read_bytes()
        assert back.stat().st_mode & 0o777 == 0o640
        back.unlink()


def test_a_folder_goes_in_and_comes_out(docker: Docker, container: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "file").write_text("content")
    (tree / "link").symlink_to("/etc/passwd")
    os.link(tree / "deep" / "er" / "file", tree / "twin")
    (tree / ("long" * 60)).write_text("x")
    docker("cp", str(tree), f"{container}:/tmp")
    docker("cp", f"{container}:/tmp/tree", str(tmp_path / "back"))
    back = tmp_path / "back"
    assert (back / "deep" / "er" / "file").read_text() == "content"
    assert os.readlink(back / "link") == "/etc/passwd"
    assert (back / "twin").stat().st_ino == (back / "deep" / "er" / "file").stat().st_ino
    assert (back / ("long" * 60)).read_text() == "x"
    docker("cp", f"{tree}/.", f"{container}:/kept")
    docker("cp", f"{container}:/kept/.", str(tmp_path / "kept"))
    assert sorted(os.listdir(tmp_path / "kept")) == sorted(os.listdir(tree))


def test_archives_go_through_pipes(docker_host: dict[str, str], container: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("below/file")
        entry.size, entry.uid, entry.gid, entry.mode = 4, 12, 34, 0o4750
        archive.addfile(entry, io.BytesIO(b"data"))
    _piped(docker_host, "cp", "-", f"{container}:/tmp", stdin=packed.getvalue())
    out = _piped(docker_host, "cp", f"{container}:/tmp/below", "-")
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert archive.getnames() == ["below", "below/file"]
        [folder, file] = archive.getmembers()
        # An older dockerd says with the mode that it is a file, too.
        assert (file.uid, file.gid, file.mode & 0o7777) == (12, 34, 0o4750)
        assert (folder.uid, folder.mode & 0o7777) == (0, 0o755)


def test_what_is_copied_in_is_there_after_the_start(
    docker: Docker, created: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("hello")
    docker("cp", str(tmp_path / "f"), f"{created}:/etc/f")
    docker("cp", str(tmp_path / "f"), f"{created}:/kept/f")
    docker("start", created)
    assert docker("exec", created, "cat", "/etc/f", "/kept/f").stdout == "hellohello"
    docker("exec", created, "sh", "-c", "echo changed > /etc/f")
    docker("stop", "-t", "0", created)
    docker("cp", f"{created}:/etc/f", str(tmp_path / "f"))
    assert (tmp_path / "f").read_text() == "changed\n"
    docker("cp", f"{created}:/etc/hosts", str(tmp_path / "hosts"))
    assert "localhost" in (tmp_path / "hosts").read_text()


@pytest.mark.unlike_dockerd("one as old as Debian's sees no tmpfs of a container")
def test_a_running_containers_tmpfs_is_seen(docker: Docker, running: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("in memory")
    docker("cp", str(tmp_path / "f"), f"{running}:/scratch/f")
    assert docker("exec", running, "cat", "/scratch/f").stdout == "in memory"
    docker("pause", running)
    docker("cp", f"{running}:/scratch/f", str(tmp_path / "back"))
    docker("unpause", running)
    assert (tmp_path / "back").read_text() == "in memory"


def test_symlinks_are_followed_inside_the_container(
    docker: Docker, running: str, tmp_path: Path
) -> None:
    docker("exec", running, "sh", "-c", "mkdir /real; ln -s /real /abs; ln -s ../../../real /tmp/r")
    (tmp_path / "f").write_text("x")
    docker("cp", str(tmp_path / "f"), f"{running}:/abs/one")
    docker("cp", str(tmp_path / "f"), f"{running}:/tmp/r")
    docker("exec", running, "sh", "-c", "ln -s /abs/one /chain; ln -s /nowhere/at/all /broken")
    assert docker("exec", running, "ls", "/real").stdout == "f\none\n"
    docker("cp", "-L", f"{running}:/chain", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "x"
    docker("cp", f"{running}:/chain", str(tmp_path / "link"))
    assert os.readlink(tmp_path / "link") == "/abs/one"
    assert "nowhere" in docker("cp", "-L", f"{running}:/broken", str(tmp_path), want=1).stderr


def test_what_cannot_be_copied_is_said_as_docker_says_it(
    docker: Docker, container: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("x")
    missing = docker("cp", f"{container}:/no/such", str(tmp_path), want=1).stderr
    assert f"Could not find the file /no/such in container {container}" in missing
    into = docker("cp", str(tmp_path / "f"), f"{container}:/no/such/place", want=1).stderr
    assert f"Could not find the file /no/such in container {container}" in into
    assert "No such container: nope" in docker("cp", "nope:/x", str(tmp_path), want=1).stderr
    assert "irectory" in docker("cp", str(tmp_path), f"{container}:/etc/passwd", want=1).stderr


@pytest.mark.unlike_dockerd("one as old as Debian's sees no tmpfs of a container")
def test_read_only_containers_are_not_written(
    docker: Docker, pulled: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("x")
    options = ("--read-only", "--tmpfs", "/tmp", "-v", "/kept", "-v", f"{tmp_path}:/host:ro")
    docker("create", "--name", name, *options, pulled, "sleep", "1000")
    for verb in ("create", "start"):
        if verb == "start":
            docker("start", name)
        rootfs = docker("cp", str(tmp_path / "f"), f"{name}:/etc/f", want=1).stderr
        assert "container rootfs is marked read-only" in rootfs
        volume = docker("cp", str(tmp_path / "f"), f"{name}:/host/g", want=1).stderr
        assert "mounted volume is marked read-only" in volume
        docker("cp", str(tmp_path / "f"), f"{name}:/kept/f")
    docker("cp", str(tmp_path / "f"), f"{name}:/tmp/f")
    assert docker("exec", name, "cat", "/kept/f", "/tmp/f").stdout == "xx"


def test_the_owner_can_be_the_containers_user(
    docker: Docker, pulled: str, name: str, tmp_path: Path
) -> None:
    docker("run", "-d", "--name", name, "-u", "nobody", pulled, "sleep", "1000")
    (tmp_path / "f").write_text("x")
    os.chown(tmp_path / "f", 7, 8)
    docker("cp", str(tmp_path / "f"), f"{name}:/tmp/plain")
    docker("cp", "-a", str(tmp_path / "f"), f"{name}:/tmp/archived")
    owners = docker("exec", name, "stat", "-c", "%u:%g", "/tmp/plain", "/tmp/archived").stdout
    assert owners.split()[1] == "65534:65534"


def test_an_export_is_the_root_file_system_alone(
    docker: Docker, docker_host: dict[str, str], container: str, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("x")
    docker("cp", str(tmp_path / "f"), f"{container}:/kept/hidden")
    docker("cp", str(tmp_path / "f"), f"{container}:/shown")
    out = _piped(docker_host, "export", container)
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        names = archive.getnames()
    assert "shown" in names
    assert not {"", ".", "/"} & set(names)
    assert not [name for name in names if "hidden" in name or name.startswith("proc/")]


def test_copies_are_events(docker: Docker, container: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    docker("cp", str(tmp_path / "f"), f"{container}:/f")
    docker("cp", f"{container}:/f", str(tmp_path / "g"))
    now = subprocess.run(["date", "+%s.%N"], capture_output=True, text=True).stdout.strip()
    lines = docker(
        "events", "--since", "10m", "--until", now, "--format", "json",
        "--filter", f"container={container}",
    ).stdout  # fmt: skip
    actions = [json.loads(line)["Action"] for line in lines.splitlines()]
    assert [a for a in actions if "-" in a] == ["extract-to-dir", "archive-path"]
