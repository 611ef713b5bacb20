"""`docker build` without BuildKit, and docker-py, against the embedded engine's builder."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker as docker_py
import pytest
from docker.errors import APIError, BuildError
from engine_request import raw_request, request

from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e]

Docker = Callable[..., subprocess.CompletedProcess[str]]


class Kitchen:
    """A context's folder and the builds of it; `BASE` in a Dockerfile is the test image."""

    def __init__(self, docker: Docker, engine: EngineConfig, folder: Path, base: str) -> None:
        self.docker = docker
        self.engine = engine
        self.folder = folder
        self.base = base
        self.tag = f"t-{uuid.uuid4().hex[:8]}"

    def write(self, path: str, content: str | bytes = "") -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def build(self, text: str, *options: str, want: int = 0) -> str:
        """The output of a build of this Dockerfile."""
        self.write("Dockerfile", text.replace("BASE", self.base))
        done = self.docker("build", "-t", self.tag, *options, str(self.folder), want=want)
        return done.stdout + done.stderr

    def run(self, *command: str) -> str:
        return self.docker("run", "--rm", self.tag, *command).stdout

    def inspect(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", self.tag).stdout)
        return found[0]

    def context(self, **members: tuple[bytes, bytes]) -> bytes:
        """An archive of (type, content or link's target) by name."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, (kind, content) in members.items():
                info = tarfile.TarInfo(name.replace("__", "/"))
                info.type = kind
                info.size = len(content) if kind == tarfile.REGTYPE else 0
                info.linkname = "" if kind == tarfile.REGTYPE else content.decode()
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()


@pytest.fixture
def kitchen(
    docker: Docker,
    engine: EngineConfig,
    tmp_path: Path,
    pulled: str,
    monkeypatch: pytest.MonkeyPatch,
    docker_host: dict[str, str],
) -> Iterator[Kitchen]:
    docker_host["DOCKER_BUILDKIT"] = "0"
    folder = tmp_path / "context"
    folder.mkdir()
    made = Kitchen(docker, engine, folder, pulled)
    yield made
    docker("image", "prune", "-f")
    for image in docker("images", "-q", made.tag).stdout.split():
        docker("rmi", "-f", image)
    docker("builder", "prune", "-af")
    assert request(engine.socket, "GET", "/containers/json?all=1")[1] == []


def test_an_image_as_source_of_the_cache_is_told_to_add_nothing(kitchen: Kitchen) -> None:
    shown = kitchen.build("FROM BASE\nENV A=1\n", "--cache-from", "some/image")
    assert "[Warning] cache_from some/image: No such image: some/image:latest" in shown


def test_a_build_of_two_stages(kitchen: Kitchen) -> None:
    kitchen.write("a.txt", "hello\n")
    kitchen.write("d/x", "x")
    (kitchen.folder / "d" / "l").symlink_to("x")
    output = kitchen.build(
        """
        FROM BASE AS one
        ARG V=1
        ENV A=b C=$V
        WORKDIR /work/sub
        RUN echo $V > f && echo out && echo err >&2
        COPY a.txt .
        COPY --chown=1:50 --chmod=0640 d /dd
        RUN rm a.txt && ln -s f g && ln f h
        FROM BASE
        COPY --from=one /work /dd /w/
        LABEL x="y z"
        EXPOSE 80
        USER 1:2
        CMD ["cat", "/w/sub/g"]
        """,
        "--build-arg",
        "V=7",
        "--label",
        "from=cli",
    )
    assert "Step 1/14 : FROM" in output
    assert "out\n" in output
    assert f"Successfully tagged {kitchen.tag}:latest" in output
    assert kitchen.run() == "7\n"
    assert kitchen.run("sh", "-c", "cd /w; ls; stat -c '%u:%g %a' x; readlink l") == (
        "l\nsub\nx\n1:50 640\nx\n"
    )
    config = kitchen.inspect()["Config"]
    assert config["Cmd"] == ["cat", "/w/sub/g"]
    assert config["User"] == "1:2"
    assert config["Labels"] == {"x": "y z", "from": "cli"}
    assert config["ExposedPorts"] == {"80/tcp": {}}


def test_what_has_not_changed_is_not_done_again(kitchen: Kitchen) -> None:
    kitchen.write("a", "1")
    kitchen.write("b", "1")
    text = (
        "FROM BASE\nRUN cat /proc/sys/kernel/random/uuid > /when\nCOPY a /a\n"
        "RUN cat /proc/sys/kernel/random/uuid > /then\nLABEL x=y\n"
    )
    kitchen.build(text)
    first, when = kitchen.inspect()["Id"], kitchen.run("cat", "/when")
    os.utime(kitchen.folder / "a", (1, 1))
    kitchen.write("b", "2")
    assert kitchen.build(text).count("Using cache") == 4
    assert kitchen.inspect()["Id"] == first
    kitchen.write("a", "2")
    assert kitchen.build(text).count("Using cache") == 1
    assert kitchen.run("cat", "/when") == when
    kitchen.build(text, "--no-cache")
    assert kitchen.run("cat", "/when") != when


def test_a_copy_from_a_stage_goes_by_the_files_that_it_reads(kitchen: Kitchen) -> None:
    text = (
        "FROM BASE AS made\nARG X\nRUN echo $X > /other; echo same > /out\n"
        "FROM BASE\nCOPY --from=made /out /\nRUN cat /proc/sys/kernel/random/uuid > /u\n"
    )
    kitchen.build(text, "--build-arg", "X=1")
    first = kitchen.run("cat", "/u")
    kitchen.build(text, "--build-arg", "X=2")
    assert kitchen.run("cat", "/u") == first
    kitchen.build(text.replace("same", "another"), "--build-arg", "X=2")
    assert kitchen.run("cat", "/u", "/out") != first


def test_each_layer_has_what_its_step_changed_and_no_more(kitchen: Kitchen) -> None:
    kitchen.build(
        """
        FROM BASE
        RUN --mount=type=tmpfs,target=/new/tmp --mount=type=cache,target=/c/d touch /c/d/x
        RUN rm /data/hello && mkdir /data/d && mknod /data/p p && touch /data/s
        RUN rm -r /data && mkdir -p /data/fresh
        RUN true
        """
    )
    assert kitchen.run("sh", "-c", "ls -a /data; ls -d /new /c 2>&1; true") == (
        ".\n..\nfresh\nls: /new: No such file or directory\nls: /c: No such file or directory\n"
    )
    sizes = kitchen.docker("history", "--format", "{{.CreatedBy}}", kitchen.tag).stdout
    assert sizes.startswith("RUN true\n")
    assert len(kitchen.inspect()["RootFS"]["Layers"]) == 2 + 2


def test_mounts_of_a_step(kitchen: Kitchen) -> None:
    kitchen.write("in/a", "from the context")
    kitchen.build(
        """
        FROM BASE AS other
        RUN echo from the stage > /s
        FROM BASE
        RUN --mount=target=/in,source=in --mount=from=other,source=/s,target=/s \\
            --mount=type=cache,target=/cache,uid=7,mode=0700 \\
            cat /in/a > /out && cat /s >> /out && stat -c '%u %a' /cache >> /out \\
            && ! touch /in/b 2> /dev/null && echo kept > /cache/k
        RUN --mount=type=cache,target=/cache cat /cache/k >> /out; [ ! -e /s ]
        """
    )
    assert kitchen.run("cat", "/out") == "from the contextfrom the stage\n7 700\nkept\n"


def test_what_is_written_to_a_bind_mount_is_dropped(kitchen: Kitchen) -> None:
    kitchen.write("in/a", "1")
    kitchen.build(
        """
        FROM BASE AS other
        RUN mkdir /o && echo first > /o/f
        FROM BASE
        RUN --mount=source=in,target=/in,rw --mount=from=other,source=o,target=/o,rw \\
            echo new > /in/b && echo new > /o/f && cat /in/b /o/f > /out
        RUN --mount=source=in,target=/in --mount=from=other,source=o,target=/o \\
            ls /in >> /out; cat /o/f >> /out
        RUN --mount=type=cache,target=/c,from=other,source=/o cat /c/f >> /out && echo 2 > /c/f
        RUN --mount=type=cache,target=/c cat /c/f >> /out
        """
    )
    assert kitchen.run("cat", "/out").split() == ["new", "new", "a", "first", "first", "2"]


def test_a_failing_step(kitchen: Kitchen) -> None:
    output = kitchen.build("FROM BASE\nRUN echo before; exit 7\nRUN true\n", want=7)
    assert "The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7" in output
    assert "before" in output
    output = kitchen.build('FROM BASE\nRUN ["/nope"]\n', want=1)
    assert "/nope" in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RNU x\n", "dockerfile parse error on line 1: unknown instruction: RNU"),
        ("FROM BASE\nCOPY nope /\n", "stat nope: file does not exist"),
        ("FROM BASE\nCOPY --from=nope /a /\n", "nope"),
        ("FROM BASE\nRUN --security=insecure x\n", "RUN --security"),
        ("FROM --platform=linux/s390x BASE\nRUN x\n", "linux/s390x"),
        ("FROM BASE\nADD --checksum=sha256:00 http://x /\n", "invalid checksum"),
        ("FROM BASE\nCOPY d /etc/passwd/x\n", "/etc/passwd"),
    ],
)
def test_what_is_wrong_is_told(kitchen: Kitchen, text: str, message: str) -> None:
    kitchen.write("d/f")
    assert message in kitchen.build(text, want=1)


def test_archives_are_unpacked_by_add_alone(kitchen: Kitchen) -> None:
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        with tarfile.open(kitchen.folder / f"a.{mode[2:]}", mode) as archive:
            info = tarfile.TarInfo(f"in-{mode[2:]}/f")
            info.size, info.uid = 1, 5
            archive.addfile(info, io.BytesIO(b"x"))
    kitchen.write("plain.gz", b"\x1f\x8b no archive")
    kitchen.build("FROM BASE\nADD a. a.gz a.bz2 a.xz plain.gz /to/\nCOPY a.gz /to/kept\n")
    listed = kitchen.run("sh", "-c", "cd /to; find . -type f | sort; stat -c %u in-xz/f")
    assert listed.split() == [
        *("./in-/f", "./in-bz2/f", "./in-gz/f", "./in-xz/f", "./kept", "./plain.gz", "5")
    ]


@pytest.mark.parametrize("name", ["../../evil", "/../evil"])
def test_an_archive_that_climbs_out_is_refused(kitchen: Kitchen, name: str) -> None:
    with tarfile.open(kitchen.folder / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    output = kitchen.build("FROM BASE\nADD a.tar /to/\n", want=1)
    assert "evil" in output


def post(kitchen: Kitchen, body: bytes, query: str = "") -> tuple[int, str]:
    """Status and lines of a build of this archive."""
    path = f"/build?{query}"
    status, data = raw_request(kitchen.engine.socket, "POST", path, body, "application/x-tar")
    return status, data.decode()


def test_a_hostile_context_leads_nowhere(kitchen: Kitchen) -> None:
    text = f"FROM {kitchen.base}\nCOPY l /l\n".encode()
    dockerfile = (tarfile.REGTYPE, text)
    outside = kitchen.context(Dockerfile=dockerfile, l=(tarfile.SYMTYPE, b"/etc/shadow"))
    assert "stat l: file does not exist" in post(kitchen, outside)[1]
    through = kitchen.context(
        Dockerfile=dockerfile, l=(tarfile.SYMTYPE, b"/etc"), l__passwd=(tarfile.REGTYPE, b"x")
    )
    assert "is below something that is no folder" in post(kitchen, through)[1]
    linked = kitchen.context(Dockerfile=dockerfile, l=(tarfile.LNKTYPE, b"/etc/passwd"))
    assert "links to what is not in the archive" in post(kitchen, linked)[1]
    assert "build context" in post(kitchen, b"no archive at all" * 100)[1]
    assert post(kitchen, kitchen.context(x=(tarfile.REGTYPE, b"x")))[0] == 400


def test_what_is_wrong_in_a_later_line_is_told_before_a_step_is_executed(kitchen: Kitchen) -> None:
    first = "RUN cat /proc/sys/kernel/random/uuid"
    for last in ("ENV", "HEALTHCHECK x", "FROM one AS two\nFROM two\nEXPOSE 99999"):
        shown = kitchen.build(f"FROM BASE AS one\n{first}\n{last}\n", want=1)
        assert f"on line {2 + len(last.splitlines())}: " in shown
        assert "Running in" not in shown
    shown = kitchen.build(f"FROM BASE\n{first}\n")
    assert shown.index(" ---> Running in ") < shown.index(" ---> Removed intermediate container ")


def test_devices_and_pipes_of_a_context(kitchen: Kitchen) -> None:
    os.mkfifo(kitchen.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(kitchen.folder / "socket"))
        kitchen.build("FROM BASE\nCOPY . /all/\n")
    assert kitchen.run("sh", "-c", "ls /all; [ -p /all/pipe ]") == "Dockerfile\npipe\n"


def test_what_is_ignored_is_not_there(kitchen: Kitchen) -> None:
    kitchen.write(".dockerignore", "*.log\nnode\n!node/keep\n")
    for path in ("a.log", "b", "node/x", "node/keep/y"):
        kitchen.write(path)
    kitchen.build("FROM BASE\nCOPY . /all/\nRUN --mount=target=/m [ ! -e /m/a.log ]\n")
    assert kitchen.run("sh", "-c", "cd /all; find . -type f | sort").split() == [
        *("./.dockerignore", "./Dockerfile", "./b", "./node/keep/y")
    ]


def test_the_dockerfile_and_the_list_are_ignored_where_the_list_says_so(kitchen: Kitchen) -> None:
    """The client has to send both; whatever else an archive has, its sender wanted there."""
    kitchen.write("kept")
    kitchen.write(".dockerignore", "Dockerfile\n.dockerignore\nsent\n")
    kitchen.build("FROM BASE\nCOPY . /all\nRUN --mount=target=/m [ ! -e /m/Dockerfile ]\n")
    assert kitchen.run("ls", "-A", "/all").split() == ["kept"]
    text = f"FROM {kitchen.base}\nCOPY . /all\n".encode()
    elsewhere = kitchen.folder.with_name("elsewhere")
    elsewhere.write_bytes(text)
    kitchen.write(".dockerignore", ".dockerignore\nDockerfile\n")
    kitchen.docker("build", "-t", kitchen.tag, "-f", str(elsewhere), str(kitchen.folder))
    assert kitchen.run("ls", "-A", "/all").split() == ["kept"]
    context = kitchen.context(
        Dockerfile=(tarfile.REGTYPE, text),
        sent=(tarfile.REGTYPE, b""),
        **{".dockerignore": (tarfile.REGTYPE, b"*\n")},
    )
    status, answer = post(kitchen, context, f"t={kitchen.tag}")
    assert (status, "Successfully tagged" in answer) == (200, True), answer
    assert kitchen.run("ls", "-A", "/all").split() == ["sent"]


@pytest.mark.parametrize(
    "query",
    [
        "squash=1",
        "version=2",
        "session=x",
        "outputs=[%7B%22Type%22:%22tar%22%7D]",
        "isolation=hyperv",
    ],
)
def test_what_is_not_honoured_is_refused_by_name(kitchen: Kitchen, query: str) -> None:
    context = kitchen.context(Dockerfile=(tarfile.REGTYPE, f"FROM {kitchen.base}".encode()))
    status, text = post(kitchen, context, query)
    assert status == 501
    assert "not supported" in text


def test_what_a_run_step_is_given(kitchen: Kitchen) -> None:
    kitchen.build(
        "FROM BASE\nRUN grep -q '10.9.8.7.*some.host' /etc/hosts && df -k /dev/shm | grep -q 2048"
        " && [ $(ulimit -n) = 100 ]\nRUN --network=none [ $(ls /sys/class/net) = lo ]\n",
        *("--add-host", "some.host:10.9.8.7", "--shm-size", "2m", "--ulimit", "nofile=100:100"),
    )


def test_the_same_input_gives_the_same_image(kitchen: Kitchen) -> None:
    text = "FROM BASE\nARG SOURCE_DATE_EPOCH\nRUN echo x > /x; mkdir /d\nCOPY a /a\nWORKDIR /w\n"
    kitchen.write("a")
    ids = set()
    for _ in range(2):
        kitchen.build(text, "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000")
        ids.add(kitchen.inspect()["Id"])
        kitchen.docker("rmi", "-f", kitchen.tag)
        kitchen.docker("builder", "prune", "-af")
    assert len(ids) == 1


def test_build_arguments_are_not_in_the_history(kitchen: Kitchen) -> None:
    kitchen.build("FROM BASE\nARG T\nRUN test $T\n", "--build-arg", "T=hunter2")
    told = kitchen.docker("history", "--no-trunc", kitchen.tag).stdout
    told += json.dumps(kitchen.inspect()) + kitchen.docker("system", "df", "-v").stdout
    assert "hunter2" not in told


def test_a_base_with_triggers(kitchen: Kitchen) -> None:
    kitchen.write("f", "x")
    base = f"{kitchen.tag}-base"
    kitchen.docker(
        "build",
        "-q",
        "-t",
        base,
        "-",
        stdin=f"FROM {kitchen.base}\nONBUILD COPY f /triggered\nONBUILD ENV A=b\n",
    )
    try:
        kitchen.build(f"FROM {base}\nRUN test $A = b\n")
        assert kitchen.run("cat", "/triggered") == "x"
        assert not kitchen.inspect()["Config"]["OnBuild"]
    finally:
        kitchen.docker("rmi", "-f", base)


def test_pruning(kitchen: Kitchen) -> None:
    kitchen.build(
        "FROM BASE\nRUN --mount=type=cache,target=/c head -c 5000 /dev/zero > /c/x\n"
        "RUN head -c 70000 /dev/zero > /x\n"
    )
    shown = request(kitchen.engine.socket, "GET", "/system/df?type=build-cache")[1]
    sizes = {entry["Type"]: entry["Size"] for entry in shown["BuildCache"]}
    assert sizes["exec.cachemount"] == 5000
    assert kitchen.docker("rmi", kitchen.tag)
    pruned = request(kitchen.engine.socket, "POST", "/build/prune?all=1")[1]
    assert pruned["SpaceReclaimed"] == 75000
    shown = request(kitchen.engine.socket, "GET", "/system/df?type=build-cache")[1]
    assert shown["BuildCache"] == []


def test_what_was_built_is_pushed_and_pulled(
    kitchen: Kitchen, registry: str, docker: Docker
) -> None:
    text = "FROM BASE\nRUN rm /data/hello && ln /etc/group /g && setfattr 2>/dev/null; mkdir /n\n"
    kitchen.build(text)
    name, files = f"{registry}/test/{kitchen.tag}", "ls /data; stat -c %h /g; ls -d /n"
    image = kitchen.inspect()
    docker("tag", kitchen.tag, name)
    try:
        docker("push", name)
        docker("rmi", name, kitchen.tag)
        docker("builder", "prune", "-af")
        docker("pull", "-q", name)
        docker("tag", name, kitchen.tag)
        assert kitchen.inspect()["Id"] == image["Id"]
        assert kitchen.run("sh", "-c", files) == "2\n/n\n"
    finally:
        docker("rmi", "-f", name)


def test_docker_py(kitchen: Kitchen) -> None:
    client = docker_py.DockerClient(base_url=f"unix://{kitchen.engine.socket}", timeout=60)
    try:
        kitchen.write("f", "x")
        kitchen.write("Dockerfile", f"FROM {kitchen.base}\nCOPY f /f\nRUN echo said\n")
        image, lines = client.images.build(path=str(kitchen.folder), tag=kitchen.tag)
        assert f"{kitchen.tag}:latest" in image.tags
        assert {"stream": "said\n"} in list(lines)
        with pytest.raises(BuildError, match="non-zero code: 3"):
            client.images.build(fileobj=io.BytesIO(f"FROM {kitchen.base}\nRUN exit 3".encode()))
        with pytest.raises(APIError, match="no build stage"):
            client.images.build(fileobj=io.BytesIO(b"RUN x"))
    finally:
        client.close()
