"""Commands that are killed or interrupted at any moment: the next one carries on, nothing leaks.

`STACKR_KILLS` is how many rounds there are of each (the default is short), `STACKR_SEED` the seed.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from interruption import Site
from stackr_stack import Stack, free_port

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.lock import holder

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(1800)]

ROUNDS = int(os.environ.get("STACKR_KILLS", "3"))
INTERRUPTED = 130


@pytest.fixture
def site(tmp_path: Path, new_engine: Callable[[], EngineConfig], busybox_image: str) -> Site:
    """Written, and up once, so that the image is there; its engine is of this test alone."""
    stack = Stack(tmp_path, new_engine())
    stack.environ["IMAGE"] = busybox_image
    site = Site(stack, free_port())
    site.write(0)
    stack("pull")
    return site


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def interrupt(pid: int) -> None:
    os.kill(pid, signal.SIGINT)


@pytest.mark.parametrize("strike", [kill, interrupt])
def test_the_command_ends_at_any_moment(
    site: Site, dice: random.Random, strike: Callable[[int], None]
) -> None:
    """A first `up`, one that changes everything, and a `down`: each is cut off."""
    site.events_of("up", "-d")
    site.write(1)
    most = site.events_of("up", "-d")
    for _ in range(ROUNDS):
        for command in (("down", "-v"), ("up", "-d"), ("up", "-d")):
            if command[0] == "up":
                site.write(site.version + 1)
            struck = site.interrupt(dice, *command, most=most, strike=strike)
            codes = (0, -signal.SIGKILL) if strike is kill else (0, INTERRUPTED)
            assert struck.returncode in codes, struck
            if command[0] == "down":
                site.is_gone(struck.moment)
            else:
                site.converges(struck.moment)
    site.is_gone("the end")
