"""What moving data through the engine's processes costs the kernel in pages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from stackr.runtime.engine import launch
from stackr.runtime.engine.linux.child import ENVIRONMENT

_ROUNDS = 200
_PAGES_OF_ONE = (256 << 10) // 4096
_CODE = f"""
import os, resource
fd = os.open("/dev/zero", os.O_RDONLY)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range({_ROUNDS}):
    os.read(fd, {256 << 10})
print(faults() - before)
"""


@pytest.mark.parametrize("environment", [ENVIRONMENT, launch._environment()])
def test_a_buffer_is_not_mapped_anew_for_each_piece(environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CODE],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < _ROUNDS * _PAGES_OF_ONE // 10
