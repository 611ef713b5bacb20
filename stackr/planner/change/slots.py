"""What becomes of each container of a service: one slot per replica, decided before any order.

A slot is kept, created, recreated (with the attributes that force it) or removed. Pure: the
desired service, the observed containers and the options in, slots out.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stackr.planner.change.diff import field_changes
from stackr.planner.change.slot import Slot, Verdict
from stackr.planner.change.targets import Target, stale_references, target_of
from stackr.planner.desired.limits import drifted_limits, is_in_place, marked_in_place
from stackr.planner.desired.project import Desired, DesiredService
from stackr.planner.desired.references import Reference
from stackr.planner.observe.observed import Observed, number_of, told_dependencies
from stackr.planner.observe.revision import had_replicas
from stackr.planner.plan.model import FieldChange, Origin
from stackr.planner.plan.options import UpOptions
from stackr.runtime import labels
from stackr.runtime.types import Capabilities, ContainerState, ImageState
from stackr.spec.render import service_hash
from stackr.text import parse_json

__all__ = ["decide", "stored_spec"]


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """What the containers of one service are judged by. targets: what its references mean.

    renewed: the names of volumes that are made anew.
    """

    observed: Observed
    options: UpOptions
    targets: Mapping[Reference, Target]
    renewed: Container[str]


def decide(
    desired: Desired, observed: Observed, options: UpOptions, renewed: Container[str] = ()
) -> dict[str, list[Slot]]:
    """The slots of every desired service, in dependency order, each list by number.

    renewed: the names of volumes that are made anew, and with them what mounts them.
    """
    slots: dict[str, list[Slot]] = {}
    for name, service in desired.services.items():
        found = ((each, target_of(each, slots, observed)) for each in service.references)
        targets = {reference: target for reference, target in found if target is not None}
        around = _Circumstances(observed, options, targets, renewed)
        slots[name] = _service_slots(service, around)
    return slots


def _service_slots(service: DesiredService, around: _Circumstances) -> list[Slot]:
    observed = around.observed
    there = observed.of_service(service.name)
    judged = [
        (_judge(service, container, around), container)
        for container in there
        if not container.is_unfinished
    ]
    kept, surplus = _choose(service, judged)
    surplus += [(c, "its creation was interrupted") for c in there if c.is_unfinished]
    slots = [
        Slot(
            service.name,
            number_of(container),
            container.name,
            Verdict.REMOVE,
            cause,
            container,
        )
        for container, cause in surplus
    ]
    slots += [_kept_slot(service, number, *kept[number]) for number in kept]
    free = (number for number in range(1, service.replicas + len(kept) + 1) if number not in kept)
    for position in range(len(kept) + 1, service.replicas + 1):
        number = next(free)
        name = service.container_name(number)
        if had_replicas(observed, service.name, position):
            cause, origin = "it was removed outside stackr", Origin.DRIFT
        else:
            cause, origin = "no existing container", Origin.FILE
        slots.append(Slot(service.name, number, name, Verdict.CREATE, cause, origin=origin))
    return sorted(slots, key=lambda slot: (slot.number, slot.name, slot.verdict.value))


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Why a container must be changed; no cause if it need not. in_place: it can stay."""

    cause: str = ""
    in_place: bool = False
    fields: tuple[FieldChange, ...] = ()
    origin: Origin = Origin.FILE
    touched_by: tuple[str, ...] = ()


_Judged = tuple[_Judgement, ContainerState]


def _choose(
    service: DesiredService, judged: list[_Judged]
) -> tuple[dict[int, _Judged], list[tuple[ContainerState, str]]]:
    """The containers that fill a replica's place, by number, and those too many.

    Of two with one number (a recreation was interrupted) the one that bears the name stays. A
    scale down takes those first that would be recreated anyway, then the highest numbers.
    """
    by_number: dict[int, _Judged] = {}
    surplus: list[tuple[ContainerState, str]] = []
    for entry in sorted(judged, key=lambda entry: _misnamed(service, entry[1])):
        number = number_of(entry[1])
        if number in by_number or number == 0:
            surplus.append((entry[1], "left over from an interrupted recreation"))
        else:
            by_number[number] = entry
    order = sorted(by_number, key=lambda number: (bool(by_number[number][0].cause), number))
    for number in order[service.replicas :]:
        surplus.append((by_number.pop(number)[1], "scale down"))
    return dict(sorted(by_number.items())), surplus


def _misnamed(service: DesiredService, container: ContainerState) -> bool:
    return container.name != service.container_name(number_of(container))


def _kept_slot(
    service: DesiredService, number: int, judgement: _Judgement, container: ContainerState
) -> Slot:
    name, verdict = service.container_name(number), _verdict(judgement)
    fields = judgement.fields
    if verdict is not Verdict.RECREATE and container.name != name:
        fields += (_renamed(container.name, name),)
    return Slot(
        service=service.name,
        number=number,
        name=name,
        verdict=verdict,
        cause=judgement.cause,
        container=container,
        fields=fields,
        origin=judgement.origin,
        touched_by=judgement.touched_by,
    )


def _renamed(old: str, name: str) -> FieldChange:
    return FieldChange("name", old, name, forces_recreate=False, origin=Origin.DRIFT)


def _verdict(judgement: _Judgement) -> Verdict:
    if not judgement.cause:
        return Verdict.KEEP
    return Verdict.UPDATE if judgement.in_place else Verdict.RECREATE


def _judge(
    service: DesiredService, container: ContainerState, around: _Circumstances
) -> _Judgement:
    observed, targets = around.observed, around.targets
    if around.options.recreate == "never":
        return _Judgement()
    forced = _forced(service, container, around)
    from_file = (
        *_file_changes(service, container),
        *_image_changes(service, container, observed),
        *_mounted_image_changes(container, observed),
    )
    shared = _recreated(targets)
    others = {each: targets[each] for each in targets if each.service not in shared}
    stale = stale_references(others, container)
    drifted = (*_detached(service, container, observed), *stale)
    if from_file:
        from_file += _order_changes(service, container, observed.engine)
        if not (drifted or shared or forced) and is_in_place(
            from_file, service.service, container, observed.engine
        ):
            return _in_place(from_file)
        from_file = marked_in_place(from_file, service.service, container, observed.engine)
        fields = (*from_file, *drifted)
        is_drift = all(change.origin is Origin.DRIFT for change in fields)
        return _Judgement(
            _forcing(from_file) or forced or _cause(from_file),
            fields=fields,
            origin=Origin.DRIFT if is_drift else Origin.FILE,
        )
    is_compose_s = labels.SPEC not in container.labels
    if is_compose_s and not _is_alike(service, container):
        return _Judgement("made by another tool, from another configuration than this one")
    if not is_compose_s and container.labels.get(labels.CONFIG_HASH) != service.hash:
        return _Judgement("its recorded configuration is of another form")
    if shared:
        names = ", ".join(f'"{name}"' for name in shared)
        return _Judgement(f"shares what {names} has, which is recreated", touched_by=shared)
    if drifted:
        causes = dict.fromkeys(change.note for change in stale) or ("it was detached",)
        return _Judgement("; ".join(causes), fields=drifted, origin=Origin.DRIFT)
    if forced:
        return _Judgement(forced)
    return _quiet_judgement(service, container, observed)


def _is_alike(service: DesiredService, container: ContainerState) -> bool:
    """Whether Docker Compose would keep a container that it has made: by its hash of the service,
    which is all that is known of what the container was made from."""
    typed = service.project.typed.get("services", {}).get(service.name)
    return typed is not None and container.labels.get(labels.CONFIG_HASH) == service_hash(typed)


def _forced(service: DesiredService, container: ContainerState, around: _Circumstances) -> str:
    """Why the container is recreated whether it differs or not; "" if nothing asks for that."""
    mounted = (mount.name for mount in container.mounts if mount.type == "volume")
    renewed = next((name for name in mounted if name in around.renewed), None)
    if renewed is not None:
        return f"volume {renewed} is created again"
    options = around.options
    if not service.is_target:
        return "forced" if options.recreate_dependencies else ""
    if options.recreate == "force":
        return "forced"
    return "new anonymous volumes" if options.renew_anonymous_volumes else ""


def _recreated(targets: Mapping[Reference, Target]) -> tuple[str, ...]:
    """The services whose containers, which others refer to, are made anew."""
    made = (r for r, t in targets.items() if t.slot and t.slot.verdict is Verdict.RECREATE)
    return tuple(sorted({reference.service for reference in made}))


def _quiet_judgement(
    service: DesiredService, container: ContainerState, observed: Observed
) -> _Judgement:
    """What a container is made of has not changed: its limits may have, or what it follows."""
    drifted = drifted_limits(service.service, container, observed.engine)
    ordered = _staying(_order_changes(service, container, observed.engine))
    if not drifted:
        return _in_place(ordered) if ordered else _Judgement()
    cause = f"{', '.join(change.path for change in drifted)} changed outside stackr"
    in_place = not any(change.forces_recreate for change in drifted)
    return _Judgement(cause, in_place, (*drifted, *ordered), Origin.DRIFT)


def _in_place(changes: tuple[FieldChange, ...]) -> _Judgement:
    return _Judgement(_cause(changes), in_place=True, fields=_staying(changes))


def _staying(changes: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
    return tuple(replace(change, forces_recreate=False) for change in changes)


def _cause(changes: tuple[FieldChange, ...]) -> str:
    return f"{', '.join(dict.fromkeys(_top(change.path) for change in changes))} changed"


def _forcing(changes: tuple[FieldChange, ...]) -> str:
    """The cause of a recreation by those changes that force it; "" where none does."""
    forcing = tuple(change for change in changes if change.forces_recreate)
    return _cause(forcing) if forcing else ""


def _top(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


def stored_spec(state_labels: Mapping[str, str]) -> dict[str, Any] | None:
    """The resolved configuration that a resource was made from; None if it does not say."""
    try:
        spec = parse_json(state_labels.get(labels.SPEC, ""))
    except ValueError:
        return None
    return spec if isinstance(spec, dict) else None


def _file_changes(service: DesiredService, container: ContainerState) -> tuple[FieldChange, ...]:
    if container.labels.get(labels.CONFIG_HASH) == service.hash:
        return ()
    stored = stored_spec(container.labels)
    return () if stored is None else field_changes(stored, service.spec)


def _order_changes(
    service: DesiredService, container: ContainerState, engine: Capabilities
) -> tuple[FieldChange, ...]:
    """What the container says that it depends on, where the engine can write that anew."""
    old, new = (
        all_labels.get(labels.DEPENDS_ON, "")
        for all_labels in (container.labels, service.base_labels)
    )
    if old == new or not engine.update_labels or labels.SPEC not in container.labels:
        return ()
    before, after = ({"depends_on": told_dependencies(text)} for text in (old, new))
    return field_changes(before, after)


def _image_changes(
    service: DesiredService, container: ContainerState, observed: Observed
) -> tuple[FieldChange, ...]:
    """The reference is the same, and names another image now."""
    stored = stored_spec(container.labels)
    if stored is not None and stored.get("image") != service.image:
        return ()  # told as a change of the file
    image = observed.images.get(service.image)
    used = container.labels.get(labels.IMAGE) or container.image_id
    moved = observed.moved.get(service.image)
    if moved == "" and image is not None:
        return (FieldChange("image", used, "built again"),)
    if moved is not None and image is not None:
        return (_moved("image", _known_as(image) if image.id == used else used, moved),)
    if image is None or not used or image.id == used:
        return ()
    note = f"{service.image} names another image now"
    return (FieldChange("image", used, image.id, note=note, origin=Origin.DRIFT),)


def _moved(path: str, old: str, digest: str) -> FieldChange:
    return FieldChange(path, old, digest, note="moved at its registry", origin=Origin.DRIFT)


def _known_as(image: ImageState) -> str:
    """The digest that its registry knows it by, or its ID."""
    return next((each.rpartition("@")[2] for each in image.digests), image.id)


def _mounted_image_changes(
    container: ContainerState, observed: Observed
) -> tuple[FieldChange, ...]:
    """An image that is mounted is another one now; not every engine tells which one it mounted."""
    changes = []
    for mount in container.mounts:
        image = observed.images.get(mount.source) if mount.type == "image" else None
        if image is not None and mount.source in observed.moved:
            old, new = _known_as(image), observed.moved[mount.source]
            changes.append(_moved(f"volumes.{mount.target}", old, new))
        elif image is not None and mount.name and mount.name != image.id:
            note = f"{mount.source} names another image now"
            path = f"volumes.{mount.target}"
            changes.append(FieldChange(path, mount.name, image.id, note=note, origin=Origin.DRIFT))
    return tuple(changes)


def _detached(
    service: DesiredService, container: ContainerState, observed: Observed
) -> tuple[FieldChange, ...]:
    """Networks and volumes that the container was made with, and has no longer."""
    networks, volumes = _made_with(service, container)
    changes = []
    joined = {endpoint.network for endpoint in container.networks}
    if container.is_running:
        changes += [
            FieldChange(f"networks.{name}", None, {}, note="detached", origin=Origin.DRIFT)
            for name in service.networks
            if name in networks and name not in joined and name in observed.networks
        ]
    mounted = {mount.name for mount in container.mounts if mount.type == "volume"}
    changes += [
        FieldChange(f"volumes.{name}", None, {}, note="not mounted", origin=Origin.DRIFT)
        for name in service.volumes
        if name in volumes and name not in mounted and name in observed.volumes
    ]
    return tuple(changes)


def _made_with(
    service: DesiredService, container: ContainerState
) -> tuple[Container[str], Container[str]]:
    """The names of the networks and volumes that the container's recorded configuration has."""
    if container.labels.get(labels.CONFIG_HASH) == service.hash:
        return service.networks, service.volumes
    stored, project = stored_spec(container.labels) or {}, service.project
    sources = {volume.get("source") for volume in stored.get("volumes", ())}
    return (
        {
            each.name or key
            for key, each in project.networks.items()
            if key in stored.get("networks", ())
        },
        {each.name or key for key, each in project.volumes.items() if key in sources},
    )
