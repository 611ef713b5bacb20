"""Many clients at once; `scripts/test-load` is the same at full size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from engine_load import Load, Size
from engine_request import raw_request

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
