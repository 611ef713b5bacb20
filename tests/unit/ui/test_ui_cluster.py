"""The dashboard on a stack of a cluster: replicas in place of containers."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from dashboard import texts, until
from fake_cluster import FakeCluster, web_task

from stackr.runtime.workloads import TaskState, Workloads
from stackr.spec.session import LoadOptions
from stackr.stack.context import Context
from stackr.stack.source import Source
from stackr.stack.stack import Stack
from stackr.ui.app import Dashboard
from stackr.ui.target import Target

_SHOP = """
    name: shop
    services: {web: {image: "nginx:1"}}
"""


async def test_replicas_are_shown_and_what_cannot_be_done_is_told(
    tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "compose.yaml").write_text(textwrap.dedent(_SHOP))
    source = Source(LoadOptions(("compose.yaml",)), {}, tmp_path)
    pending: dict[str, Any] = {"node": "", "node_id": "", "container_id": ""}
    lost = web_task("b", 2, "pending", error="no suitable node", **pending)
    cluster = FakeCluster(web_task("a"), lost)

    @contextlib.asynccontextmanager
    async def either(*_: Any, **__: Any) -> AsyncIterator[Workloads]:
        yield cast(Workloads, cluster)

    monkeypatch.setattr(Context, "open_either", either)
    app = Dashboard(Target(Stack("shop", source, source.load()), lambda *_: ["true"]))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "web.1@one" in texts(app) and "first" in texts(app))
        assert "created (no suitable node)" in texts(app)
        assert "1 running, 1 created" in texts(app)
        cluster.tasks = (web_task("a"), _failed())
        await until(pilot, lambda: "exited (3)" in texts(app))
        await pilot.press("s", "y")
        await until(pilot, lambda: "not on a cluster" in texts(app))


def _failed() -> TaskState:
    return web_task("b", 2, "failed", exit_code=3, desired_state="shutdown")
