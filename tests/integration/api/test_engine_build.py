"""stackr's own calls for builds, and what a build leaves when somebody is killed in it."""

from __future__ import annotations

import base64
import contextlib
import http.server
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from engine_request import raw_request, request
from killed_daemon import kill_daemon

from stackr.build.context import ignore_of, read_context
from stackr.build.digests import Digests
from stackr.build.dockerfile import parse
from stackr.build.inputs import Base as BaseImage
from stackr.build.inputs import Ingredients, record_of
from stackr.build.reads import options_text
from stackr.build.stages import plan_of
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.image.platform import host_platform
from stackr.runtime.engine.launch import ensure_running

pytestmark = pytest.mark.root

_DEADLINE_S = 60


def archive(**files: str) -> bytes:
    """A context of plain files; `__` in a name stands for a slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            made.addfile(info, io.BytesIO(content.encode()))
    return buffer.getvalue()


class Site:
    """An engine with the test image, and builds of stackr's own call."""

    def __init__(self, engine: EngineConfig, base: str) -> None:
        self.engine = engine
        self.base = base

    def upload(self, **files: str) -> str:
        status, data = raw_request(
            self.engine.socket,
            "POST",
            "/stackr/v1/build/contexts",
            archive(**files),
            "application/x-tar",
        )
        assert status == 201, data
        return str(json.loads(data)["Id"])

    def build(self, text: str, **body: Any) -> list[dict[str, Any]]:
        """The events; the first is what the engine says where it refuses."""
        whole = {"DockerfileText": text.replace("BASE", self.base), **body}
        _, data = raw_request(
            self.engine.socket,
            "POST",
            "/stackr/v1/build",
            json.dumps(whole).encode(),
            "application/json",
        )
        return [json.loads(line) for line in data.decode().splitlines()]

    def output(self, events: list[dict[str, Any]]) -> str:
        return "".join(
            base64.b64decode(event["Data"]).decode()
            for event in events
            if event.get("Kind") == "output"
        )

    def is_past(self, instruction: str) -> bool:
        """Whether that is remembered, and another step runs."""
        known = request(self.engine.socket, "GET", "/stackr/v1/build/cache")[1].values()
        is_kept = instruction in [entry["Description"] for entry in known]
        return is_kept and bool(request(self.engine.socket, "GET", "/containers/json")[1])

    def folders(self) -> list[str]:
        """What builds have on the disk beside the cache."""
        roots = (self.engine.data_root / "build", self.engine.exec_root / "build")
        parts = ("contexts", "fetched", "")
        found = [roots[0] / parts[0], roots[0] / parts[1], roots[1]]
        return [str(path) for root in found if root.exists() for path in root.iterdir()]


@pytest.fixture
def site(engine: EngineConfig, busybox_image: str) -> Iterator[Site]:
    yield from _site(engine, busybox_image)


@pytest.fixture
def lone(new_engine: Callable[[], EngineConfig], busybox_image: str) -> Iterator[Site]:
    """On an engine of this test alone, which may be killed."""
    yield from _site(new_engine(), busybox_image)


def _site(engine: EngineConfig, base: str) -> Iterator[Site]:
    made = Site(engine, base)
    query = f"fromImage={base.rpartition(':')[0]}&tag=latest"
    raw_request(engine.socket, "POST", f"/images/create?{query}", None, "")
    yield made
    request(engine.socket, "POST", "/images/prune")
    request(engine.socket, "POST", "/build/prune?all=1")
    assert request(engine.socket, "GET", "/containers/json?all=1")[1] == []
    assert made.folders() == []


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it has not come to hold"
        time.sleep(0.02)


def test_events_of_a_build(site: Site) -> None:
    context = site.upload(a="from the context", d__b="b")
    text = "FROM BASE AS one\nCOPY a /a\nRUN cat /a; echo bad >&2\nFROM one\nENV x=y\n"
    events = site.build(text, Context=context, Tags=["t-events"], Labels={"l": "1"})
    kinds = [event["Kind"] for event in events]
    assert kinds[0] == "step"
    assert kinds[-1] == "built"
    assert kinds.count("stage") == 2
    assert site.output(events).replace("bad\n", "") == "from the context"
    done = [event for event in events if event["Kind"] == "done" and event["Number"] == 2]
    assert done[0]["Cached"] is False
    assert done[0]["Layer"].startswith("sha256:")
    again = site.build(text, Context=context, Tags=["t-events"], Labels={"l": "1"})
    assert again[-1] == events[-1]
    assert all(event["Cached"] for event in again if event["Kind"] == "done" and event["Layer"])
    known = request(site.engine.socket, "GET", "/stackr/v1/build/cache")[1]
    assert {done[0]["Layer"]} <= {entry["Layer"] for entry in known.values()}
    image = request(site.engine.socket, "GET", "/images/t-events/json")[1]
    assert image["Config"]["Labels"] == {"l": "1"}
    assert request(site.engine.socket, "DELETE", f"/stackr/v1/build/contexts/{context}")[0] == 204
    assert request(site.engine.socket, "DELETE", f"/stackr/v1/build/contexts/{context}")[0] == 404
    assert request(site.engine.socket, "DELETE", "/images/t-events")[0] == 200


def test_a_record_has_the_keys_of_the_engine(site: Site, tmp_path: Path) -> None:
    """The keys of both sides agree."""
    text = (
        f"FROM {site.base} AS one\nARG V=1\nRUN echo $V > /out\nFROM {site.base}\n"
        "COPY d /d\nRUN --mount=target=/m cat /m/a\nCOPY --from=one /out /\nWORKDIR /w\n"
        "COPY <<E /h\n$V\nE\n"
    )
    (tmp_path / "d").mkdir()
    for path, content in (("a", "1"), ("d/b", "2")):
        (tmp_path / path).write_text(content)
        (tmp_path / path).chmod(0o644)
    (tmp_path / "d").chmod(0o755)
    (tmp_path / "Dockerfile").write_text(text)
    known_files = read_context(tmp_path, ignore_of(tmp_path), Digests(None))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        made.add(tmp_path, ".")
    path = "/build?t=t-record"
    raw_request(site.engine.socket, "POST", path, buffer.getvalue(), "application/x-tar")
    image = request(site.engine.socket, "GET", "/images/t-record/json")[1]

    base = request(site.engine.socket, "GET", f"/images/{site.base}/json")[1]
    cache = request(site.engine.socket, "GET", "/stackr/v1/build/cache")[1]
    layers = tuple(base["RootFS"]["Layers"])
    known: list[str] = []

    def layer_of(key: str) -> str:
        known.append(str(cache[key]["Layer"]))
        return known[-1]

    platform = str(host_platform())
    given = Ingredients(
        known_files,
        {},
        {site.base: BaseImage(base["Id"], base["Config"], layers)},
        {},
        layer_of=layer_of,
        options=options_text({}),
        platform=platform,
    )
    record_of(plan_of(parse(text), platform=platform), given)
    assert len(known) == 6
    assert (*layers, *filter(None, known[1:])) == tuple(image["RootFS"]["Layers"])
    request(site.engine.socket, "DELETE", "/images/t-record")


def test_named_contexts(site: Site) -> None:
    other = site.upload(x="named")
    events = site.build(
        "FROM base\nCOPY --from=files x /x\nRUN --mount=from=files,target=/m cat /x /m/x\n",
        Contexts={"base": {"Image": site.base}, "files": {"Upload": other}},
    )
    assert site.output(events) == "namednamed"
    request(site.engine.socket, "DELETE", f"/stackr/v1/build/contexts/{other}")


def test_secrets_are_nowhere_afterwards(site: Site) -> None:
    text = (
        "FROM BASE\nRUN --mount=type=secret,id=s,uid=7 stat -c '%u %a' /run/secrets/s"
        " && wc -c < /run/secrets/s\n"
        "RUN --mount=type=secret,id=s,env=S,required echo -n $S | wc -c; [ ! -e /run ]\n"
    )
    secrets = {"s": base64.b64encode(b"hunter2hunter2").decode()}
    events = site.build(text, Secrets=secrets, Tags=["t-secret"])
    assert events[-1]["Kind"] == "built", events[-1]
    assert site.output(events) == "7 400\n14\n14\n"
    assert "hunter2" not in json.dumps(events)
    layers = request(site.engine.socket, "GET", "/images/t-secret/json")[1]["RootFS"]["Layers"]
    base = request(site.engine.socket, "GET", f"/images/{site.base}/json")[1]["RootFS"]["Layers"]
    assert layers == base
    roots = (str(site.engine.data_root), str(site.engine.exec_root))
    grep = ["grep", "-rlaF", "hunter2hunter2", *roots]
    assert subprocess.run(grep, capture_output=True, text=True).stdout == ""
    other = {"s": base64.b64encode(b"another").decode()}
    assert site.build(text, Secrets=other)[-1]["Kind"] == "built"  # it is no part of the key
    missing = site.build("FROM BASE\nRUN --mount=type=secret,id=q,required true\n")
    assert "secret q: not found" in missing[-1]["Message"]
    request(site.engine.socket, "DELETE", "/images/t-secret")


def test_an_ssh_agent(site: Site, tmp_path: Path) -> None:
    path = Path("/tmp") / f"agent-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        try:
            text = "FROM BASE\nRUN --mount=type=ssh [ -S $SSH_AUTH_SOCK ]\nRUN [ ! -e /run ]\n"
            assert site.build(text, SSH={"default": str(path)})[-1]["Kind"] == "built"
        finally:
            path.unlink()
    needed = "FROM BASE\nRUN --mount=type=ssh,required true\n"
    assert "ssh agent default: not given" in site.build(needed)[-1]["Message"]


def test_a_failure_names_its_lines(site: Site) -> None:
    events = site.build("FROM BASE AS x\n\nRUN true && \\\n  exit 9\n")
    last = events[-1]
    assert (last["Kind"], last["Code"], last["Stage"]) == ("failed", 9, "x")
    assert (last["Line"], last["EndLine"]) == (3, 4)
    (refused,) = site.build("FROM BASE\nRUN x\nNOPE\n")
    assert "on line 3: unknown instruction: NOPE" in refused["message"]
    assert "unknown key: Nope" in site.build("FROM BASE\n", Nope=1)[0]["message"]


def test_files_from_the_web(site: Site) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/f.txt" else 404)
            self.send_header("Content-Length", "5")
            self.send_header("Last-Modified", "Mon, 01 Jan 2020 00:00:00 +" + "9" * 30)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            at = f"http://127.0.0.1:{server.server_port}"
            good = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
            text = f"FROM BASE\nADD --checksum={good} {at}/f.txt /d/\nRUN cat /d/f.txt\n"
            assert site.output(site.build(text)) == "hello"
            bad = site.build(text.replace("2cf24", "00000"))
            assert "digest mismatch" in bad[-1]["Message"]
            gone = site.build(f"FROM BASE\nADD {at}/g /\n")
            assert "invalid response status 404" in gone[-1]["Message"]
            unnamed = site.build(f"FROM BASE\nADD {at}/{'x' * 300} /\n")
            assert "has no usable file name" in unnamed[-1]["Message"]
        finally:
            server.shutdown()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder by http."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def git(folder: Path, *arguments: str) -> None:
    names = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="the engine's host has no git")
def test_repositories(site: Site, tmp_path: Path) -> None:
    """As the context, and by ADD; a symlink out of it leads nowhere."""
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "Dockerfile").write_text(f"FROM {site.base}\nCOPY f /\nRUN cat /f\n")
    (source / "sub" / "f").write_text("from git")
    (source / "out").symlink_to("/etc")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "1"], ["tag", "v1"]):
        git(source, *command)
    git(tmp_path, "clone", "-q", "--bare", "source", "r.git")
    git(tmp_path / "r.git", "update-server-info")

    def remote(address: str) -> str:
        path = f"/build?remote={urllib.parse.quote(address)}"
        return raw_request(site.engine.socket, "POST", path, None, "")[1].decode()

    with served(tmp_path) as at:
        assert "from git" in remote(f"{at}/r.git#v1:sub")
        assert "no such folder in the repository" in remote(f"{at}/r.git#main:out")
        assert "git fetch" in remote(f"{at}/r.git#nope")
        added = site.build(f"FROM BASE\nADD {at}/r.git#main /g/\nRUN cat /g/sub/f; ls -a /g\n")
    assert site.output(added) == "from git.\n..\nout\nsub\n"


def test_contexts_from_the_web(site: Site, tmp_path: Path) -> None:
    (tmp_path / "only").write_text(f"FROM {site.base}\nRUN echo a Dockerfile alone\n")
    packed = archive(Dockerfile=f"FROM {site.base}\nCOPY x /\nRUN cat /x\n", x="of an archive")
    (tmp_path / "context.tgz").write_bytes(packed)

    def remote(address: str) -> str:
        path = f"/build?remote={urllib.parse.quote(address)}"
        return raw_request(site.engine.socket, "POST", path, None, "")[1].decode()

    with served(tmp_path) as at:
        assert "a Dockerfile alone" in remote(f"{at}/only")
        assert "of an archive" in remote(f"{at}/context.tgz")
        assert "invalid response status 404" in remote(f"{at}/nope")
    assert "neither a repository nor" in remote("/etc/passwd")


def test_two_builds_do_the_same_step_once(site: Site) -> None:
    text = "FROM BASE\nRUN sleep 0.5; cat /proc/sys/kernel/random/uuid > /u\nRUN cat /u\n"
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: site.build(text), range(3)))
    assert len({events[-1]["Image"] for events in results}) == 1


def test_stages_run_side_by_side(site: Site) -> None:
    """Each waits for the other through a cache mount: one after the other they would not end."""
    wait = "touch /c/{own}; until [ -e /c/{other} ]; do sleep 0.05; done"
    mount = "RUN --mount=type=cache,id=meeting,target=/c"
    text = (
        f"FROM BASE AS a\n{mount} {wait.format(own='a', other='b')}\n"
        f"FROM BASE AS b\n{mount} {wait.format(own='b', other='a')}\n"
        "FROM BASE\nCOPY --from=a /data /a\nCOPY --from=b /data /b\n"
    )
    assert site.build(text)[-1]["Kind"] == "built"


def test_a_client_that_goes_ends_its_build(site: Site) -> None:
    first = "RUN true > /before-it-goes"
    body = json.dumps({"DockerfileText": f"FROM {site.base}\n{first}\nRUN sleep 1000\n"})
    head = (
        "POST /stackr/v1/build HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(site.engine.socket))
        connection.sendall((head + body).encode())
        until(lambda: site.is_past(first))
    until(lambda: not request(site.engine.socket, "GET", "/containers/json?all=1")[1])
    kept = site.build(f"FROM BASE\n{first}\n")
    assert [event["Cached"] for event in kept if event["Kind"] == "done"][1] is True


def test_the_daemon_is_killed_in_a_step(lone: Site) -> None:
    first = "RUN cat /proc/sys/kernel/random/uuid > /u"
    text = f"FROM BASE\n{first}\nRUN {{}} > /z; cat /u\n"
    stuck = text.format("sleep 1000")
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(lambda: site_error(lone, stuck))
        until(lambda: lone.is_past(first))
        kill_daemon(lone.engine)
        building.result(_DEADLINE_S)
    ensure_running(lone.engine)
    assert request(lone.engine.socket, "GET", "/containers/json?all=1")[1] == []
    assert lone.folders() == []
    events = lone.build(text.format("true"))
    done = [event["Cached"] for event in events if event["Kind"] == "done"]
    assert done[1:] == [True, False]


def test_a_new_daemon_removes_no_container_for_what_its_image_says(lone: Site) -> None:
    """An image may have any label: those of stackr's own builds, and that of a step's container."""
    labels = "io.stackr.build=x io.stackr.build.step= io.stackr.standby=true"
    text = f"FROM BASE\nLABEL {labels}\nVOLUME /v\n"
    lone.build(text, Tags=["labelled"])
    body = json.dumps({"Image": "labelled", "Cmd": ["true"]}).encode()
    status, data = raw_request(
        lone.engine.socket, "POST", "/containers/create", body, "application/json"
    )
    assert status == 201, data
    id = json.loads(data)["Id"]
    kill_daemon(lone.engine)
    ensure_running(lone.engine)
    listed = request(lone.engine.socket, "GET", "/containers/json?all=1")[1]
    assert [each["Id"] for each in listed] == [id]
    assert len(listed[0]["Mounts"]) == 1
    assert "io.stackr.standby" not in listed[0]["Labels"], "no container is asked for in standby"
    request(lone.engine.socket, "DELETE", f"/containers/{id}?v=1")
    request(lone.engine.socket, "DELETE", "/images/labelled")


def site_error(site: Site, text: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        site.build(text)


def test_a_full_disk(new_engine: Callable[..., EngineConfig], busybox_image: str) -> None:
    """In a step, and while a context comes in: it is told, and nothing is left."""
    sites = _site(new_engine("48m"), busybox_image)
    site = next(sites)
    events = site.build("FROM BASE\nRUN echo > /kept\nRUN head -c 100000000 /dev/zero > /x\n")
    assert events[-1]["Code"] == 1
    big = archive(big="x" * 100_000_000)
    status, data = raw_request(site.engine.socket, "POST", "/build", big, "application/x-tar")
    assert status == 500
    assert b"No space left on device" in data
    assert site.folders() == []
    part = site.upload(big="x" * 28_000_000)
    events = site.build("FROM BASE\nRUN echo > /kept\nCOPY big /\n", Context=part)
    assert "no space left on device" in events[-1]["Message"].lower()
    assert request(site.engine.socket, "DELETE", f"/stackr/v1/build/contexts/{part}")[0] == 204
    after = site.build("FROM BASE\nRUN echo > /kept\nRUN echo > /y\n")
    assert [event["Cached"] for event in after if event["Kind"] == "done"][1:] == [True, False]
    assert list(sites) == []


def test_processes_that_a_step_leaves_end_with_it(site: Site) -> None:
    events = site.build("FROM BASE\nRUN (sleep 1000 &) ; echo done\n")
    assert events[-1]["Kind"] == "built"
    assert site.output(events) == "done\n"


def test_a_step_that_fills_its_memory_disk_and_would_set_the_clock(site: Site) -> None:
    """It has 64 MB of one that nobody else sees, and no right to the other; nothing of it stays."""
    text = (
        "FROM BASE\nRUN head -c 100000000 /dev/zero > /dev/shm/x 2> /dev/null; echo full: $?;"
        " du -m /dev/shm/x | cut -f1; date -s 2001-01-01\nRUN ls /dev/shm | wc -l\n"
    )
    year = time.gmtime().tm_year
    events = site.build(text)
    output = site.output(events)
    assert "full: 1\n64\n" in output
    assert "can't set date: Operation not permitted" in output
    assert output.endswith("0\n")
    assert time.gmtime().tm_year == year
    assert not any(event.get("Layer") for event in events if event["Kind"] == "done")


def test_a_step_that_writes_for_ever_is_clipped(site: Site) -> None:
    events = site.build("FROM BASE\nRUN yes | head -c 30000000; echo at its end\n")
    assert events[-1]["Kind"] == "built"
    output = site.output(events)
    assert output.endswith("[output clipped: more than 16 MiB]\n")
    assert len(output) < 17 << 20


def test_a_client_that_breaks_off_in_its_context_leaves_nothing(site: Site) -> None:
    head = "POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(site.engine.socket))
        connection.sendall(head.encode() + bytes(700_000))
    until(lambda: site.folders() == [])
    assert site.build("FROM BASE\n")[-1]["Kind"] == "built"


def test_a_hostile_tree(site: Site) -> None:
    """Links out of the root, a name that is no Unicode, and folders that are many deep."""
    before = sorted(os.listdir("/etc"))
    text = (
        "FROM BASE AS o\n"
        "RUN mkdir /l && ln -s /etc /l/hosts && ln -s ../../../etc /l/up && rm -r /tmp"
        " && ln -s /etc /tmp && touch /l/$(printf '\\377')\n"
        "RUN --mount=type=tmpfs,target=/tmp/mounted true\n"
        "RUN cd /l; i=0; while [ $i -lt 150 ]; do mkdir d; cd d; i=$((i+1)); done\n"
        "FROM BASE\nCOPY --from=o /l /m/\nRUN ls -l /m; find /m | tail -n 1 | wc -c\n"
    )
    events = site.build(text)
    assert events[-1]["Kind"] == "built", events[-1]
    assert "up -> ../../../etc" in site.output(events)
    assert sorted(os.listdir("/etc")) == before
