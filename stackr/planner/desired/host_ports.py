"""Host ports that two containers of one plan would both publish, told before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from stackr.errors import InvalidProject
from stackr.spec.model.project import Project
from stackr.spec.model.service import Port, Service

__all__ = ["check_host_ports", "published_at"]

_ALL = ("", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class _Claim:
    service: str
    index: int
    host_ip: str
    host_port: int

    @property
    def path(self) -> str:
        return f"services.{self.service}.ports[{self.index}]"


def check_host_ports(project: Project, replicas: Iterable[tuple[str, int]]) -> None:
    """replicas: the services that come up, and how many containers of each.

    Raises InvalidProject that names both places, for ports that clash. A range, or no port, is
    never a clash: the engine picks a free one.
    """
    problems: list[str] = []
    taken: dict[tuple[str, int], list[_Claim]] = {}
    for service, count in replicas:
        for protocol, claim in _claims(service, project.services[service].ports if count else ()):
            written = f"host port {claim.host_port}/{protocol}"
            others = taken.setdefault((protocol, claim.host_port), [])
            for other in others:
                if other != claim and _overlap(claim.host_ip, other.host_ip):
                    where = _place(project, other)
                    problems.append(
                        f"{_place(project, claim)}: {written} is already published by {where}"
                    )
            if count > 1:
                problems.append(
                    f"{_place(project, claim)}: {written} cannot be shared by {count} replicas"
                )
            others.append(claim)
    if problems:
        raise InvalidProject(
            "invalid project: host ports clash",
            problems=problems,
            hint='publish a range ("8080-8089:80"), or leave the host port to the engine ("80")',
        )


def published_at(
    service: Service, number: int, host_ports: Mapping[tuple[str, int, int], int]
) -> Service:
    """The service as its container `number` publishes it; see `UpOptions.host_ports`."""
    chosen = {
        index: str(host_ports[key])
        for index in range(len(service.ports))
        if (key := (service.name, number, index)) in host_ports
    }
    if not chosen:
        return service
    ports = tuple(
        port.model_copy(update={"published": chosen[index]}) if index in chosen else port
        for index, port in enumerate(service.ports)
    )
    return service.model_copy(update={"ports": ports})


def _claims(service: str, ports: Iterable[Port]) -> Iterator[tuple[str, _Claim]]:
    for index, port in enumerate(ports):
        if port.published and port.published.isdecimal() and int(port.published):
            yield (
                port.protocol or "tcp",
                _Claim(service, index, port.host_ip or "", int(port.published)),
            )


def _overlap(one: str, other: str) -> bool:
    return one == other or one in _ALL or other in _ALL


def _place(project: Project, claim: _Claim) -> str:
    position = project.position(claim.path)
    return f"{position}: {claim.path}" if position else claim.path
