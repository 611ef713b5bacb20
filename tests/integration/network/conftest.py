"""A host of its own for each test: a network namespace in which the engine's network part runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from network_lab import Engine, Lab, host_interfaces, ruleset
from polling import until

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.syscalls import CLONE_NEWNET, setns, unshare
from stackr.runtime.engine.network.service import Networks
from stackr.runtime.engine.state import State


@pytest.fixture
def host() -> Iterator[None]:
    """A fresh host namespace for this thread; nothing may be left in it at the end."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    unshare(CLONE_NEWNET)
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        before = host_interfaces()
        yield
        until(lambda: host_interfaces() <= before, "no interface is left")
        assert "stackr" not in ruleset()
    finally:
        setns(home, CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def lab(host: None) -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture
async def engine(lab: Lab, tmp_path: Path) -> AsyncIterator[Engine]:
    async with _engine(lab, tmp_path) as engine:
        yield engine


@pytest.fixture
async def second_engine(lab: Lab, tmp_path: Path) -> AsyncIterator[Engine]:
    """Another on the same host."""
    (tmp_path / "second").mkdir()
    async with _engine(lab, tmp_path / "second") as engine:
        yield engine


@asynccontextmanager
async def _engine(lab: Lab, tmp_path: Path) -> AsyncIterator[Engine]:
    config = EngineConfig.at(tmp_path / "data", tmp_path / "run")
    config.data_root.mkdir()
    config.exec_root.mkdir()
    state = State.open(config.database)
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("")
    events = EventBus()
    networks = Networks(config, state, events, host_resolv_conf=resolv_conf)
    await networks.open()
    engine = Engine(config, state, events, networks, resolv_conf)
    yield engine
    await asyncio.to_thread(lab.close)
    ids = [sandbox.record.container_id for sandbox in engine.networks._sandboxes.all()]
    await asyncio.gather(*(engine.networks.detach(container_id) for container_id in ids))
    await engine.networks.close()
    state.close()
