"""What the engine holds for a running container's networks."""

from __future__ import annotations

from stackr.runtime.engine.network.sandbox import Sandbox, SandboxRecord


def test_each_is_one_of_its_own() -> None:
    """A start with thousands of containers compares them, which their records must not be for."""
    record = SandboxRecord("a" * 64, "web")
    first, second = Sandbox(record), Sandbox(record)
    assert first != second
    assert {first, second} == {second, first}
    assert len({first, second}) == 2
