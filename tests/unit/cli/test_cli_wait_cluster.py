"""`stackr wait` on an engine that runs replicas itself."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from stackr.cli.arguments import Targets
from stackr.cli.commands import wait
from stackr.cli.session import Session
from stackr.runtime.workloads import TaskState, Workloads
from stackr.stack.workloads.tasks import StackTask

_CLUSTER = cast(Workloads, None)


class _Session:
    """Keeps what is shown."""

    is_dry_run = False
    is_json = False

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.out = self

    def line(self, text: str) -> None:
        self.lines.append(text)

    def would(self, text: str) -> None:
        self.lines.append(f"would {text}")


def _task(id: str, state: str = "running", code: int | None = None) -> StackTask:
    task = TaskState(id, "shop_web", int(id), state=state, container_id=f"c{id}", exit_code=code)
    return StackTask("web", task)


async def _waited(
    session: _Session, monkeypatch: pytest.MonkeyPatch, *answers: list[StackTask]
) -> int:
    """answers: what runs at first, then all tasks at each look."""
    looks = iter(answers)

    async def look(*_: Any, **__: Any) -> list[StackTask]:
        return next(looks)

    monkeypatch.setattr(wait, "running_tasks", look)
    monkeypatch.setattr(wait, "list_tasks", look)
    monkeypatch.setattr(wait, "_POLL_S", 0)
    targets = Targets(services=("web",))
    return await wait._wait_on(cast(Session, session), _CLUSTER, "shop", targets, False)


async def test_each_task_is_told_as_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    session = _Session()
    code = await _waited(
        session,
        monkeypatch,
        [_task("1"), _task("2")],
        [_task("1"), _task("2")],
        [_task("3"), _task("1", "failed", 5), _task("2")],
        [_task("4"), _task("3"), _task("1", "failed", 5), _task("2", "complete", 0)],
    )
    assert code == 0
    assert session.lines == [
        'container "c1" exited with status code 5',
        'container "c2" exited with status code 0',
    ]


async def test_the_last_ones_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    session = _Session()
    session.is_json = True
    code = await _waited(session, monkeypatch, [_task("1")], [_task("1", "failed", 5)])
    assert code == 5
    assert json.loads(session.lines[0]) == {"container": "c1", "exit_code": 5}


async def test_a_task_that_the_cluster_has_forgotten_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await _waited(_Session(), monkeypatch, [_task("1")], []) == 0


async def test_a_dry_run_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    session = _Session()
    session.is_dry_run = True
    assert await _waited(session, monkeypatch, [_task("1")]) == 0
    assert session.lines == ["would wait for shop_web.1"]
