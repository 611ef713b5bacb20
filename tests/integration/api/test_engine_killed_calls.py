"""The daemon is killed in the middle of each call that changes something: another one finds a state
that is whole, the same call goes through then, and nothing is left when all is removed.

A moment is a share of the time that the call takes by itself. `STACKR_KILLS` is how many moments of
every call are tried; without it, one of some calls, which `dice` chooses.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from changing_calls import CALLS, Call, Site, cleared, is_made, is_whole, made_whole, new_site
from killed_daemon import kill_daemon
from own_calls import OWN_CALLS

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running

_ALL = (*CALLS, *OWN_CALLS)
pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]

_KILLS = int(os.environ.get("STACKR_KILLS", "0"))
_SAMPLE = 2
_DEADLINE_S = 120


@pytest.fixture
def site(
    new_engine: Callable[[], EngineConfig], registry: str, busybox_image: str, tmp_path: Path
) -> Site:
    return new_site(new_engine(), registry, busybox_image, tmp_path)


def test_the_daemon_is_killed_in_the_middle_of_a_call(site: Site, dice: random.Random) -> None:
    for call in _ALL if _KILLS else dice.sample(_ALL, _SAMPLE):
        before, after, whole_s = made_whole(site, call)
        for _ in range(_KILLS or 1):
            call.before(site)
            at_s = dice.random() * whole_s
            _killed_after(site, call, at_s)
            moment = f"{call.name}, killed after {at_s:.3f} of {whole_s:.3f} s"
            found = site.view()
            assert is_whole(found, before, after, call), f"{moment}: {found}, after {after}"
            call.make(site)
            again = site.view()
            assert is_made(again, after, call), f"{moment}: {again}"
            cleared(site, moment)


def _killed_after(site: Site, call: Call, at_s: float) -> None:
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(call.tried, site)
        time.sleep(at_s)
        kill_daemon(site.engine)
        making.result(_DEADLINE_S)
    ensure_running(site.engine)
