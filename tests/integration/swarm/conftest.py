"""The Swarm of the session, as one test has it: empty at its start, and emptied at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from swarm_project import Stack
from swarm_rig import Rig

from stackr.runtime.docker.address import EngineAddress
from stackr.runtime.docker.client import Client
from stackr.runtime.swarm.workloads import SwarmWorkloads


@pytest.fixture
def rig(swarm: Rig) -> Iterator[Rig]:
    swarm.wait_until_ready()
    yield swarm
    swarm.clear()


@pytest.fixture
async def workloads(rig: Rig) -> AsyncIterator[SwarmWorkloads]:
    async with await SwarmWorkloads.open(Client(EngineAddress(rig.manager.url))) as opened:
        yield opened


@pytest.fixture
def stack(rig: Rig, tmp_path: Path) -> Stack:
    """The command, and a folder for its stack file."""
    return Stack(rig, tmp_path)
