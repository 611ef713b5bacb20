"""The options of `container create` that `container update` can change: limits, and the restarts.

Source: docker/cli, cli/command/container/opts.go and update.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from stackr.cli.objects.container import values
from stackr.cli.objects.engine import Json
from stackr.options import Option

__all__ = ["LimitOptions"]

_SAME: Mapping[str, str] = {
    "blkio_weight": "BlkioWeight",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_rt_period": "CpuRealtimePeriod",
    "cpu_rt_runtime": "CpuRealtimeRuntime",
    "cpu_shares": "CpuShares",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "pids_limit": "PidsLimit",
}
"""Options whose value is the field of the API as it is."""


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """pids_limit: 0 says that there is none, None says nothing."""

    blkio_weight: Annotated[
        int, Option("--blkio-weight", metavar="NUM", help="Block I/O, 10 to 1000; 0 for none")
    ] = 0
    cpu_period: Annotated[
        int, Option("--cpu-period", metavar="MICROSECONDS", help="Period of the CPU quota")
    ] = 0
    cpu_quota: Annotated[
        int, Option("--cpu-quota", metavar="MICROSECONDS", help="CPU time in each period")
    ] = 0
    cpu_rt_period: Annotated[
        int,
        Option("--cpu-rt-period", metavar="MICROSECONDS", help="Period of real-time scheduling"),
    ] = 0
    cpu_rt_runtime: Annotated[
        int,
        Option(
            "--cpu-rt-runtime", metavar="MICROSECONDS", help="Real-time CPU time in each period"
        ),
    ] = 0
    cpu_shares: Annotated[
        int, Option("--cpu-shares", "-c", metavar="NUM", help="Relative weight of its CPU time")
    ] = 0
    cpus: Annotated[str, Option("--cpus", metavar="NUM", help="Processors, 1.5 say")] = ""
    cpuset_cpus: Annotated[
        str, Option("--cpuset-cpus", metavar="LIST", help="Which processors: 0-3 or 0,1")
    ] = ""
    cpuset_mems: Annotated[
        str, Option("--cpuset-mems", metavar="LIST", help="Which memory nodes")
    ] = ""
    memory: Annotated[str, Option("--memory", "-m", metavar="BYTES", help="Most memory")] = ""
    memory_reservation: Annotated[
        str,
        Option(
            "--memory-reservation",
            metavar="BYTES",
            help="Memory that it is left where there is little",
        ),
    ] = ""
    memory_swap: Annotated[
        str, Option("--memory-swap", metavar="BYTES", help="Most memory and swap; -1 for no limit")
    ] = ""
    pids_limit: Annotated[
        int | None, Option("--pids-limit", metavar="NUM", help="Most processes; -1 for no limit")
    ] = None
    restart: Annotated[
        str,
        Option("--restart", metavar="POLICY", help="no, on-failure[:NUM], always, unless-stopped"),
    ] = ""

    def body(self) -> Json:
        """As fields of the API's `HostConfig`; raises FlagError for what is no number."""
        return {
            "NanoCpus": values.nano_cpus(self.cpus),
            "Memory": values.size_bytes("--memory", self.memory),
            "MemoryReservation": values.size_bytes("--memory-reservation", self.memory_reservation),
            "MemorySwap": values.size_bytes("--memory-swap", self.memory_swap, unlimited=True),
            "RestartPolicy": values.restart_policy(self.restart),
        } | {api: getattr(self, name) for name, api in _SAME.items()}
