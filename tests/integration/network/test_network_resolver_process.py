"""The resolver's own process: what it outlives, who replaces it, and when it ends."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from network_lab import DEADLINE_S, Engine, Lab, Process, eventually, upstream

from stackr.errors import InvalidArgument, Unavailable
from stackr.runtime.engine.linux import descriptors, sidecar_client
from stackr.runtime.engine.network.resolver import wire
from stackr.runtime.engine.network.types import EndpointSpec, NetworkSpec

pytestmark = pytest.mark.root


async def ended(pid: int) -> None:
    async def is_gone() -> bool:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return not Path(f"/proc/{pid}").exists()

    await eventually(is_gone, "the end of the resolver")


async def resolver(engine: Engine, *, other_than: int | None = None) -> int:
    """The pid of the process that the engine is connected to."""

    async def is_there() -> bool:
        return engine.names.pid not in (None, other_than)

    await eventually(is_there, "a resolver")
    assert engine.names.pid is not None
    return engine.names.pid


async def pair(lab: Lab, engine: Engine) -> tuple[Process, Process, str]:
    """A client, and `db` with its address, on the network `app`."""
    await engine.networks.create(NetworkSpec("app"))
    client, db = lab.process(), lab.process()
    await engine.attach(client, "app", name="client")
    return client, db, await engine.attach(db, EndpointSpec("app", aliases=("data",)), name="db")


async def test_names_are_answered_while_no_engine_runs(lab: Lab, engine: Engine) -> None:
    client, db, address = await pair(lab, engine)
    pid = await resolver(engine)
    await engine.abandon()
    with upstream() as asked:
        engine.resolv_conf.write_text("nameserver 127.0.0.53\n")
        assert await lab.dig(client, "+short", "db") == [address]
        assert await lab.dig(client, "+short", "+tcp", "data.app") == [address]
        assert await lab.dig(client, "+short", "-x", address) == ["db.app."]
        await lab.answered(client, "example.org", "192.0.2.7")
    assert set(asked) == {"example.org."}

    await engine.start_again()
    for process in (client, db):
        await engine.networks.adopt(process.id, process.pid)
    await engine.networks.settle()
    assert engine.names.pid == pid, "it is taken over as it is"
    late = lab.process()
    newer = await engine.attach(late, "app", name="late")
    assert await lab.dig(client, "+short", "late") == [newer]
    assert await lab.dig(late, "+short", "db") == [address]
    await engine.networks.detach(db.id)
    assert await lab.dig(late, "+short", "db") == []


async def test_who_ends_while_no_engine_runs_is_forgotten(lab: Lab, engine: Engine) -> None:
    client, db, address = await pair(lab, engine)
    pid = await resolver(engine)
    await engine.abandon()
    assert await lab.dig(client, "+short", "db") == [address]
    db.kill()

    async def is_forgotten() -> bool:
        return await lab.dig(client, "+short", "db") == []

    await eventually(is_forgotten, "no answer for the container that has ended")
    client.kill()
    await ended(pid)
    assert not engine.config.resolver_socket.exists()
    await engine.start_again()
    await engine.networks.settle()
    assert engine.names.pid is None, "none is started for nobody"


async def test_a_killed_resolver_is_started_again(lab: Lab, engine: Engine) -> None:
    client, db, address = await pair(lab, engine)
    info = engine.networks.sandbox(client.id)
    assert info is not None
    before = await resolver(engine)
    for _ in range(3):
        os.kill(before, signal.SIGKILL)
        before = await resolver(engine, other_than=before)
        await lab.answered(client, "db", address)
        await lab.answered(db, "client.app", info.endpoints["app"].ipv4_address)
    assert len(await lab.dig(client, "+short", "+tcp", "data")) == 1
    late = lab.process()
    newer = await engine.attach(late, "app", name="late")
    assert await lab.dig(client, "+short", "late") == [newer]


async def test_an_engine_that_starts_finds_the_resolver_dead(lab: Lab, engine: Engine) -> None:
    client, db, address = await pair(lab, engine)
    pid = await resolver(engine)
    await engine.abandon()
    os.kill(pid, signal.SIGKILL)
    await ended(pid)
    assert engine.config.resolver_socket.exists()
    await engine.start_again()
    await engine.networks.adopt(client.id, client.pid)
    await engine.networks.adopt(db.id, db.pid)
    await engine.networks.settle()
    assert await lab.dig(client, "+short", "db") == [address]


@pytest.mark.parametrize("silent", [False, True], ids=["other protocol", "silent"])
async def test_an_unfit_resolver_is_replaced(
    lab: Lab, engine: Engine, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, db, address = await pair(lab, engine)
    pid = await resolver(engine)
    await engine.abandon()
    if silent:
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr(sidecar_client, "_GREETING_S", 0.2)
    else:
        monkeypatch.setattr(wire, "PROTOCOL", wire.PROTOCOL + 1)
    await engine.start_again()
    for process in (client, db):
        await engine.networks.adopt(process.id, process.pid)
    assert await lab.dig(client, "+short", "db") == [address]
    assert Path(f"/proc/{pid}").exists(), "it goes when another serves all of its containers"
    await engine.networks.settle()
    await ended(pid)
    assert await lab.dig(client, "+short", "db") == [address]
    assert await resolver(engine) != pid


async def test_what_an_engine_forgot_is_forgotten(lab: Lab, engine: Engine) -> None:
    """The record of a running container is gone: its name must go, too."""
    client, db, address = await pair(lab, engine)
    await engine.abandon()
    engine.state.delete("sandbox", db.id)
    await engine.start_again()
    await engine.networks.adopt(client.id, client.pid)
    assert await lab.dig(client, "+short", "db") == [address]
    await engine.networks.settle()
    assert await lab.dig(client, "+short", "db") == []


async def test_it_ends_with_the_last_of_engine_and_containers(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar_client, "_END_S", DEADLINE_S)
    client, db, _ = await pair(lab, engine)
    pid = await resolver(engine)
    for process in (client, db):
        process.kill()
        await engine.networks.detach(process.id)
    assert Path(f"/proc/{pid}").exists(), "an engine is connected"
    await engine.abandon()
    assert not Path(f"/proc/{pid}").exists(), "whoever closes the engine sees it end"
    await engine.start_again()


async def test_names_hold_from_the_moment_that_a_call_returns(lab: Lab, engine: Engine) -> None:
    client, db, address = await pair(lab, engine)
    for number in range(30):
        engine.networks.rename(db.id, f"db{number}")
        assert await lab.dig(client, "+short", f"db{number}") == [address]


async def test_names_beyond_measure_are_refused(lab: Lab, engine: Engine) -> None:
    network = await engine.networks.create(NetworkSpec("app"))
    web = lab.process()
    aliases = tuple(f"{number:0200}" for number in range(2000))
    with pytest.raises(InvalidArgument, match=r"web: its network aliases take .* bytes, of"):
        await engine.attach(web, EndpointSpec("app", aliases=aliases))
    assert not engine.networks.endpoints(network.id)
    other = lab.process()
    address = await engine.attach(other, EndpointSpec("app", aliases=aliases[:400]))
    assert await lab.dig(other, "+short", "web") == [address]


async def test_more_containers_than_it_can_serve_are_refused_by_name(
    lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _, address = await pair(lab, engine)
    late = lab.process()
    with monkeypatch.context() as patch:
        patch.setattr(descriptors, "limit", lambda: 70)
        with pytest.raises(Unavailable, match="names: container late: more containers than"):
            await engine.attach(late, "app", name="late")
    assert await lab.dig(client, "+short", "db") == [address]
    newer = await engine.attach(late, "app", name="late")
    assert await lab.dig(client, "+short", "late") == [newer]
