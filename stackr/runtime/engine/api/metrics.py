"""`GET /metrics`: the engine in Prometheus' text format, under dockerd's names.

Source: Prometheus, "Exposition formats"; moby, daemon/metrics.go.
"""

from __future__ import annotations

import os
import resource
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final

from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.http import Request, Response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.linux import descriptors
from stackr.runtime.engine.linux.facts import host_facts
from stackr.runtime.engine.linux.process import age_s, start_ticks
from stackr.version import __version__

__all__ = ["ROUTES", "ActionTimes", "exposition"]

_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ACTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/containers/{id}/changes"): "changes",
    ("POST", "/commit"): "commit",
    ("POST", "/containers/create"): "create",
    ("DELETE", "/containers/{id}"): "delete",
    ("POST", "/containers/{id}/start"): "start",
}
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class ActionTimes:
    """How long calls on containers took: for each action, how many within each bound."""

    def __init__(self) -> None:
        self._counts = {action: [0] * (len(_BOUNDS_S) + 1) for action in _ACTIONS.values()}
        self._sums = dict.fromkeys(_ACTIONS.values(), 0.0)

    def add(self, route: Route, seconds: float) -> None:
        action = _ACTIONS.get((route.method, route.pattern))
        if action is not None:
            self._counts[action][bisect_left(_BOUNDS_S, seconds)] += 1
            self._sums[action] += seconds

    def lines(self) -> Iterator[str]:
        name = "engine_daemon_container_actions_seconds"
        yield from _head(name, "histogram", "The number of seconds it takes to process each action")
        for action, counts in self._counts.items():
            total = 0
            for bound, count in zip((*_BOUNDS_S, "+Inf"), counts, strict=True):
                total += count
                yield f'{name}_bucket{{action="{action}",le="{bound}"}} {total}'
            yield f'{name}_sum{{action="{action}"}} {self._sums[action]:.6f}'
            yield f'{name}_count{{action="{action}"}} {total}'


def exposition(engine: Engine) -> str:
    """Everything, as it is now."""
    return "".join(f"{line}\n" for part in _parts(engine) for line in part)


def _parts(engine: Engine) -> Iterator[Iterator[str]]:
    yield _states(engine)
    yield engine.action_times.lines()
    yield _info(engine)
    yield _value("engine_daemon_engine_cpus_cpus", "gauge", "CPUs of the host", os.cpu_count() or 1)
    memory = host_facts().memory_bytes
    yield _value("engine_daemon_engine_memory_bytes", "gauge", "Memory of the host", memory)
    events = engine.events
    yield _value("engine_daemon_events_total", "counter", "Events so far", events.published)
    name = "engine_daemon_events_subscribers_total"
    yield _value(name, "gauge", "Who follows the events now", events.subscribers)
    yield _value("engine_daemon_images_total", "gauge", "Images here", len(engine.images.list()))
    yield _value("engine_daemon_volumes_total", "gauge", "Volumes", len(engine.volumes.list()))
    yield _value("engine_daemon_networks_total", "gauge", "Networks", len(engine.networks.list()))
    yield _process()


def _states(engine: Engine) -> Iterator[str]:
    """As dockerd counts: what restarts runs, and all but running and paused is stopped."""
    name = "engine_daemon_container_states_containers"
    states = [container.state.status.value for container in engine.containers.list()]
    running, paused = states.count("running") + states.count("restarting"), states.count("paused")
    counts = {"paused": paused, "running": running, "stopped": len(states) - running - paused}
    yield from _head(name, "gauge", "The count of containers in various states")
    for state, count in counts.items():
        yield f'{name}{{state="{state}"}} {count}'


def _info(engine: Engine) -> Iterator[str]:
    name, host = "engine_daemon_engine_info", host_facts()
    labels = {
        "architecture": host.architecture,
        "commit": "",
        "daemon_id": engine.id,
        "graphdriver": "overlay2",
        "kernel": host.kernel,
        "os": host.operating_system,
        "os_type": "linux",
        "os_version": host.os_version,
        "version": __version__,
    }
    text = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    yield from _head(name, "gauge", "The information related to the engine and the OS it is on")
    yield f"{name}{{{text}}} 1"


def _process() -> Iterator[str]:
    """Prometheus' own names for a process."""
    pages = [int(field) for field in _read("/proc/self/statm").split()[:2]]
    size = os.sysconf("SC_PAGE_SIZE")
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = descriptors.limit()
    cpu_s = round(used.ru_utime + used.ru_stime, 6)
    yield from _value("process_cpu_seconds_total", "counter", "CPU time", cpu_s)
    yield from _value("process_max_fds", "gauge", "Most open files", most)
    yield from _value("process_open_fds", "gauge", "Open files", most - descriptors.free())
    yield from _value("process_resident_memory_bytes", "gauge", "In memory", pages[1] * size)
    yield from _value("process_virtual_memory_bytes", "gauge", "Address space", pages[0] * size)
    age = round(age_s(start_ticks(os.getpid())), 3)
    yield from _value("process_uptime_seconds", "gauge", "Since its start", age)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _value(name: str, kind: str, help: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, help)
    yield f"{name} {value}"


def _head(name: str, kind: str, help: str) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


async def _metrics(engine: Engine, request: Request) -> Response:
    return Response(200, exposition(engine).encode(), (("Content-Type", _TYPE),))


ROUTES = (Route("GET", "/metrics", _metrics), Route("HEAD", "/metrics", _metrics))
