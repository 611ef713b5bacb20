"""Health checks on running containers: how soon they notice, and what a container cannot do to
them.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from container_engine import Engine, until

from stackr.runtime.engine.container.records.record import Health, Probe
from stackr.runtime.engine.linux import netns

pytestmark = pytest.mark.root

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
NEVER = Probe(0, 0, 0, "")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def started(engine: Engine, name: str, test: list[str], **settings: Any) -> Health:
    """A container that sleeps, and its health; a minute between probes unless said otherwise."""
    command = settings.pop("command", ["sleep", "600"])
    check = {"Test": test, "Interval": 60 * SECOND, **settings.pop("check", {})}
    id = await engine.create(name, command, Healthcheck=check, StopSignal="SIGKILL", **settings)
    await engine.containers.start(id)
    health = engine.containers.get(id).state.health
    assert health is not None
    return health


def listen_in(pid: int, address: str, port: int) -> socket.socket:
    """A listening socket in a container's network namespace."""
    with netns.of_process(pid) as namespace:
        home = netns.open_current()
        try:
            with netns.inside(namespace, home=home):
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                server = socket.socket(family)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind((address, port))
                server.listen()
                return server
        finally:
            os.close(home)


async def listening(engine: Engine, name: str, address: str, port: int) -> socket.socket:
    return await asyncio.to_thread(listen_in, engine.containers.get(name).pid, address, port)


@asynccontextmanager
async def served(
    engine: Engine, name: str, port: int, serve: Serve, **options: Any
) -> AsyncIterator[None]:
    connection = await listening(engine, name, "127.0.0.1", port)
    server = await asyncio.start_server(serve, sock=connection, **options)
    async with server:
        yield


def answering(data: bytes, *, again_s: float | None = None) -> Serve:
    """Sends `data`, once the request is there, or again and again; the client hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
            while again_s is not None:
                await asyncio.sleep(again_s)
                writer.write(data)
                await writer.drain()
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()

    return serve


async def outcome(health: Health) -> str:
    """What the first probe says."""
    await until(lambda: bool(health.log))
    return health.log[0].output


async def healthy(health: Health) -> None:
    await until(lambda: health.status == "healthy")


async def probed_since(health: Health, time_ns: int) -> None:
    await until(lambda: (health.log or [NEVER])[-1].start_ns > time_ns)


# --- ports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0"])
async def test_a_port_is_ready_when_something_listens(engine: Engine, address: str) -> None:
    health = await started(engine, "db", ["TCP", "5432"])
    assert await outcome(health) == "port 5432: connection refused"
    assert health.status == "starting"
    server = await listening(engine, "db", address, 5432)
    with server:
        await until(lambda: health.status == "healthy")
    assert health.log[-1].output == "port 5432: accepts connections"
    events = [e.action for e in engine.events.kept() if e.action.startswith("health")]
    assert events == ["health_status: healthy"]


async def test_a_port_of_the_containers_own_address_is_found(engine: Engine) -> None:
    health = await started(engine, "db", ["TCP", "5432"], NetworkMode="bridge")
    sandbox = engine.networks.sandbox(engine.containers.get("db").id)
    assert sandbox is not None
    address = next(iter(sandbox.endpoints.values())).ipv4_address
    with await listening(engine, "db", address, 5432):
        await until(lambda: health.status == "healthy")


async def test_a_port_of_the_host_does_not_count(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        health = await started(engine, "db", ["TCP", str(port)])
        assert await outcome(health) == f"port {port}: connection refused"


async def test_readiness_is_told_within_a_share_of_the_start_time(engine: Engine) -> None:
    """However late it comes: long before the interval, in less time than the start took.

    Whoever is held up for that long is asked again.
    """
    for delay_s in (0.05, 0.2, 0.4, 0.8):
        late: list[float] = []
        while not late or min(late) >= 1:
            assert len(late) < 10, late
            name = f"late-{delay_s}-{len(late)}"
            health = await started(engine, name, ["TCP", "80"])
            await asyncio.sleep(delay_s)
            with await listening(engine, name, "127.0.0.1", 80):
                began = time.monotonic()
                await healthy(health)
                late.append((time.monotonic() - began) / max(delay_s, 0.2))


# --- HTTP --------------------------------------------------------------------------------------


async def test_http_statuses_are_told_apart(engine: Engine) -> None:
    fast = {"Interval": 20 * MILLISECOND, "Retries": 1}
    health = await started(engine, "web", ["HTTP", "http://:8080/health", "200-299"], check=fast)
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        status = b"503 Busy" if len(asked) < 3 else b"200 OK"
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 " + status + b"\r\n\r\n")
        writer.close()

    assert await outcome(health) == "port 8080: connection refused"
    async with served(engine, "web", 8080, serve):
        await until(lambda: "HTTP 503" in [probe.output for probe in health.log])
        assert health.status != "healthy"
        await until(lambda: health.status == "healthy")
    assert health.log[-1].output == "HTTP 200"
    assert asked[0].startswith(b"GET /health HTTP/1.1\r\nHost: localhost:8080\r\n")
    await until(lambda: health.status == "unhealthy")
    await until(lambda: health.log[-1].output == "port 8080: connection refused")


async def test_a_self_signed_certificate_will_do(engine: Engine, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:1024",
            "-nodes",
            "-subj",
            "/CN=x",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(certificate, key)
    health = await started(engine, "web", ["HTTP", "https://:8443/"])
    serve = answering(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with served(engine, "web", 8443, serve, ssl=context):
        await until(lambda: health.status == "healthy")
    assert health.log[-1].output == "HTTP 204"


@pytest.mark.parametrize(
    ("data", "output"),
    [
        (b"SSH-2.0-x\r\n", "port 80: does not answer in HTTP"),
        (b"HTTP/1.1 2000 OK\r\n", "port 80: does not answer in HTTP"),
        (b"HTTP/1.1 100 Continue\r\n" + b"x: y\r\n" * 5000, "port 80: does not answer in HTTP"),
        (b"x" * 1_000_000, "port 80: does not answer in HTTP"),
    ],
)
async def test_nonsense_is_not_read_to_its_end(engine: Engine, data: bytes, output: str) -> None:
    health = await started(engine, "odd", ["HTTP", "http://:80/"])
    await outcome(health)
    async with served(engine, "odd", 80, answering(data)):
        await until(lambda: health.log[-1].output == output)
    assert health.status == "starting"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_that_never_ends_its_answer_is_given_up(engine: Engine, scheme: str) -> None:
    check = {"Timeout": 200 * MILLISECOND}
    health = await started(engine, "slow", ["HTTP", f"{scheme}://:80/"], check=check)
    await outcome(health)
    serve = answering(b"H", again_s=0.02)
    if scheme == "https":  # it waits for a hello that never comes

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

    async with served(engine, "slow", 80, serve):
        text = "Health check exceeded timeout (0.2s)"
        await until(lambda: health.log[-1].output == text)
    assert health.log[-1].exit_code == -1


# --- output ------------------------------------------------------------------------------------


async def test_a_line_of_either_stream_is_found(engine: Engine) -> None:
    wait = "until [ -e /go ]; do sleep 0.02; done"
    script = f"echo starting; {wait}; echo 'now ready to accept' >&2; sleep 600"
    health = await started(
        engine, "log", ["LOG", "ready to (accept|serve)$"], command=["sh", "-c", script]
    )
    assert await outcome(health) == 'no line of output has matched "ready to (accept|serve)$" yet'
    await engine.execute("log", ["touch", "/go"])
    await until(lambda: health.status == "healthy")
    assert health.log[-1].output == "now ready to accept"


async def test_a_line_of_an_earlier_start_does_not_count(engine: Engine) -> None:
    script = "[ -e /again ] && sleep 600; touch /again; echo ready; sleep 600"
    command = ["sh", "-c", script]
    health = await started(engine, "log", ["LOG", "ready"], command=command)
    await until(lambda: health.status == "healthy")
    await engine.containers.restart("log", timeout_s=0)
    again = engine.containers.get("log").state.health
    assert again is not None
    await until(lambda: len(again.log) >= 3)
    assert again.status == "starting"


async def test_a_match_outlives_the_log_that_is_begun_anew(engine: Engine) -> None:
    lines = "for i in 1 2 3 4 5 6 7 8 9; do echo $i-0123456789012345678901234567890; done"
    script = f"echo ready; {lines}"
    log = {"Type": "json-file", "Config": {"max-size": "300"}}
    check = {"Interval": 20 * MILLISECOND, "Retries": 1}
    command = ["sh", "-c", f"{script}; sleep 600"]
    health = await started(
        engine, "log", ["LOG", "^(ready|9-.*)$"], command=command, check=check, LogConfig=log
    )
    await until(lambda: health.status == "healthy")
    await until(lambda: health.log[0].exit_code == 0 and len(health.log) == 5)
    assert health.status == "healthy"


async def test_a_flood_of_output_does_not_hold_the_loop(engine: Engine) -> None:
    """The expression would take a backtracking engine for ever on these lines."""
    flood = ["sh", "-c", "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done"]
    health = await started(engine, "flood", ["LOG", "(a+)+b"], command=flood)
    for _ in range(100):
        await asyncio.sleep(0.005)  # the loop comes round
    assert health.status == "starting"


# --- files -------------------------------------------------------------------------------------


async def test_a_file_is_looked_for_in_the_container(engine: Engine) -> None:
    health = await started(engine, "file", ["FILE", "/run/ready"])
    assert await outcome(health) == "/run/ready: no such file or directory"
    await engine.execute("file", ["/bin/busybox", "mkdir", "-p", "/run"])
    await engine.execute("file", ["touch", "/run/ready"])
    await until(lambda: health.status == "healthy")
    assert health.log[-1].output == "/run/ready: exists"


async def test_no_symlink_leads_to_the_hosts_files(engine: Engine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    links = [str(secret), "../" * 30 + str(secret)[1:], f"/proc/1/root{secret}", "/proc/self/exe"]
    for number, target in enumerate(links):
        name = f"link-{number}"
        health = await started(engine, name, ["FILE", "/link"])
        await engine.execute(name, ["/bin/busybox", "ln", "-s", target, "/link"])
        made_ns = time.time_ns()
        await probed_since(health, made_ns)
        assert health.status == "starting", (target, health.log[-1])
    inside = await started(engine, "inside", ["FILE", "/link"])
    await engine.execute("inside", ["/bin/busybox", "ln", "-s", "/etc/passwd", "/link"])
    await until(lambda: inside.status == "healthy")


# --- commands ----------------------------------------------------------------------------------


async def test_probes_that_hang_do_not_pile_up(engine: Engine) -> None:
    check = {"Interval": 50 * MILLISECOND, "Timeout": 100 * MILLISECOND, "Retries": 2}
    test = ["CMD-SHELL", "sleep 77; true"]
    health = await started(engine, "hang", test, check=check)
    await until(lambda: health.status == "unhealthy")
    await until(lambda: len(health.log) == 5)
    assert health.log[-1].output.startswith("Health check exceeded timeout (0.1s)")
    rows: list[Any] = []
    for _ in range(100):  # one that is killed may still be there
        _, rows = await engine.containers.top("hang", "-eo pid,args")
        if sum("sleep 77" in row[-1] for row in rows) <= 2:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(rows)


async def test_probes_that_hang_do_not_hold_up_others(engine: Engine) -> None:
    names = [f"hang-{number}" for number in range(8)]
    await asyncio.gather(*(started(engine, name, ["CMD", "sleep", "77"]) for name in names))
    await asyncio.sleep(0.5)
    await healthy(await started(engine, "well", ["CMD", "true"]))


async def test_a_command_is_probed_at_once(engine: Engine) -> None:
    health = await started(engine, "quick", ["CMD", "true"])
    began = time.monotonic()
    await until(lambda: health.status == "healthy")
    assert time.monotonic() - began < 60, "its interval"


async def test_fifty_checked_containers_are_cheap(engine: Engine) -> None:
    """What waits for its server costs the daemon a few per cent of a processor."""
    await asyncio.gather(
        *(started(engine, f"many-{number}", ["TCP", "80"]) for number in range(50))
    )
    await asyncio.sleep(1)
    shares: list[float] = []
    while not shares or shares[-1] >= 0.5:  # what they were started with may still go on
        assert len(shares) < 3, shares
        before, began = time.process_time(), time.monotonic()
        await asyncio.sleep(2)
        shares.append((time.process_time() - before) / (time.monotonic() - began))


async def test_health_goes_on_after_a_restart_of_the_daemon(engine: Engine, root: Path) -> None:
    fast = {"Interval": 20 * MILLISECOND}
    command = ["sh", "-c", "echo ready; sleep 600"]
    log = await started(engine, "log", ["LOG", "ready"], command=command, check=fast)
    port = await started(engine, "port", ["TCP", "80"], check=fast)
    server = await listening(engine, "port", "127.0.0.1", 80)
    with server:
        await healthy(log)
        await healthy(port)
        await engine.close()
        again = await Engine.open(root)
        engine.__dict__.update(again.__dict__)
        now_ns = time.time_ns()
        for name in ("log", "port"):
            health = engine.containers.get(name).state.health
            assert health is not None
            await probed_since(health, now_ns)
            assert (health.status, health.log[-1].exit_code) == ("healthy", 0)


async def test_a_pause_ends_the_probes_and_they_begin_again(engine: Engine) -> None:
    fast = {"Interval": 20 * MILLISECOND}
    health = await started(engine, "paused", ["TCP", "80"], check=fast)
    with await listening(engine, "paused", "127.0.0.1", 80):
        await until(lambda: health.status == "healthy")
        await engine.containers.pause("paused")
        seen = health.log[-1].start_ns
        await asyncio.sleep(0.2)
        assert health.log[-1].start_ns == seen
        await engine.containers.unpause("paused")
        await until(lambda: health.log[-1].start_ns > seen)


async def test_what_a_visit_brings_back_too_late_is_let_go() -> None:
    """A pause cuts a probe off while its sockets are made."""
    visitor = netns.Visitor()
    begun, go_on = threading.Event(), threading.Event()

    def make() -> list[socket.socket]:
        begun.set()
        go_on.wait(60)
        return [socket.socket()]

    brought: list[socket.socket] = []
    visit = asyncio.create_task(visitor.run(netns.open_current, make, discard=brought.extend))
    try:
        await asyncio.to_thread(begun.wait, 60)
        visit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await visit
        assert not brought
        go_on.set()
        await until(lambda: bool(brought))
    finally:
        go_on.set()
        visitor.close()
        for each in brought:
            each.close()
