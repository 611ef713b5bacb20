"""Many at once; `scripts/test-load` and `scripts/test-scale` are the same at full size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engine_calls import Calls
from engine_load import Load, Size
from engine_request import raw_request
from engine_scale import KINDS, Scale

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.lock import holder

pytestmark = pytest.mark.root

_SMALL = Size(
    containers=8, clients=60, calls=1, connects=300, log_followers=140, event_followers=50, ends=2
)
"""More followers than a user may have inotify instances, and more connects than a usual backlog."""


async def test_no_client_of_many_fails_and_nothing_is_lost(
    new_engine: Callable[[], EngineConfig], busybox_image: str
) -> None:
    engine = new_engine()
    raw_request(engine.socket, "POST", f"/images/create?fromImage={busybox_image}", None, "")
    pid = holder(engine.data_root)
    assert pid is not None
    await Load(engine.socket, pid, busybox_image, _SMALL, print).run()


@pytest.mark.timeout(900)  # it starts the daemon three times again
async def test_a_daemon_that_is_killed_among_many_finds_all_of_them(
    new_engine: Callable[[], EngineConfig], busybox_image: str
) -> None:
    engine = new_engine()
    raw_request(engine.socket, "POST", f"/images/create?fromImage={busybox_image}", None, "")
    kind = KINDS["containers"](Calls(engine.socket), busybox_image)
    await Scale(engine, kind, (2, 6), print).run()
