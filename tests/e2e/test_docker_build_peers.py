"""The same Dockerfiles built by dockerd's classic builder and by stackr's: images are compared.

Differences that are meant: WORKDIR makes folders of the user that is set, as BuildKit does; the
history has the instructions as they are written, where dockerd's has `#(nop)` forms; a step that
changes no file makes no layer; times of what is made while building; set-uid bits, which dockerd's
loses in a COPY.
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
_LONG_AGO = 1_500_000_000
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
        COPY . /context
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
    "application": r"""
        ARG VERSION=1
        FROM BASE AS build
        ARG VERSION
        WORKDIR /src
        COPY a.txt twice/
        RUN cat a.txt twice/a.txt > all 2>/dev/null; echo $VERSION > version
        COPY . .
        RUN mkdir /out && cp -a d same version /out && touch -d '2001-01-01 00:00:00' /out/version
        FROM build AS unused
        RUN true
        FROM BASE AS run
        RUN adduser -D app 2>/dev/null || echo 'app:x:1000:1000::/app:/bin/sh' >> /etc/passwd
        COPY --from=build --chown=app:staff /out /app/
        COPY same /from/context/
        WORKDIR /app
        ENV PORT=8000
        EXPOSE $PORT
        USER app
        HEALTHCHECK --interval=2s CMD ["test", "-e", "version"]
        ENTRYPOINT ["/bin/sh", "-c"]
        CMD ["cat version"]
        """,
    "scratch": r"""
        FROM BASE AS build
        RUN mkdir /made && cp /bin/busybox /made/tool && ln /made/tool /made/other
        FROM scratch
        COPY --from=build /made /bin
        COPY --from=build /etc/group /etc/
        ENV SEARCH=$PATH
        CMD ["/bin/tool"]
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
    (tmp_path / "same").mkdir()
    (tmp_path / "same" / "one").write_text("one file")
    (tmp_path / "same" / "other").hardlink_to(tmp_path / "same" / "one")
    for name in ("a.txt", "d/e/y", "d/e", "d", "same/one", "same"):
        os.utime(tmp_path / name, (10**9, 10**9))
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
    """The settings and the history of the image, and its files."""
    (folder / "Dockerfile").write_text(text.replace("BASE", base))
    (folder / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    docker(sock, "build", "-q", "--network=none", "-t", "peer", str(folder))
    image = json.loads(docker(sock, "inspect", "peer"))[0]
    settings = {k: v for k, v in image["Config"].items() if v and k not in _IGNORED_SETTINGS}
    settings["Author"] = image["Author"]
    form = "{{.CreatedBy}}"
    history = docker(sock, "history", "--no-trunc", "--format", form, "peer").decode()
    settings["History"] = [instruction(line) for line in history.splitlines()]
    id = docker(sock, "create", "--network=none", "peer", "x").decode().strip()
    exported = docker(sock, "export", id)
    docker(sock, "rm", "-v", id)
    docker(sock, "rmi", "peer")
    return settings, tree(exported)


def instruction(created_by: str) -> str:
    """`/bin/sh -c #(nop) COPY ...` -> `COPY`; dockerd's of RUN is the command alone."""
    _, is_nop, rest = created_by.partition("#(nop)")
    if not is_nop and created_by.startswith(("/bin/sh -c", "touch ", "|")):
        return "RUN"
    return (rest or created_by).split()[0]


def tree(exported: bytes) -> dict[str, Any]:
    """By name; of files with several names with the first of them, of old ones with their time."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        members = archive.getmembers()
        linked = {each.linkname for each in members if each.islnk()}
        for member in members:
            name = member.name.strip("/")
            if name in _OWN or name.startswith(tuple(f"{each}/" for each in _OWN)):
                continue
            kind = tarfile.REGTYPE if member.type == tarfile.LNKTYPE else member.type
            file = archive.extractfile(member) if member.isreg() or member.islnk() else None
            content = hashlib.sha256(file.read()).hexdigest() if file else member.linkname
            first = member.linkname if member.islnk() else member.name if name in linked else ""
            time = int(member.mtime) if member.mtime < _LONG_AGO else None
            owner = (member.uid, member.gid)
            found[name] = (kind, oct(member.mode & 0o7777), owner, content, first.strip("/"), time)
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
