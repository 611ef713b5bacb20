"""The disk is full at each call that changes something: it is made or refused, and whole either
way; it goes through once there is room, and nothing is left when all is removed.

`STACKR_KILLS` is how often every call is tried; without it, some calls, which `dice` chooses.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from changing_calls import CALLS, Site, cleared, is_made, is_whole, made_whole, new_site
from own_calls import OWN_CALLS
from small_disk import fill

from stackr.runtime.engine.config import EngineConfig

_ALL = (*CALLS, *OWN_CALLS)
pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]

_TIMES = int(os.environ.get("STACKR_KILLS", "0"))
_SAMPLE = 4
_ROOM_KIB = (0, 64, 512, 2048, 6144)
"""From too little for a record to too little for what is unpacked."""


@pytest.fixture
def site(
    new_engine: Callable[[str], EngineConfig], registry: str, busybox_image: str, tmp_path: Path
) -> Site:
    return new_site(new_engine("96m"), registry, busybox_image, tmp_path)


def test_a_call_on_a_full_disk(site: Site, dice: random.Random) -> None:
    for call in [*_ALL] * _TIMES or dice.sample(_ALL, _SAMPLE):
        before, after, _ = made_whole(site, call)
        call.before(site)
        room_kib = dice.choice(_ROOM_KIB)
        ballast = fill(site.engine.data_root, room_kib << 10)
        status, answer = call.make(site)
        moment = f"{call.name}, with {room_kib} KiB: {status}: {answer}"
        found = site.view()
        assert is_whole(found, before, after, call), f"{moment}: {found}, after {after}"
        ballast.unlink()
        call.make(site)
        again = site.view()
        assert is_made(again, after, call), f"{moment}: {again}"
        cleared(site, moment)
