"""What may be mounted in a container's /proc."""

from __future__ import annotations

import pytest

from stackr.runtime.proc_targets import proc_refusal


@pytest.mark.parametrize(
    ("target", "kinds"),
    [
        ("/proc", "bind"),
        ("//proc/.", "bind"),
        ("/proc/cpuinfo", "bind"),
        ("/proc/sys/kernel/ns_last_pid", "bind"),
        ("/proc/sys", ""),
        ("/data/../proc/self/attr", ""),
        ("/proc/cpuinfo/x", ""),
        ("/procedure", "bind others"),
        ("/sys/kernel", "bind others"),
        ("/", "bind others"),
    ],
)
def test_what_may_be_there(target: str, kinds: str) -> None:
    assert (proc_refusal(target, is_bind=True) == "") is ("bind" in kinds)
    assert (proc_refusal(target, is_bind=False) == "") is ("others" in kinds)
