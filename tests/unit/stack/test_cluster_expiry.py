"""Stacks of a cluster whose time is up, on a cluster that is none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from stackr.errors import Unavailable
from stackr.runtime.docker.client import Client
from stackr.runtime.labels import EXPIRES, STACK_NAMESPACE
from stackr.runtime.swarm import expiries
from stackr.runtime.workloads import Expiry, Workloads
from stackr.stack.context import Context
from stackr.stack.events import Message, StackEvent, Warned
from stackr.stack.workloads import expiry
from stackr.stack.workloads.removal import RemovedDocuments


class _Cluster:
    """Only knows when stacks are to go."""

    def __init__(self, *found: Expiry) -> None:
        self.found = {each.project: each for each in found}

    async def expiries(self) -> list[Expiry]:
        return [*self.found.values()]

    async def set_expiry(self, wanted: Expiry) -> None:
        self.found[wanted.project] = wanted

    async def identity(self) -> str:
        return "c1"


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []

    async def remove(cluster: _Cluster, project: str, *, with_volumes: bool) -> RemovedDocuments:
        if project == "stuck":
            raise Unavailable("no leader")
        found.append((project, with_volumes))
        return RemovedDocuments(left=("node3: out of reach",) if with_volumes else ())

    @contextlib.asynccontextmanager
    async def locked(*_: Any) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(expiry, "remove_stack", remove)
    monkeypatch.setattr(Context, "locked_cluster", locked)
    return found


def _context(told: list[StackEvent], *, is_dry_run: bool = False) -> Context:
    return Context(report=told.append, is_dry_run=is_dry_run)


async def test_what_has_had_its_time_goes_and_the_rest_stays(
    removed: list[tuple[str, bool]],
) -> None:
    now = time.time()
    cluster = _Cluster(
        Expiry("copy", now - 1, with_volumes=True), Expiry("later", now + 60), Expiry("stuck", 1)
    )
    told: list[StackEvent] = []
    await expiry.clear_expired(_context(told), cast(Workloads, cluster))
    assert removed == [("copy", True)]
    assert told == [
        Message("copy: removed, as its time was up"),
        Warned("node3: out of reach"),
        Warned("stuck: its time is up, and not all is removed: no leader"),
    ]


async def test_a_dry_run_removes_nothing(removed: list[tuple[str, bool]]) -> None:
    cluster = cast(Workloads, _Cluster(Expiry("copy", 1)))
    await expiry.clear_expired(_context([], is_dry_run=True), cluster)
    assert removed == []


async def test_one_that_was_given_more_time_meanwhile_stays(
    removed: list[tuple[str, bool]],
) -> None:
    class Prolonged(_Cluster):
        async def expiries(self) -> list[Expiry]:
            found = await super().expiries()
            self.found["copy"] = Expiry("copy", time.time() + 60)
            return found

    await expiry.clear_expired(_context([]), cast(Workloads, Prolonged(Expiry("copy", 1))))
    assert removed == []


async def test_up_says_until_when() -> None:
    cluster, told = _Cluster(), list[StackEvent]()
    before = time.time()
    await expiry.expire_on_cluster(_context(told), cast(Workloads, cluster), "shop", None)
    assert cluster.found == {}
    await expiry.expire_on_cluster(_context(told), cast(Workloads, cluster), "shop", 60)
    assert before + 60 <= cluster.found["shop"].at <= time.time() + 60
    assert "up --ttl prolongs it" in str(told[0])


class _Configs:
    """A manager's configs; a write fails where `refused` says so."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = [*items]
        self.refused: list[Exception] = []
        self.written: list[tuple[str, str]] = []

    async def call(self, method: str, path: str, **more: Any) -> Any:
        if method == "GET":
            return self.items
        self.written.append((method, path))
        if self.refused:
            raise self.refused.pop(0)
        return {"ID": "c"}


def _config(moment: str, **more: str) -> dict[str, Any]:
    labels = {STACK_NAMESPACE: "shop", EXPIRES: moment, **more}
    return {"ID": "c1", "Version": {"Index": 7}, "Spec": {"Name": "n", "Labels": labels}}


async def test_a_moment_is_written_once_and_changed_after_that() -> None:
    configs = _Configs()
    client = cast(Client, configs)
    await expiries.set_to(client, Expiry("shop", 5.5))
    configs.items = [_config("6")]
    configs.refused = [Unavailable("rpc error: update out of sequence")]
    await expiries.set_to(client, Expiry("shop", 9))
    update = ("POST", "/configs/c1/update")
    assert configs.written == [("POST", "/configs/create"), update, update], "again, if moved on"


@pytest.mark.parametrize("moment", ["", "soon", "-1", "1.5", "٣"])
def test_what_others_have_labelled_so_is_no_moment(moment: str) -> None:
    assert expiries.read(_config(moment)) is None
    assert expiries.read({"Spec": {"Labels": {EXPIRES: "1"}}}) is None, "of no stack"
    assert expiries.read(_config("60")) == Expiry("shop", 60)
