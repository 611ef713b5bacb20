"""What in a plan deserves a second look: data lost, reach, privilege, downtime.

Each risk has a stable identifier, which `x-stackr.policy` makes an error, a warning or nothing.
Only what a plan newly brings about is told: a container that is privileged already is no news.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stackr.planner.change.slots import stored_spec
from stackr.planner.desired.init_steps import step_images, steps_of
from stackr.planner.desired.project import Desired, DesiredService
from stackr.planner.observe.observed import Observed, other_stack_of
from stackr.planner.plan.model import Change, Kind, Risk, RiskLevel
from stackr.planner.plan.outlook import affected_text
from stackr.spec.attribute import Namespace
from stackr.spec.declared import of_service
from stackr.spec.decode import EXTENSION

__all__ = ["PAST", "RISKS", "Finding", "Subject", "judged", "of_specs", "risks"]

RISKS: Mapping[str, str] = {
    "volume-removed": "a volume and its data go, or are no longer used",
    "port-opened": "a port becomes reachable from every address of the host",
    "privileged": "a container gets all of the host's privileges",
    "capability-added": "a container gets a capability that is not among the defaults",
    "host-namespace": "a container shares a namespace of the host",
    "engine-socket-mounted": "a container can command an engine, which is root on the host",
    "image-unpinned": "an image has no tag, or `latest`: it is another one tomorrow",
    "data-stays-behind": "a cluster's service keeps data on one node, and may run on another",
    "stateful-recreated": "a service that keeps data is recreated or restarted, so it is away",
    "dependants-restarted": "services restart because of a change elsewhere",
    "other-stack": "a container goes that a stack of this name in another folder has made",
}
"""Identifier -> what it means."""

_EVERYWHERE = ("", "0.0.0.0", "::", "[::]")
_SOCKETS = ("docker.sock", "podman.sock", "containerd.sock", "stackr.sock")
_HOST_MODES = [at for at, mark in of_service(Namespace).items() if "host" in mark.forms]
_MADE = (Kind.CREATE, Kind.RECREATE)


@dataclass(frozen=True, slots=True)
class Subject:
    """A service of which containers are made: its spec, and the one that they were made from.

    may_move: the engine decides on which node they run, each time anew.
    """

    name: str
    image: str
    spec: Mapping[str, Any]
    before: Mapping[str, Any]
    is_built: bool = False
    may_move: bool = False

    def path(self, key: str) -> str:
        return f"services.{self.name}.{key}"


Finding = tuple[str, str, str]
"""Identifier, path in the stack file, message."""


def risks(
    changes: tuple[Change, ...] | list[Change],
    desired: Desired,
    observed: Observed,
    policy: Mapping[str, str],
) -> tuple[Risk, ...]:
    """The risks of these changes, each once, by service and identifier.

    policy: identifier -> "error", "warn" or "ignore"; "warn" for those that are left out.
    """
    found: dict[Finding, None] = {}
    others = _made_elsewhere(desired, observed)
    for change in changes:
        found |= dict.fromkeys(_of_change(change, desired, others))
    found |= dict.fromkeys(of_specs(_subjects(changes, desired, observed)))
    return judged(found, policy)


def of_specs(subjects: Iterable[Subject]) -> Iterator[Finding]:
    """Those that show in what services are made of, and were made of before."""
    for subject in subjects:
        for rule in _RULES:
            yield from rule(subject)


def judged(found: Iterable[Finding], policy: Mapping[str, str]) -> tuple[Risk, ...]:
    """policy: as in `risks`."""
    return tuple(
        Risk(id, path, message, RiskLevel(policy.get(id, "warn")))
        for id, path, message in found
        if policy.get(id) != "ignore"
    )


def _subjects(
    changes: tuple[Change, ...] | list[Change], desired: Desired, observed: Observed
) -> Iterator[Subject]:
    names = {c.resource.service for c in changes if c.kind in _MADE and c.resource.service}
    for name, service in desired.services.items():
        if name in names:
            specs = [stored_spec(container.labels) for container in observed.of_service(name)]
            before = next((s for s in specs if s is not None), {})
            yield Subject(name, service.image, service.spec, before, service.is_built)


def _made_elsewhere(desired: Desired, observed: Observed) -> dict[str, str]:
    """The containers of another folder's stack, each with its stack file.

    Two folders of one name are one project for each other, as with Docker Compose.
    """
    containers = (*observed.containers, *observed.oneoffs)
    origins = {each.name: other_stack_of(each, desired.working_dir) for each in containers}
    return {name: origin for name, origin in origins.items() if origin}


def _of_change(change: Change, desired: Desired, others: Mapping[str, str]) -> Iterator[Finding]:
    """others: containers that other stacks have made, each with its stack file."""
    resource = change.resource
    if resource.kind == "volume" and change.kind is Kind.REMOVE:
        yield "volume-removed", f"volumes.{resource.name}", f"volume {resource.name} and its data"
    if resource.kind == "volume" and change.kind is Kind.RECREATE:
        keys = (key for key, each in desired.volumes.items() if each.name == resource.name)
        message = f"volume {resource.name} is created again, and its data is lost"
        yield "volume-removed", f"volumes.{next(keys, resource.name)}", message
    if resource.kind == "network" and change.affects:
        keys = (key for key, each in desired.networks.items() if each.name == resource.name)
        message = f"network {resource.name} is created again: {affected_text(change.affects)}"
        yield "dependants-restarted", f"networks.{next(keys, resource.name)}", message
    if change.kind in (Kind.RESTART, Kind.RECREATE) and change.touched_by:
        because = ", ".join(change.touched_by)
        yield (
            "dependants-restarted",
            f"services.{resource.service}.depends_on",
            f'service "{resource.service}" {PAST[change.kind]} because of {because}',
        )
    service = desired.services.get(resource.service)
    if change.kind in PAST and service is not None and _is_stateful(service):
        yield (
            "stateful-recreated",
            f"services.{resource.service}",
            f'service "{resource.service}" keeps data and {PAST[change.kind]}',
        )
    origin = others.get(resource.name) if resource.kind == "container" else None
    if change.kind in (Kind.REMOVE, Kind.RECREATE) and origin is not None:
        yield (
            "other-stack",
            "name" if service is None else f"services.{resource.service}",
            f"container {resource.name} was made from {origin}",
        )


PAST: Mapping[Kind, str] = {Kind.RESTART: "restarts", Kind.RECREATE: "is recreated"}
"""What befalls a service, in words."""


def _is_stateful(service: DesiredService) -> bool:
    """As `x-stackr` says, else whether it mounts a named volume."""
    is_extended = EXTENSION in service.service.extensions
    said = service.service.stackr.stateful if is_extended else None
    return bool(service.volumes) if said is None else said


def _ports(subject: Subject) -> Iterator[Finding]:
    before = {_port(port) for port in subject.before.get("ports", ())}
    for port in subject.spec.get("ports", ()):
        is_published = port.get("published") or port.get("mode") != "host"
        if is_published and port.get("host_ip", "") in _EVERYWHERE and _port(port) not in before:
            text = f"{port.get('published') or 'any'}->{port.get('target')}"
            name = subject.name
            yield (
                "port-opened",
                subject.path("ports"),
                f'service "{name}": port {text}/{port.get("protocol", "tcp")} on all addresses',
            )


def _port(port: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        port.get("published"),
        port.get("target"),
        port.get("protocol", "tcp"),
        port.get("host_ip", "") in _EVERYWHERE,
    )


def _privileged(subject: Subject) -> Iterator[Finding]:
    if subject.spec.get("privileged") and not subject.before.get("privileged"):
        message = f'service "{subject.name}" is privileged'
        yield "privileged", subject.path("privileged"), message
    for hooks in ("pre_start", "post_start", "pre_stop"):
        before = subject.before.get(hooks, ())
        for index, hook in enumerate(subject.spec.get(hooks, ())):
            if hook.get("privileged") and hook not in before:
                path = f"{hooks}[{index}]"
                message = f'service "{subject.name}": {path} is privileged'
                yield "privileged", subject.path(f"{path}.privileged"), message


def _capabilities(subject: Subject) -> Iterator[Finding]:
    added = _names(subject.spec) - _names(subject.before)
    if added:
        listed = ", ".join(sorted(added))
        message = f'service "{subject.name}" gets {listed}'
        yield "capability-added", subject.path("cap_add"), message


def _names(spec: Mapping[str, Any]) -> set[str]:
    return {str(name).upper().removeprefix("CAP_") for name in spec.get("cap_add", ())}


def _namespaces(subject: Subject) -> Iterator[Finding]:
    for key in _HOST_MODES:
        if subject.spec.get(key) == "host" and subject.before.get(key) != "host":
            message = f'service "{subject.name}" shares the host\'s {key.partition("_")[0]}'
            yield "host-namespace", subject.path(key), message


def _sockets(subject: Subject) -> Iterator[Finding]:
    before = {volume.get("source") for volume in subject.before.get("volumes", ())}
    message = f'service "{subject.name}" mounts the engine\'s socket'
    for volume in subject.spec.get("volumes", ()):
        source = str(volume.get("source", ""))
        if source.endswith(_SOCKETS) and source not in before:
            yield "engine-socket-mounted", subject.path("volumes"), message
    if subject.spec.get("use_api_socket") and not subject.before.get("use_api_socket"):
        yield "engine-socket-mounted", subject.path("use_api_socket"), message


def _volumes(subject: Subject) -> Iterator[Finding]:
    """A volume that is not mounted any more stays in the engine; the service loses sight of it."""
    lost = _mounted(subject.before) - _mounted(subject.spec)
    name = subject.name
    for volume in sorted(lost):
        message = f'service "{name}" no longer mounts volume "{volume}", whose data stays unused'
        yield "volume-removed", subject.path("volumes"), message


def _mounted(spec: Mapping[str, Any]) -> set[str]:
    volumes = [v for v in spec.get("volumes", ()) if v.get("type") == "volume"]
    return {str(volume["source"]) for volume in volumes if volume.get("source")}


def _left_behind(subject: Subject) -> Iterator[Finding]:
    """A node's own volume stays there when the engine runs the service elsewhere."""
    if subject.may_move and _moves_away(subject.spec) and not _moves_away(subject.before):
        names = ", ".join(sorted(_of_node(subject.spec)))
        message = (
            f'service "{subject.name}" keeps data in {names}, which each node has of its own,'
            " and may run on any"
        )
        yield "data-stays-behind", subject.path("volumes"), message


def _moves_away(spec: Mapping[str, Any]) -> bool:
    """Whether a service has volumes of a node, and nothing ties it to that node."""
    deploy = spec.get("deploy", {})
    constraints = deploy.get("placement", {}).get("constraints", ())
    is_tied = any("==" in each and _PLACE.match(each.strip()) for each in constraints)
    is_everywhere = str(deploy.get("mode", "")).startswith("global")
    return bool(_of_node(spec)) and not is_tied and not is_everywhere


_PLACE = re.compile(r"node\.(id|hostname|labels\.)|engine\.labels\.")
"""Constraints that may well name one node."""


def _of_node(spec: Mapping[str, Any]) -> set[str]:
    """Named volumes that no driver shares between nodes."""
    named = (v for v in spec.get("volumes", ()) if v.get("type") == "volume" and v.get("source"))
    return {str(v["source"]) for v in named if not (v.get("volume") or {}).get("driver")}


def _images(subject: Subject) -> Iterator[Finding]:
    image = subject.image
    if subject.before.get("image") != image and not subject.is_built and _floats(image):
        message = f'service "{subject.name}": image {image} has no fixed tag'
        yield "image-unpinned", subject.path("image"), message
    before = {image, *step_images(subject.before)}
    for index, step in enumerate(steps_of(subject.spec)):
        used = step.get("image", "")
        if used and used not in before and _floats(used):
            message = f'service "{subject.name}": image {used} has no fixed tag'
            yield "image-unpinned", subject.path(f"pre_start[{index}].image"), message


def _floats(image: str) -> bool:
    if "@" in image or image.startswith("sha256:"):
        return False
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag in ("", "latest")


_RULES: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    _ports,
    _privileged,
    _capabilities,
    _namespaces,
    _sockets,
    _volumes,
    _left_behind,
    _images,
)
