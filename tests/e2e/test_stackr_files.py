"""`stackr cp`, `export` and `commit`, beside Docker Compose v2 on the same engine."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from stackr_stack import STACKR, Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e]

Docker = Callable[..., subprocess.CompletedProcess[str]]
Run = Callable[..., subprocess.CompletedProcess[str]]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command:
          - sh
          - -c
          - |
            mkdir -p /tree/sub; echo a > /tree/a; echo b > /tree/sub/b
            ln -sfn a /tree/l; ln -sfn /tree /treelink; touch /made/all; sleep 1000
        user: ${USER_OF_WEB:-0}
        scale: 2
        healthcheck: {test: test -e /made/all, interval: 0.2s, retries: 300}
        tmpfs: [/made]
        stop_grace_period: 0s
    """


@pytest.fixture(scope="module")
def stack(standing: Stack) -> Stack:
    """One for all: each test writes to places of its own."""
    standing.write(STACK)
    standing("up", "-d", "--wait")
    return standing


def tree(folder: Path) -> dict[str, str]:
    """Every path below a folder, with its kind, mode and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        kind, mode = stat.filemode(status.st_mode)[0], oct(status.st_mode & 0o7777)
        content = os.readlink(path) if kind == "l" else ""
        if kind == "-":
            content = path.read_text()
        found[str(path.relative_to(folder))] = f"{kind} {mode} {content}"
    return found


_OUT = [
    ("/tree", "new"),
    ("/tree", "there"),
    ("/tree/", "there"),
    ("/tree/.", "there"),
    ("/tree/.", "new"),
    ("/tree/a", "new"),
    ("/tree/a", "there"),
    ("/tree/a", "there/renamed"),
    ("/tree/a", "file"),
    ("/tree/l", "new"),
    ("/treelink", "new"),
    ("/treelink/", "there"),
    ("/tree/nope", "new"),
    ("/tree", "file"),
    ("/tree/a", "new/"),
    ("/tree/a", "gone/new"),
    ("relative", "new"),
]


_LINKS = [("/tree", "new"), ("/tree/l", "new"), ("/treelink", "new"), ("/treelink/", "there")]


@pytest.mark.parametrize(("options", "pairs"), [((), _OUT), (("-L",), _LINKS)], ids=["", "L"])
def test_out_of_a_container_as_docker_compose(
    stack: Stack, tmp_path: Path, options: tuple[str, ...], pairs: list[tuple[str, str]]
) -> None:
    differences = {}
    for number, (source, target) in enumerate(pairs):
        outcomes = []
        runs: tuple[Run, ...] = (stack, stack.compose)
        for run, name in zip(runs, ("ours", "theirs"), strict=True):
            folder = tmp_path / f"{name}{number}"
            (folder / "there").mkdir(parents=True)
            (folder / "file").write_text("before")
            done = run("cp", *options, f"web:{source}", f"{folder}/{target}", want=None)
            outcomes.append((done.returncode, tree(folder), done.stderr.splitlines()[-1:]))
        if outcomes[0][:2] != outcomes[1][:2]:
            differences[source, target] = outcomes
    assert not differences


_IN = [
    ("src", "/new"),
    ("src", "/there"),
    ("src/", "/there"),
    ("src/.", "/there"),
    ("src/.", "/new"),
    ("src/x", "/new"),
    ("src/x", "/there"),
    ("src/x", "/there/renamed"),
    ("src/x", "/file"),
    ("src/link", "/new"),
    ("dirlink", "/new"),
    ("src/nope", "/new"),
    ("src", "/file"),
    ("src/x", "/new/"),
    ("src/x", "/gone/new"),
    ("src/x", "/linked"),
    ("src", "/linked"),
]


_FOLLOWED = [("src", "/new"), ("src/link", "/new"), ("dirlink", "/new"), ("dirlink/", "/there")]
_OWNED = [("src", "/new"), ("src/x", "/there"), ("src/x", "/file")]


@pytest.mark.parametrize(
    ("options", "pairs"),
    [((), _IN), (("-L",), _FOLLOWED), (("-a",), _OWNED)],
    ids=["", "L", "a"],
)
def test_into_a_container_as_docker_compose(
    stack: Stack, source_tree: Path, options: tuple[str, ...], pairs: list[tuple[str, str]]
) -> None:
    rooms = [f"/r/{who}/{number}" for who in ("ours", "theirs") for number in range(len(pairs))]
    _in_web(
        stack,
        f"rm -rf /r; for d in {' '.join(rooms)}; do "
        "mkdir -p $d/there; echo old > $d/file; ln -s there $d/linked; done",
    )
    done = [
        run(
            "cp",
            "--index",
            "1",
            *options,
            f"{source_tree}/{source}",
            f"web:{room}{target}",
            want=None,
        )
        for run, half in ((stack, rooms[: len(pairs)]), (stack.compose, rooms[len(pairs) :]))
        for room, (source, target) in zip(half, pairs, strict=True)
    ]
    codes = [each.returncode for each in done]
    assert codes[: len(pairs)] == codes[len(pairs) :], [each.stderr for each in done]
    assert _shown(stack, "/r/ours") == _shown(stack, "/r/theirs")


@pytest.fixture
def source_tree(tmp_path: Path) -> Path:
    """A file of another owner, a folder, a link to each."""
    src = tmp_path / "src"
    (src / "deep").mkdir(parents=True)
    (src / "x").write_text("x")
    (src / "x").chmod(0o640)
    os.chown(src / "x", 1234, 1235)
    (src / "deep/y").write_text("y")
    (src / "link").symlink_to("x")
    (tmp_path / "dirlink").symlink_to("src")
    return tmp_path


def _shown(stack: Stack, folder: str) -> list[str]:
    """Mode, owner, path and a link's target of everything below the container's folder."""
    show = f"cd {folder}; find . | sort | xargs ls -ldn | awk '{{print $1, $3, $4, $9, $10, $11}}'"
    return _in_web(stack, show).splitlines()


def _in_web(stack: Stack, script: str) -> str:
    return stack("exec", "-T", "--index", "1", "web", "sh", "-c", script).stdout


def test_every_replica_gets_it_and_the_first_gives_it(stack: Stack, docker: Docker) -> None:
    (stack.folder / "f").write_text("to all")
    stack("cp", "f", "web:/f")
    for number in ("1", "2"):
        assert stack("exec", "-T", "--index", number, "web", "cat", "/f").stdout == "to all"
    stack("exec", "-T", "--index", "2", "web", "sh", "-c", "echo second > /f")
    stack("cp", "web:/f", "back")
    assert (stack.folder / "back").read_text() == "to all"
    stack("cp", "--index", "2", "web:/f", "back")
    assert (stack.folder / "back").read_text() == "second\n"
    oneoff = stack("run", "-d", "web", "sleep", "1000").stdout.strip()
    assert stack("cp", "--all", "f", "web:/g").stderr.count("Copied") == 3
    assert stack("cp", "f", "web:/h").stderr.count("Copied") == 2
    docker("rm", "-f", oneoff)


def test_archives_through_pipes(stack: Stack) -> None:
    piped = subprocess.run(
        [STACKR, "cp", "web:/tree", "-"], cwd=stack.folder, env=stack.environ, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(piped.stdout)) as archive:
        assert sorted(archive.getnames()) == ["tree", "tree/a", "tree/l", "tree/sub", "tree/sub/b"]
    stack("exec", "-T", "web", "mkdir", "/into")
    subprocess.run(
        [STACKR, "cp", "--index", "1", "-", "web:/into"],
        cwd=stack.folder,
        env=stack.environ,
        input=piped.stdout,
        check=True,
    )
    assert stack("exec", "-T", "web", "cat", "/into/tree/sub/b").stdout == "b\n"


def test_a_stopped_container(stack: Stack) -> None:
    stack("stop", "-t", "0")
    (stack.folder / "f").write_text("still")
    stack("cp", "f", "web:/f")
    stack("cp", "web:/f", "back")
    assert (stack.folder / "back").read_text() == "still"
    stack("start")
    stack("up", "-d", "--wait")


def test_much_is_copied(stack: Stack) -> None:
    content = os.urandom(20 << 20)
    (stack.folder / "big").write_bytes(content)
    stack("cp", "big", "web:/big")
    stack("cp", "web:/big", "back")
    assert (stack.folder / "back").read_bytes() == content


def test_export_is_the_whole_file_system(stack: Stack) -> None:
    stack("export", "-o", "out.tar", "web")
    with tarfile.open(stack.folder / "out.tar") as archive:
        names = archive.getnames()
    assert {"tree/sub/b", "bin/busybox", "etc/passwd"} <= set(names)
    stack.compose("export", "-o", "peer.tar", "web")
    with tarfile.open(stack.folder / "peer.tar") as archive:
        assert sorted(archive.getnames()) == sorted(names)
    piped = subprocess.run(
        [STACKR, "export", "--index", "2", "web"],
        cwd=stack.folder,
        env=stack.environ,
        capture_output=True,
    )
    with tarfile.open(fileobj=io.BytesIO(piped.stdout)) as archive:
        assert "tree/sub/b" in archive.getnames()


def test_commit_makes_an_image_that_runs(stack: Stack, docker: Docker) -> None:
    name = f"{stack.name}/made:v1"
    try:
        _commit(stack, docker, name)
    finally:
        docker("rmi", "-f", name, f"{stack.name}/peer:v1", want=0)


def _commit(stack: Stack, docker: Docker, name: str) -> None:
    script = "echo kept > /tree/kept; rm /tree/a; rm -r /data"
    stack("exec", "-T", "--index", "2", "web", "sh", "-c", script)
    options = [
        *("--index", "2"),
        *("-a", "Me <me@example.org>", "-m", "why", "-c", 'CMD ["cat", "/tree/kept"]'),
        *("-c", "ENV A=b", "--change", "LABEL x=y", "-c", "EXPOSE 80"),
    ]
    shown = stack("commit", *options, "web", name).stderr
    stack.compose("commit", *options, "web", f"{stack.name}/peer:v1")
    [ours] = json.loads(docker("image", "inspect", name).stdout)
    [theirs] = json.loads(docker("image", "inspect", f"{stack.name}/peer:v1").stdout)
    assert f"Committed as {ours['Id']}" in shown
    for key in ("Author", "Comment", "Config", "Architecture", "Os"):
        assert ours.get(key) == theirs.get(key), key
    assert ours["Author"] == "Me <me@example.org>"
    assert len(ours["RootFS"]["Layers"]) == 3
    assert docker("run", "--rm", name).stdout == "kept\n"
    listed = docker("run", "--rm", name, "sh", "-c", "ls /tree; ls -d /data; echo $A")
    assert listed.stdout == "kept\nl\nsub\nb\n"
    assert stack.states() == {"web-1": "running", "web-2": "running"}


def test_a_dry_run_changes_nothing(stack: Stack, docker: Docker) -> None:
    (stack.folder / "f").write_text("")
    assert "would copy f to" in stack("cp", "--dry-run", "f", "web:/dry").stdout
    stack("exec", "-T", "web", "test", "!", "-e", "/dry")
    assert "would" in stack("cp", "--dry-run", "web:/tree", "out").stdout
    assert "would" in stack("export", "--dry-run", "-o", "out", "web").stdout
    assert not (stack.folder / "out").exists()
    assert "would" in stack("commit", "--dry-run", "web", f"{stack.name}/dry").stdout
    assert docker("images", "-q", f"{stack.name}/dry").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cp", "a", "b"), "cp: unknown copy direction"),
        (("cp", "web:/a", "web:/b"), "copying between services is not supported"),
        (("cp", "nope", "web:/x"), "nope: no such file or directory"),
        (("cp", "web:/nope", "x"), "Could not find the file /nope in container"),
        (("cp", "nope:/x", "x"), "no such service: nope"),
        (("cp", "-", "web:/tree"), "stdin can go to one container only"),
        (("cp", "--index", "7", "web:/tree", "x"), "has no container #7"),
        (("cp", "web:", "x"), "a path is expected behind the colon"),
        (("export", "nope"), "no such service: nope"),
        (("commit", "nope"), "no such service: nope"),
        (("commit", "-c", "FROM x", "web"), "FROM"),
        (("commit", "web", "case/UPPER"), "invalid reference format"),
    ],
)
def test_bad_usage(stack: Stack, arguments: tuple[str, ...], message: str) -> None:
    shown = stack(*arguments, want=1).stderr
    assert message in shown
    assert len(shown.splitlines()) <= 2
