"""The dashboard as a person works with it: keys typed, screens read."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from dashboard import MeasuredEngine, target_of, texts, until
from pictures import check_picture

from stackr.errors import NotSupported, StackrError, Unavailable
from stackr.runtime.types import ContainerState
from stackr.stack.events import ignore
from stackr.ui.app import Dashboard

SHOP = """
    services:
      cache:
        image: redis:7.4
      db:
        image: postgres:17
        healthcheck: {test: [CMD, pg_isready]}
      mailer:
        image: shop/mailer:1.8
        depends_on: [cache]
      web:
        image: shop/web:2.4
        ports: ["8080:80"]
        environment: {LOG_LEVEL: info}
        depends_on: [cache, db]
"""
_TEXTUAL, _PICTURED = int(metadata.version("textual").partition(".")[0]), 8
"""The first number of its version: of what is installed, and of what made the pictures."""
_POOLS = ("asyncio_", "AnyIO worker")
"""Threads that wait for more work, and end with the event loop."""
IMAGES = ("redis:7.4", "postgres:17", "shop/mailer:1.8", "shop/web:2.4", "shop/web:2.5")


class Shown:
    """A dashboard that runs, on an engine where `up` has been done unless said otherwise."""

    def __init__(self, folder: Path) -> None:
        self.engine = MeasuredEngine.with_images(*IMAGES)
        self.engine.written = {}
        self.gone: list[StackrError] = []
        self.file = folder / "compose.yaml"
        self.target = target_of(folder, SHOP, self.engine, self.gone)
        self.app = Dashboard(self.target)
        self.pilot: Any = None

    async def bring_up(self) -> None:
        async with self.target.change(ignore) as live:
            await live.up()

    def change(self, name: str, **state: Any) -> None:
        """A container of the engine is so now."""
        found = next(each for each in self.engine.containers.values() if each.name == name)
        self.engine.containers[found.id] = replace(found, **state)
        self.engine.emit("health_status", self.engine.containers[found.id])

    def container(self, name: str) -> ContainerState | None:
        named = (each for each in self.engine.containers.values() if each.name == name)
        return next(named, None)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def sees(self, *words: str) -> None:
        """Wait until all of these are on the screen."""
        await until(self.pilot, lambda: all(word in texts(self.app) for word in words))


@pytest.fixture
async def shown(tmp_path: Path) -> Shown:
    return Shown(tmp_path)


@contextlib.asynccontextmanager
async def running(shown: Shown, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Shown]:
    """Whatever the dashboard began has ended with it."""
    tasks, threads = len(asyncio.all_tasks()), set(threading.enumerate())
    async with shown.app.run_test(size=size) as pilot:
        shown.pilot = pilot
        yield shown
    assert shown.app.fault is None
    assert len(asyncio.all_tasks()) <= tasks
    pools = {each for each in threading.enumerate() if each.name.startswith(_POOLS)}
    assert set(threading.enumerate()) - threads <= pools


async def test_from_nothing_to_a_running_stack_and_back(shown: Shown) -> None:
    async with running(shown):
        await shown.sees("demo  4 not created", "db         not created", "5 to create")
        await shown.press("u")
        await shown.sees("+ container demo-db-1", "up: 5 to create", "y yes")
        await shown.press("n")
        await shown.press("u", "y")
        await shown.sees("4 running", "no changes", "12%  23MiB   8080->80")
        await shown.press("s")
        await shown.sees("stop cache?")
        await shown.press("y")
        await shown.sees("cache-1    exited", "3 running")
        await shown.press("s")
        await shown.sees("4 running", "start cache: done")
        await shown.press("r")
        await shown.sees("restart cache?")
        await shown.press("enter")
        await shown.sees("restart cache: done")
        await shown.press("down", "down", "down", "c")
        await shown.sees("How many containers of web?")
        await shown.press("0", "enter")
        await shown.sees("scale web to 0: done", "web        not created")


async def test_the_logs_of_all_of_one_and_what_is_searched_for(shown: Shown) -> None:
    shown.engine.written = {"demo-cache-1": ["ready"], "demo-web-1": ["GET /", "Error: no"]}
    await shown.bring_up()
    async with running(shown):
        await shown.sees("cache-1 ready", "web-1 GET /", "web-1 Error: no", "logs of all")
        await shown.press("l")
        await shown.sees("logs of cache-1")
        await until(shown.pilot, lambda: "GET /" not in texts(shown.app))
        await shown.press("down", "down", "down")
        await shown.sees("logs of web-1", "GET /", "Error: no")
        await shown.press("slash", *"error")
        await shown.sees("logs of web-1, with error")
        await until(shown.pilot, lambda: "GET /" not in texts(shown.app))
        await shown.press("enter", "l")
        await shown.sees("logs of all containers, with error", "web-1 Error: no")
        await shown.press("escape")
        await shown.sees("cache-1 ready", "web-1 GET /")
        await shown.press("q")


async def test_a_changed_file_is_seen_and_can_be_carried_out(shown: Shown) -> None:
    await shown.bring_up()
    async with running(shown):
        await shown.sees("no changes, 5 unchanged")
        shown.file.write_text(shown.file.read_text().replace("shop/web:2.4", "shop/web:2.5"))
        await shown.sees("1 to recreate")
        await shown.press("p")
        await shown.sees("what up would do", '"shop/web:2.4" → "shop/web:2.5"')
        shown.file.write_text(shown.file.read_text().replace("depends_on", "depend_on"))
        await shown.sees("compose.yaml", "depend_on")
        await shown.press("u")
        await shown.sees("there is no plan to be carried out")
        shown.file.write_text(shown.file.read_text().replace("depend_on", "depends_on"))
        await shown.sees("1 to recreate")
        await shown.press("u", "y")
        await shown.sees("up: done", "no changes")
        web = shown.container("demo-web-1")
        assert web is not None
        assert web.image == "shop/web:2.5"


async def test_what_fails_is_told_with_its_cause(shown: Shown) -> None:
    await shown.bring_up()
    shown.engine.failures["restart_container"] = Unavailable("no room: disk full")
    async with running(shown):
        await shown.sees("4 running")
        await shown.press("r", "y")
        await shown.sees("restart cache failed", "no room: disk full")
        await shown.press("escape")
        await shown.sees("restart cache: failed")


async def test_an_engine_that_is_gone_is_tried_again(shown: Shown) -> None:
    await shown.bring_up()
    shown.gone.append(Unavailable("engine: it does not run", hint="stackr engine start"))
    async with running(shown):
        lost = "engine: it does not run (stackr engine start); trying again"
        await shown.sees(lost, "demo  asking the engine")
        shown.gone.clear()
        await shown.sees("4 running")
        await until(shown.pilot, lambda: "trying again" not in texts(shown.app))


@pytest.mark.parametrize("keys", ["q", "p ctrl+q", "slash ctrl+c", "r ctrl+q", "c ctrl+c"])
async def test_it_ends_from_every_screen(shown: Shown, keys: str) -> None:
    async with running(shown):
        await shown.sees("4 not created", "5 to create")
        await shown.press(*keys.split())
        await until(shown.pilot, lambda: not shown.app.is_running)


async def test_a_change_under_way_is_not_left_without_a_word(shown: Shown) -> None:
    await shown.bring_up()
    shown.engine.delays_s["stop_container"] = 3600
    async with running(shown):
        await shown.sees("4 running")
        await shown.press("s", "y")
        await shown.sees("Stopping")
        await shown.press("q")
        await shown.sees("a change is under way: interrupt it, and quit?")
        await shown.press("n")
        await shown.press("r", "y")
        await shown.sees("one change after the other")
        await shown.press("q", "y")
        await until(shown.pilot, lambda: not shown.app.is_running)


@pytest.mark.skipif(_TEXTUAL < _PICTURED, reason="an older Textual lays out the keys otherwise")
async def test_its_pictures(shown: Shown) -> None:
    """`docs/pictures/ui.svg` and `ui-plan.svg` are what is seen here."""
    shown.engine.written = {
        "demo-db-1": ["database system is ready to accept connections"],
        "demo-cache-1": ["Ready to accept connections tcp"],
        "demo-mailer-1": ["sending 3 messages", "smtp: connection refused"],
        "demo-web-1": ["listening on :80", "GET / 200 3 ms", "GET /cart 200 8 ms"],
    }
    await shown.bring_up()
    shown.change("demo-db-1", health="healthy")
    shown.change("demo-mailer-1", state="restarting")
    async with running(shown):
        text = shown.file.read_text().replace("shop/web:2.4", "shop/web:2.5")
        shown.file.write_text(text.replace("info", "debug"))
        await shown.sees("1 to recreate", "GET /cart", "12%", "smtp:")
        check_picture("ui.svg", shown.app.export_screenshot())
        await shown.press("p")
        await shown.sees('"shop/web:2.5"', "LOG_LEVEL")
        check_picture("ui-plan.svg", shown.app.export_screenshot())


@pytest.mark.parametrize("columns", [60, 120])
async def test_it_fits_narrow_and_wide_screens(shown: Shown, columns: int) -> None:
    await shown.bring_up()
    async with running(shown, (columns, 24)):
        await shown.sees("CONTAINER", "web-1", "l logs")
        assert max(map(len, texts(shown.app).splitlines())) <= columns


async def test_an_engine_that_can_never_be_followed_ends_it(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    shown.gone.append(NotSupported("not on a Swarm"))
    await asyncio.wait_for(shown.app.run_async(headless=True), 30)
    assert isinstance(shown.app.fault, NotSupported)
