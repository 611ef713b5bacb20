"""`/containers/{id}/stats`: what a container uses, once or every second.

Source: Docker Engine API, "ContainerStats"; clients take rates from two readings.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.timestamp import ZERO_TIME, rfc3339

if TYPE_CHECKING:
    from stackr.runtime.engine.container.limits.stats import CpuTimes, InterfaceFigures, Usage
    from stackr.runtime.engine.container.records.record import Container

__all__ = ["ROUTES"]

_NO_LONGER_TOLD: dict[str, list[Any]] = {
    key: []
    for key in (
        *("io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive"),
        *("io_merged_recursive", "io_time_recursive", "sectors_recursive"),
    )
}
"""Of the kernel's CFQ scheduler, which is gone; clients expect the keys."""
_INTERVAL_S = 1.0


class _Readings:
    """One container's readings, each with the one before it."""

    def __init__(self, engine: Engine, container: Container) -> None:
        self._engine = engine
        self._container = container
        self._before: tuple[str, dict[str, Any]] = (ZERO_TIME, _cpu(None, 0))

    def next(self) -> dict[str, Any]:
        usage = self._engine.containers.stats(self._container.id)
        cpus = self._engine.containers.online_cpus
        read, cpu = rfc3339(time.time_ns()), _cpu(usage.cpu if usage else None, cpus)
        (preread, precpu), self._before = self._before, (read, cpu)
        return {
            "name": f"/{self._container.name}",
            "id": self._container.id,
            "read": read if usage else ZERO_TIME,
            "preread": preread,
            "num_procs": 0,
            "storage_stats": {},
            "cpu_stats": cpu,
            "precpu_stats": precpu,
            **_others(usage),
        }


def _cpu(times: CpuTimes | None, cpus: int) -> dict[str, Any]:
    if times is None:
        usage = {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
        throttling = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
        return {"cpu_usage": usage, "throttling_data": throttling}
    per_cpu = {"percpu_usage": list(times.per_cpu_ns)} if times.per_cpu_ns else {}
    return {
        "cpu_usage": {
            "total_usage": times.total_ns,
            **per_cpu,
            "usage_in_kernelmode": times.kernel_ns,
            "usage_in_usermode": times.user_ns,
        },
        "system_cpu_usage": times.system_ns,
        "online_cpus": cpus,
        "throttling_data": {
            "periods": times.periods,
            "throttled_periods": times.throttled_periods,
            "throttled_time": times.throttled_ns,
        },
    }


def _others(usage: Usage | None) -> dict[str, Any]:
    """Everything but the processors; nothing of a container that does not run."""
    if usage is None:
        return {"pids_stats": {}, "blkio_stats": {}, "memory_stats": {}}
    networks = {figures.name: _interface(figures) for figures in usage.interfaces}
    pids = {"current": usage.pids, "limit": usage.pids_limit}
    return {
        "pids_stats": {key: value for key, value in pids.items() if value},
        "blkio_stats": {
            "io_service_bytes_recursive": _io(usage, "read_bytes", "written_bytes"),
            "io_serviced_recursive": _io(usage, "reads", "writes"),
            **_NO_LONGER_TOLD,
        },
        "memory_stats": {
            "usage": usage.memory_bytes,
            **({"max_usage": usage.memory_peak} if usage.memory_peak else {}),
            "stats": usage.memory_stats,
            "limit": usage.memory_limit,
        },
        **({"networks": networks} if networks else {}),
    }


def _io(usage: Usage, *names: str) -> list[dict[str, Any]]:
    return [
        {"major": io.major, "minor": io.minor, "op": op, "value": getattr(io, name)}
        for io in usage.devices
        for op, name in zip(("read", "write"), names, strict=True)
    ]


def _interface(figures: InterfaceFigures) -> dict[str, int]:
    names = ("bytes", "packets", "errors", "dropped")
    received = {f"rx_{name}": value for name, value in zip(names, figures.received, strict=True)}
    sent = {f"tx_{name}": value for name, value in zip(names, figures.sent, strict=True)}
    return received | sent


async def _stats(engine: Engine, request: Request) -> Response | None:
    readings = _Readings(engine, engine.containers.get(request.params["id"]))
    if _is_one(request):
        if not request.flag("one-shot"):
            readings.next()
            await asyncio.sleep(_INTERVAL_S)
        return json_response(readings.next())
    writer = await request.stream("application/json")
    while True:
        await writer.write(json.dumps(readings.next()).encode() + b"\n")
        await asyncio.sleep(_INTERVAL_S)


def _is_one(request: Request) -> bool:
    return not request.flag("stream", default=True)


ROUTES = (Route("GET", "/containers/{id}/stats", _stats, follows=True, ends=_is_one),)
