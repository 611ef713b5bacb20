"""How long an OCI runtime may take to make a container."""

from __future__ import annotations

from stackr.runtime.engine.container.oci.monitor import MonitorOptions


def test_a_large_environment_is_waited_for() -> None:
    """The runtimes take the square of its length: some 15 s for 100,000 on an idle processor."""

    def patience_s(variables: int) -> float:
        return MonitorOptions(
            tty=False, stdin=False, keep_stdin=False, log=None, variables=variables
        ).patience_s

    assert patience_s(0) == 60
    assert patience_s(1_000) < 61
    assert patience_s(100_000) > 200
