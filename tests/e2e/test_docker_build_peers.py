"""The same Dockerfiles built by dockerd's classic builder and by stackr's: images are compared.

Differences that are meant: WORKDIR makes folders of the user that is set, as BuildKit does; the
history has the instructions as they are written, where dockerd's has `#(nop)` forms; a step that
changes no file makes no layer; times.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import private_dockerd
import pytest

from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e]

_OWN = (
    "dev",
    "proc",
    "sys",
    ".dockerenv",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/mtab",
)
_IGNORED_SETTINGS = ("Image", "Hostname", "Domainname", "ArgsEscaped", "AttachStdin", "Tty")

DOCKERFILES = {
    "settings": r"""
        ARG TAG=latest
        FROM BASE
        ARG A=1
        ENV B=$A C="x y" D=${A:+set}${NONE:-unset} PATH=/opt:$PATH
        ENV old style value
        LABEL one=1 two="a b" three=$B
        WORKDIR /opt/$B
        WORKDIR deeper
        USER nobody:staff
        EXPOSE 80 90/udp
        VOLUME ["/v1", "/v 2"]
        VOLUME /v3 /v4
        STOPSIGNAL SIGINT
        HEALTHCHECK --interval=5s --timeout=3s --retries=4 CMD test -e /x
        SHELL ["/bin/sh", "-ec"]
        ENTRYPOINT exec top
        CMD ["-b"]
        ONBUILD RUN echo later
        MAINTAINER somebody <a@b>
        """,
    "files": r"""
        FROM BASE
        COPY a.txt /to/
        COPY a.txt /to/renamed
        COPY d /to/d
        COPY d /to/
        COPY --chown=1000:50 d/* /owned/
        COPY --chown=nobody:staff a.txt /named
        COPY d/l link /links/
        COPY ["sp ace", "/with space/"]
        ADD arch.tar.gz /unpacked/
        ADD plain.gz /unpacked/
        COPY a.txt relative
        WORKDIR /w
        COPY a.txt .
        COPY d/ ./sub
        """,
    "steps": r"""
        FROM BASE AS build
        RUN mkdir -p /out/deep && echo x > /out/f && ln /out/f /out/hard && ln -s f /out/soft
        RUN chmod 4755 /out/f && chown 5:6 /out/deep && mkfifo /out/pipe
        FROM BASE
        COPY --from=build /out /out
        COPY --from=0 /out/deep /out/f /picked/
        RUN rm -r /data && mkdir /data && echo new > /data/new && rm /etc/group
        RUN ["touch", "/exec form"]
        """,
}


@pytest.fixture(scope="module")
def dockerd(busybox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """It has no network to pull by."""
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    source, target = f"docker://{busybox_image}", f"docker-archive:{archive}:{busybox_image}"
    copy = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", source, target]
    subprocess.run(copy, check=True, capture_output=True, timeout=180)
    with private_dockerd.serve() as sock:
        docker(sock, "load", "-i", str(archive))
        yield sock


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "d" / "e").mkdir(parents=True)
    for name in ("a.txt", "d/x", "d/e/y", "sp ace"):
        (tmp_path / name).write_text(f"this is {name}")
    (tmp_path / "d" / "x").chmod(0o751)
    (tmp_path / "d" / "e").chmod(0o2770)
    (tmp_path / "d" / "l").symlink_to("../a.txt")
    (tmp_path / "link").symlink_to("d/e/y")
    (tmp_path / "plain.gz").write_bytes(b"\x1f\x8b not one")
    with tarfile.open(tmp_path / "arch.tar.gz", "w:gz") as archive:
        for name, size in (("in", 0), ("in/file", 3)):
            info = tarfile.TarInfo(name)
            info.type = tarfile.REGTYPE if size else tarfile.DIRTYPE
            info.size, info.mode, info.uid, info.gid = size, 0o750, 7, 8
            archive.addfile(info, io.BytesIO(b"abc"))
    return tmp_path


def docker(sock: Path, *arguments: str) -> bytes:
    done = subprocess.run(
        ["docker", "--host", f"unix://{sock}", *arguments],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def built(sock: Path, folder: Path, text: str, base: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of the image, and its files."""
    (folder / "Dockerfile").write_text(text.replace("BASE", base))
    (folder / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    docker(sock, "build", "-q", "--network=none", "-t", "peer", str(folder))
    image = json.loads(docker(sock, "inspect", "peer"))[0]
    settings = {k: v for k, v in image["Config"].items() if v and k not in _IGNORED_SETTINGS}
    settings["Author"] = image["Author"]
    id = docker(sock, "create", "--network=none", "peer", "x").decode().strip()
    exported = docker(sock, "export", id)
    docker(sock, "rm", "-v", id)
    docker(sock, "rmi", "peer")
    return settings, tree(exported)


def tree(exported: bytes) -> dict[str, Any]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        for member in archive:
            name = member.name.strip("/")
            if name in _OWN or name.startswith(tuple(f"{each}/" for each in _OWN)):
                continue
            kind = tarfile.REGTYPE if member.type == tarfile.LNKTYPE else member.type
            file = archive.extractfile(member) if member.isreg() or member.islnk() else None
            content = hashlib.sha256(file.read()).hexdigest() if file else member.linkname
            found[name] = (kind, oct(member.mode & 0o7777), member.uid, member.gid, content)
    return found


@pytest.mark.parametrize("name", DOCKERFILES)
def test_both_builders_make_the_same(
    name: str, engine: EngineConfig, dockerd: Path, context: Path, busybox_image: str
) -> None:
    docker(engine.socket, "pull", "-q", busybox_image)
    text = DOCKERFILES[name]
    ours, our_files = built(engine.socket, context, text, busybox_image)
    theirs, their_files = built(dockerd, context, text, busybox_image)
    docker(engine.socket, "builder", "prune", "-af")
    assert ours == theirs
    names = our_files.keys() | their_files.keys()
    differing = {
        name: (our_files.get(name), their_files.get(name))
        for name in sorted(names)
        if our_files.get(name) != their_files.get(name)
    }
    assert differing == {}
