"""Mistakes: each gets an error that says what, where and what to do, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import loopback_registry
import pytest
from aiohttp import web
from misbehaving_registry import BlobFault, MisbehavingRegistry, cut
from oci_builder import BuiltImage, archive, build, member
from stackr_stack import Stack

from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

T = TypeVar("T")
Docker = Callable[..., Any]

ALICE = "alice:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
"""Of htpasswd, with the password "secret"."""


def failure(stack: Stack, text: str, *arguments: str) -> str:
    """What a failed `up` tells; nothing runs after it."""
    stack.write(text)
    told = stack("up", "-d", *arguments, want=1).stderr
    running = [name for name, state in stack.states().items() if state == "running"]
    assert running == []
    return told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services:\n\tweb: {}\n", "compose.yaml:2:1"),
        ("services: {web: [}\n", "compose.yaml:1:"),
        ("services: {web: {image: a, privileged: 3}}", "services.web.privileged"),
        ("services: {web: {image: a, restrat: always}}", "restart"),
        ("services: {web: {image: '${NONE:?set it}'}}", "set it"),
        ("services:\n  web: {image: a}\n  web: {image: b}\n", "compose.yaml:3:3"),
        (
            "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, depends_on: [a]}\n",
            "a -> b -> a",
        ),
        ("services: {web: {image: a, depends_on: [db]}}", "db"),
        (
            "services:\n  a: {image: a, ports: ['80:80']}\n  b: {image: b, ports: ['80:80']}\n",
            "80",
        ),
    ],
)
def test_in_the_stack_file(stack: Stack, text: str, said: str) -> None:
    told = failure(stack, text)
    assert told.startswith("stackr: ")
    assert said in told


def test_a_port_that_another_program_has(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = failure(
            stack,
            f"""
            services:
              web: {{image: $IMAGE, command: sleep 60, ports: ["127.0.0.1:{port}:80"]}}
            """,
        )
    assert f"127.0.0.1:{port}" in told
    assert "in use" in told


def test_an_image_that_does_not_exist(stack: Stack, registry: str) -> None:
    told = failure(stack, f"services: {{web: {{image: '{registry}/none/such:1'}}}}")
    assert f"{registry}/none/such:1" in told
    assert "not found" in told


def test_a_registry_that_is_not_there(stack: Stack) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        told = failure(stack, f"services: {{web: {{image: '{address}/none/such:1'}}}}")
    assert address in told
    assert "refused" in told


def test_wrong_credentials(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with loopback_registry.serve(folder, htpasswd=ALICE) as address:
        (tmp_path / "config.json").write_text(
            f'{{"auths": {{"{address}": {{"auth": "YWxpY2U6d3Jvbmc="}}}}}}'
        )
        stack.environ["DOCKER_CONFIG"] = str(tmp_path)
        told = failure(stack, f"services: {{web: {{image: '{address}/app:1'}}}}")
    assert address in told
    assert "unauthorized" in told.lower()
    assert "d3Jvbmc" not in told


def test_a_health_check_that_never_passes(stack: Stack) -> None:
    stack.write("""
        services:
          web:
            image: $IMAGE
            command: sleep 60
            stop_signal: KILL
            depends_on: {db: {condition: service_healthy}}
          db:
            image: $IMAGE
            command: sleep 60
            stop_signal: KILL
            healthcheck:
              test: echo the table is missing; exit 7
              interval: 100ms
              retries: 2
    """)
    told = stack("up", "-d", want=1).stderr
    assert f"container {stack.name}-db-1 is unhealthy" in told
    assert "exited 7" in told
    assert "the table is missing" in told
    assert stack.states() == {"db-1": "running", "web-1": "created"}


def test_a_command_that_the_image_does_not_have(stack: Stack) -> None:
    told = failure(stack, "services: {web: {image: $IMAGE, command: [serve-it, now]}}")
    assert '"serve-it": executable file not found' in told


@contextmanager
def served(built: BuiltImage, on_blob: BlobFault | None = None) -> Iterator[str]:
    """A registry with this image, in a thread of its own; the image's reference."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait_for(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    registry = MisbehavingRegistry(on_blob=on_blob)
    wait_for(registry.__aenter__())
    try:
        yield registry.add(built)
    finally:
        wait_for(registry.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def stops(request: web.Request, data: bytes) -> web.StreamResponse | None:
    return await cut(request, data, len(data) // 2) if len(data) > 10_000 else None


async def lies(request: web.Request, data: bytes) -> web.StreamResponse | None:
    return web.Response(body=bytes(len(data))) if len(data) > 10_000 else None


@pytest.mark.parametrize(("fault", "said"), [(stops, "connection"), (lies, "digest mismatch")])
def test_a_layer_that_cannot_be_had(
    stack: Stack, docker: Docker, fault: BlobFault, said: str
) -> None:
    built = build(archive(member("data", os.urandom(100_000))))
    with served(built, fault) as reference:
        told = failure(stack, f"services: {{web: {{image: '{reference}'}}}}")
    assert reference in told
    assert said in told
    assert docker("image", "ls", "-q", reference).stdout == ""


@pytest.mark.parametrize(
    "entries",
    [
        [member("../outside", b"x")],
        [member("out", type=b"2", linkname="/etc"), member("out/shadow", b"x")],
        [member("hard", type=b"1", linkname="../../etc/passwd")],
        [member("dev/disk", type=b"4", devmajor=8, devminor=0)],
    ],
    ids=["upwards", "through a link", "hard link", "device"],
)
def test_a_layer_that_reaches_out_of_its_folder(
    stack: Stack, engine: EngineConfig, entries: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    """It is refused, or what it names is inside of the image; the host is as before."""
    before = os.stat("/etc/shadow").st_mtime_ns
    with served(build(archive(*entries))) as reference:
        stack.write(f"services: {{web: {{image: '{reference}'}}}}")
        done = stack("pull", want=None)
    assert done.returncode == 0 or done.stderr.count("stackr: ") == 1
    assert os.stat("/etc/shadow").st_mtime_ns == before
    names = (name for _, *both in os.walk(engine.data_root) for each in both for name in each)
    assert "outside" not in names  # folders may go meanwhile, which os.walk takes well


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("volumes: [./folder:/etc/passwd]", ("not a directory", "services.web.volumes[0]")),
        ("volumes: [./file:/etc]", ("not a directory", "services.web.volumes[0]")),
        ("volumes: [data:/etc/passwd]", ("not a directory", "services.web.volumes[0]")),
        ("tmpfs: [/etc/passwd]", ("not a directory", "services.web.tmpfs[0]")),
        ("working_dir: /etc/passwd", ("not a directory", "services.web.working_dir")),
        ("command: /etc/passwd", ("permission denied", "services.web.command")),
        ("sysctls: {net.ipv4.nosuch: 1}", ("net.ipv4.nosuch", "services.web.sysctls")),
        ("devices: [/dev/null:/etc/passwd/d]", ("not a directory", "services.web.devices[0]")),
        ("user: nobody-here", ("unable to find user", "services.web.user")),
    ],
)
def test_what_the_container_cannot_have_is_named_with_its_place(
    stack: Stack, attribute: str, said: tuple[str, ...]
) -> None:
    (stack.folder / "folder").mkdir()
    (stack.folder / "file").touch()
    text = f"services:\n  web:\n    image: ${{IMAGE}}\n    {attribute}\nvolumes: {{data: {{}}}}\n"
    told = failure(stack, text)
    assert all(word in told for word in said), told
    assert "compose.yaml:4" in told
    assert ("permission denied" in told) == ("command" in attribute)


def test_a_bind_source_that_looks_like_a_file_is_warned_of(stack: Stack) -> None:
    (stack.folder / "nginx.conf").touch()
    stack.write("services: {web: {image: '${IMAGE}', volumes: ['./ngnix.conf:/n.conf']}}")
    warning = 'folder would be made there: did you mean "nginx.conf"?'
    assert warning in stack("diff").stderr
    assert warning in stack("config", "--lint").stdout
    assert warning in stack("up", "-d").stderr


@pytest.mark.parametrize(
    "words",
    [
        ("-w", "/nodir", "web", "true"),
        ("-w", "/etc/passwd", "web", "true"),
        ("-u", "nobody-here", "web", "true"),
        ("-u", "0:nogroup-here", "web", "true"),
        ("web", "/etc/passwd"),
        ("web", "/nonexistent"),
    ],
)
def test_an_exec_that_cannot_begin(stack: Stack, words: tuple[str, ...]) -> None:
    stack.write("services: {web: {image: '${IMAGE}', init: true, command: sleep 600}}")
    stack("up", "-d")
    done = stack("exec", "-T", *words, want=None)
    assert done.returncode in (126, 127)
    assert len(done.stderr.strip().splitlines()) + len(done.stdout.strip().splitlines()) == 1
