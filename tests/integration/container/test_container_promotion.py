"""Promotions that meet other calls, on an engine in this process."""

from __future__ import annotations

import asyncio

import pytest
from container_engine import Engine

from stackr.errors import Conflict, NotFound, StackrError
from stackr.runtime.engine.container.records.record import STANDBY_LABEL, Container
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.network.types import Connections

pytestmark = pytest.mark.root


async def started(engine: Engine, name: str, *, standby: bool = False) -> Container:
    labels = {STANDBY_LABEL: "true"} if standby else {}
    id = await engine.create(name, ["sleep", "1000"], StopSignal="SIGKILL", Labels=labels)
    await engine.containers.start(id)
    return engine.containers.get(id)


async def test_who_is_removed_meanwhile_leaves_no_record(engine: Engine) -> None:
    for turns in range(6):
        old, new = await started(engine, "old"), await started(engine, "new", standby=True)

        async def later(turns: int = turns, new: Container = new, old: Container = old) -> None:
            for _ in range(turns * 3):
                await asyncio.sleep(0)
            await engine.containers.promote(new.id, replaces=old.id)

        removal = engine.containers.remove(old.id, force=True)
        _, outcome = await asyncio.gather(removal, later(), return_exceptions=True)
        assert outcome is None or isinstance(outcome, NotFound), outcome
        assert set(engine.state.all("container")) == {new.id}
        await engine.containers.remove(new.id, force=True)


async def test_two_promotions_at_once_do_not_wait_for_each_other(engine: Engine) -> None:
    """Each takes both containers' turns."""
    old, new = await started(engine, "old"), await started(engine, "new", standby=True)
    calls = [engine.containers.promote(new.id, replaces=old.id) for _ in range(2)]
    calls += [engine.containers.promote(old.id, replaces=new.id) for _ in range(2)]
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, StackrError) for outcome in outcomes)
    states = {engine.containers.in_standby(each.id) for each in (old, new)}
    assert states == {False, True}


async def test_one_that_ends_meanwhile_is_not_promoted(engine: Engine) -> None:
    old, new = await started(engine, "old"), await started(engine, "new", standby=True)
    await engine.containers.kill(new.id)
    assert new.state.status is Status.EXITED
    with pytest.raises(Conflict, match="is not running"):
        await engine.containers.promote(new.id, replaces=old.id)
    assert engine.containers.in_standby(new.id)
    await engine.containers.kill(old.id)
    await engine.containers.start(new.id)
    await engine.containers.promote(new.id, replaces=old.id)
    assert engine.containers.in_standby(old.id), "also when it is started again"
    await engine.containers.remove(new.id, force=True)
    assert not engine.containers.in_standby(old.id)


async def test_without_networks_there_is_nothing_to_count(engine: Engine) -> None:
    new = await started(engine, "new", standby=True)
    await engine.containers.promote(new.id)
    await engine.containers.promote(new.id)
    assert await engine.containers.connections(new.id) == Connections()
