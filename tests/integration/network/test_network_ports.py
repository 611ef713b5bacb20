"""Published ports beyond a process's measure, and beyond an engine's life."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from network_lab import Engine, Lab, Process, eventually
from open_files import many_descriptors

from stackr.errors import Conflict, Unavailable
from stackr.runtime.engine.network.firewall import Firewall
from stackr.runtime.engine.network.publisher import Publisher
from stackr.runtime.engine.network.relay import wire
from stackr.runtime.engine.network.reservations import HostPort, PortRequest
from stackr.runtime.engine.network.types import ContainerNet, EndpointSpec, NetworkSpec, Publication

pytestmark = pytest.mark.root

WEB = Publication(80, host_port=8080)
UDP = Publication(53, "udp", host_port=5353)


def publisher(engine: Engine) -> Publisher:
    return engine.networks._sandboxes._publisher


def is_free(port: int, host: str = "0.0.0.0", kind: int = socket.SOCK_STREAM) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, kind)) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        try:
            other.bind((host, port))
        except OSError:
            return False
    return True


async def web(lab: Lab, engine: Engine, *ports: Publication) -> Process:
    await engine.networks.create(NetworkSpec("app"))
    process = lab.process()
    await engine.attach(process, "app", ports=ports)
    lab.serve(process, 80, "web")
    return process


async def test_a_thousand_ports_are_published(lab: Lab, engine: Engine) -> None:
    ports = tuple(Publication(80, host_port=number) for number in range(10000, 11000))
    with many_descriptors():
        process = await web(lab, engine, *ports)
        for address in ("127.0.0.1", "::1"):
            for number in (10000, 10999):
                assert (await lab.ask(address, number)).startswith("web")
        assert await engine.networks._kernel.is_firewall_whole()
        held = len(os.listdir("/proc/self/fd"))
        await engine.restart()
        await engine.networks.adopt(process.id, process.pid)
        await engine.networks.settle()
        assert len(os.listdir("/proc/self/fd")) <= held + 2, "the relay has the sockets"
        assert (await lab.ask("::1", 10999)).startswith("web")
        process.kill()
        await engine.networks.detach(process.id)
        assert all(is_free(number, host) for number in (10000, 10999) for host in ("0.0.0.0", "::"))


async def test_more_ports_than_may_be_open_are_refused_by_name(lab: Lab, engine: Engine) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = tuple(Publication(80, host_port=number) for number in range(10000, 10400))
    await engine.networks.create(NetworkSpec("app"))
    process = lab.process()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, limits[1]))
    try:
        with pytest.raises(Unavailable, match=r"ports: container web: 800 sockets are more than"):
            await engine.attach(process, "app", ports=many)
        assert is_free(10000)
        await engine.attach(process, "app", ports=(WEB, *many[:300]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    lab.serve(process, 80, "web")
    assert (await lab.ask("::1", 10299)).startswith("web")


async def test_ports_stay_taken_while_no_engine_runs(lab: Lab, engine: Engine) -> None:
    process = await web(lab, engine, WEB, UDP)
    await engine.abandon()
    for host in ("0.0.0.0", "::"):
        assert not is_free(8080, host)
        assert not is_free(5353, host, socket.SOCK_DGRAM)
    for address in ("127.0.0.1", "::1"):
        assert (await lab.ask(address, 8080)).startswith("web")
    await engine.start_again()
    await engine.networks.adopt(process.id, process.pid)
    await engine.networks.settle()
    assert (await lab.ask("::1", 8080)).startswith("web")
    other = lab.process()
    with pytest.raises(Conflict, match=r"for 0\.0\.0\.0:8080:.*address already in use"):
        await engine.attach(other, "app", name="other", ports=(WEB,))


async def test_who_ends_while_no_engine_runs_leaves_no_port(lab: Lab, engine: Engine) -> None:
    process = await web(lab, engine, WEB)
    await engine.abandon()
    process.kill()

    async def is_given_up() -> bool:
        return is_free(8080) and is_free(8080, "::") and not engine.config.relay_socket.exists()

    await eventually(is_given_up, "a free port, and no process that holds ports")
    await engine.start_again()
    await engine.networks.settle()
    assert publisher(engine).pid is None, "none is started for nobody"


async def test_what_another_took_while_nobody_held_it_is_told(
    lab: Lab, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """The engine and its relay were killed; the engine starts, and the kernel forwards on."""
    process = await web(lab, engine, WEB)
    pid = publisher(engine).pid
    assert pid is not None
    await engine.abandon()
    os.kill(pid, signal.SIGKILL)

    async def is_given_up() -> bool:
        return is_free(8080)

    await eventually(is_given_up, "the end of the relay")
    with closing(socket.create_server(("0.0.0.0", 8080))):
        await engine.start_again()
        await engine.networks.adopt(process.id, process.pid)
        await engine.networks.settle()
        assert "container web: port 0.0.0.0:8080: not held: " in caplog.text
        assert (await lab.ask("127.0.0.1", 8080)).startswith("web")
        assert (await lab.ask("::1", 8080)).startswith("web")


async def test_a_killed_relay_is_started_again(lab: Lab, engine: Engine) -> None:
    process = await web(lab, engine, WEB)
    [reserved] = engine.networks.reservations.reserve("demo", [PortRequest("a")])
    other = lab.process()
    endpoints = (EndpointSpec("app"),)
    binding = (Publication(80, host_port=reserved),)
    await engine.networks.attach(
        ContainerNet(other.id, "other", endpoints, binding, project="demo"), other.pid
    )
    lab.serve(other, 80, "other")
    before = publisher(engine).pid
    assert before is not None
    os.kill(before, signal.SIGKILL)

    async def is_back() -> bool:
        return publisher(engine).pid not in (None, before)

    await eventually(is_back, "another relay")
    assert (await lab.ask("::1", 8080)).startswith("web")
    assert (await lab.ask("::1", reserved)).startswith("other")
    assert not is_free(8080)
    for each in (process, other):
        each.kill()
        await engine.networks.detach(each.id)
    assert is_free(8080)
    assert not is_free(reserved)


async def test_a_reserved_port_is_its_projects_after_a_restart(lab: Lab, engine: Engine) -> None:
    await engine.networks.create(NetworkSpec("app"))
    process = lab.process()
    [port] = engine.networks.reservations.reserve("demo", [PortRequest("a")])
    binding = (Publication(80, host_port=port),)
    container = ContainerNet(process.id, "web", (EndpointSpec("app"),), binding, project="demo")
    await engine.networks.attach(container, process.pid)
    lab.serve(process, 80, "web")
    engine.networks.reservations.close()  # as the kernel does
    await engine.abandon()
    await engine.start_again()
    engine.networks.reservations.restore("demo", [HostPort(port)])
    assert (await lab.ask("::1", port)).startswith("web"), "nobody is turned away meanwhile"
    await engine.networks.adopt(process.id, process.pid)
    await engine.networks.settle()
    assert (await lab.ask("::1", port)).startswith("web")
    process.kill()
    await engine.networks.detach(process.id)
    assert not is_free(port)
    assert not is_free(port, "::")
    engine.networks.reservations.release("demo")
    assert is_free(port)


async def test_an_unfit_relay_is_replaced(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await web(lab, engine, WEB)
    pid = publisher(engine).pid
    await engine.abandon()
    monkeypatch.setattr(wire, "PROTOCOL", wire.PROTOCOL + 1)
    await engine.start_again()
    assert not Path(f"/proc/{pid}").exists(), "its ports are free for the next"
    await engine.networks.adopt(process.id, process.pid)
    assert publisher(engine).pid != pid
    monkeypatch.undo()


def test_a_host_without_the_names_of_protocols_has_the_table_too() -> None:
    script = "[ ! -e /etc/protocols ] || mount --bind /dev/null /etc/protocols; exec nft -f -"
    subprocess.run(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc", script],
        input=Firewall("stackr-bare").rebuild().encode(),
        check=True,
    )
