"""The table of a stack: one row a container, one for each service of the file that has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackr.cli.views.units import binary_size
from stackr.runtime import labels
from stackr.runtime.types import ContainerState, ContainerStats, PublishedPort
from stackr.stack.containers import display_name
from stackr.text import visible

__all__ = ["ABSENT", "HEADINGS", "Row", "headline", "style_of", "table_rows"]

HEADINGS = ("CONTAINER", "STATE", "HEALTH", "CPU", "MEMORY", "PORTS")
ABSENT = "not created"
_NOTHING = "-"
_EVERYWHERE = ("", "0.0.0.0", "::")
_BAD = ("dead", "restarting", "removing")
_LONGEST_REASON = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One line. key: the container's ID, or the service's name where there is none yet.

    name: as logs call it; number: which replica it is, 0 for none. cells: as `HEADINGS`.
    """

    key: str
    service: str
    name: str
    number: int
    state: str
    health: str
    cells: tuple[str, ...]
    is_running: bool = False

    @property
    def is_well(self) -> bool:
        """Whether nobody has to look at it: what ended as it should is well, too."""
        failed = (*_BAD, "exited (", "created (")
        return self.health != "unhealthy" and not self.state.startswith(failed)


def table_rows(
    containers: Iterable[ContainerState],
    services: Sequence[str],
    usage: Mapping[str, ContainerStats],
) -> list[Row]:
    """Rows by service, then by number. services: those of the file, in any order."""
    shown = [each for each in containers if each.labels.get(labels.ONEOFF) != "True"]
    there = {each.labels.get(labels.SERVICE, "") for each in shown}
    rows = [_row(each, usage.get(each.id)) for each in shown]
    rows += [_absent(service) for service in services if service not in there]
    return sorted(rows, key=lambda row: (row.service, row.number, row.name))


def _row(container: ContainerState, usage: ContainerStats | None) -> Row:
    number = container.labels.get(labels.CONTAINER_NUMBER, "")
    name, state = visible(display_name(container), one_line=True), _state(container)
    used = usage if container.is_running else None
    return Row(
        container.id,
        container.labels.get(labels.SERVICE, ""),
        name,
        int(number) if number.isdecimal() else 0,
        state,
        container.health,
        (
            name,
            state,
            container.health or _NOTHING,
            _NOTHING if used is None else f"{used.cpu_percent:.0f}%",
            _NOTHING if used is None else _memory(used.memory_bytes),
            _ports(container.ports) or _NOTHING,
        ),
        container.is_running,
    )


def _state(container: ContainerState) -> str:
    """`running`; of what ended with an error, `exited (3)`; of a replica that has no place on a
    cluster, `created (no suitable node)`."""
    if container.state == "exited" and container.exit_code:
        return f"exited ({container.exit_code})"
    if container.state in ("created", "dead") and container.error:
        reason = visible(container.error, one_line=True)
        cut = reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
        return f"{container.state} ({cut})"
    return container.state


def _ports(ports: Iterable[PublishedPort]) -> str:
    """`8080->80, 127.0.0.1:53->53/udp`: the address where it is not all of them."""
    texts = []
    for port in ports:
        if port.host_port:
            host = "" if port.host_ip in _EVERYWHERE else f"{port.host_ip}:"
            kind = "" if port.protocol == "tcp" else f"/{port.protocol}"
            texts.append(f"{host}{port.host_port}->{port.container_port}{kind}")
    return ", ".join(dict.fromkeys(texts))


def _memory(value: int) -> str:
    """`23MiB`, `1.2GiB`: three digits at most."""
    text = binary_size(value)
    digits = text.rstrip("BKMGTi")
    return f"{float(digits):.{4 if float(digits) >= 1000 else 3}g}{text[len(digits) :]}"


def _absent(service: str) -> Row:
    rest = (_NOTHING,) * (len(HEADINGS) - 2)
    return Row(service, service, service, 0, ABSENT, "", (service, ABSENT, *rest))


def headline(rows: Iterable[Row]) -> str:
    """`3 running, 1 restarting, 1 unhealthy`."""
    rows = list(rows)
    counts = Counter(row.state.partition(" (")[0] for row in rows)
    counts.update(row.health for row in rows if row.health == "unhealthy")
    return ", ".join(f"{count} {state}" for state, count in counts.most_common()) or "no services"


def style_of(row: Row) -> str:
    """The colour of its state."""
    if not row.is_well:
        return "red"
    if row.state in (ABSENT, "exited", "created", "paused"):
        return "dim"
    return "yellow" if row.health == "starting" else "green"
