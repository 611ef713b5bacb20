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

import loopback_registry
import pytest
from killed_calls import CALLS, Call, Site, View
from killed_daemon import kill_daemon
from oci_builder import archive, build, member
from polling import until

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]

_KILLS = int(os.environ.get("STACKR_KILLS", "0"))
_SAMPLE = 3
_DEADLINE_S = 120
_EMPTY = ("containers", "volumes", "snapshots/new", "snapshots/trash", "build/contexts")


@pytest.fixture
def site(
    new_engine: Callable[[], EngineConfig], registry: str, busybox_image: str, tmp_path: Path
) -> Site:
    other = f"{registry}/test/other:1"
    noise = archive(member("noise", random.Random(1).randbytes(4 << 20)))
    loopback_registry.push(build(noise), other, tmp_path)
    made = Site(new_engine(), busybox_image, other)
    made.must("POST", f"/images/create?fromImage={busybox_image}")
    return made


def test_the_daemon_is_killed_in_the_middle_of_a_call(site: Site, dice: random.Random) -> None:
    for call in CALLS if _KILLS else dice.sample(CALLS, _SAMPLE):
        before, after, whole_s = _made_whole(site, call)
        for _ in range(_KILLS or 1):
            call.before(site)
            at_s = dice.random() * whole_s
            _killed_after(site, call, at_s)
            moment = f"{call.name}, killed after {at_s:.3f} of {whole_s:.3f} s"
            found = site.view()
            assert _is_whole(found, before, after, call), f"{moment}: {found}, after {after}"
            call.make(site)
            again = site.view()
            assert again == after or (call.anew and _named(again) == after), f"{moment}: {again}"
            _cleared(site, moment)


def _made_whole(site: Site, call: Call) -> tuple[View, View, float]:
    """What exists before and after it, and how long it takes, in seconds."""
    call.before(site)
    before = site.view()
    start = time.monotonic()
    status, answer = call.make(site)
    whole_s = time.monotonic() - start
    assert status < 300, f"{call.name}: {status}: {answer}"
    after = site.view()
    _cleared(site, call.name)
    return before, after, whole_s


def _killed_after(site: Site, call: Call, at_s: float) -> None:
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(call.tried, site)
        time.sleep(at_s)
        kill_daemon(site.engine)
        making.result(_DEADLINE_S)
    ensure_running(site.engine)


def _is_whole(found: View, before: View, after: View, call: Call) -> bool:
    """As before the call or as after it, or as the call says that it may be."""
    if found in (before, after):
        return True
    seen = {line.replace(f"'{state}'", "'running'") for line in found for state in call.between}
    seen = seen or set(found)
    return seen == set(before) or (call.partly and set(after) <= seen <= set(before))


def _named(view: View) -> View:
    return tuple(line for line in view if line != "image untagged")


def _cleared(site: Site, moment: str) -> None:
    """All is removed, and no file of it is left."""
    site.clear()
    root = site.engine.data_root
    folders = [root / name for name in _EMPTY]
    until(lambda: not any(map(_files, folders)), f"{moment}: no file of {folders}")


def _files(folder: Path) -> list[Path]:
    return [*folder.iterdir()] if folder.is_dir() else []
