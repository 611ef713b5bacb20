"""A plan on paper: bound to the stack it was made from, and to the world that it was made for.

It holds no secrets, and nothing that could be carried out by itself: whoever applies it makes the
plan again, and compares. Fingerprints of services are keyed, so that they cannot be looked up.
Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from stackr.errors import Conflict, InvalidArgument
from stackr.planner.desired.config_hash import canonical_json, digest, sparse
from stackr.planner.desired.project import Desired
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import Action, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.workloads.dialect import Rendered
from stackr.runtime import labels
from stackr.runtime.types import ContainerState
from stackr.runtime.workloads import Observation

__all__ = [
    "SAVED_VERSION",
    "Fingerprints",
    "as_approved",
    "check_fresh",
    "document_prints",
    "host_prints",
    "options_of",
    "saved_plan",
    "unsealed",
]

SAVED_VERSION = 1
_OPTIONS = (
    *("services", "no_deps", "scale", "recreate", "remove_orphans", "pull", "build"),
    *("recreate_dependencies", "renew_anonymous_volumes", "recreate_volumes"),
)


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What a plan is bound to. stack, world: by what each is of, in words. steps: of them all."""

    stack: Mapping[str, str]
    world: Mapping[str, str]
    steps: str


def host_prints(plan: Plan, wanted: Desired, observed: Observed, key: str) -> Fingerprints:
    """key: hexadecimal digits, new for each document that is saved, else its own."""
    return Fingerprints(
        _stack_prints(wanted, key), dict(_world_prints(observed)), digest(str(plan))
    )


def document_prints(
    plan: Plan,
    wanted: Rendered,
    observation: Observation,
    key: str,
    digests: Mapping[str, str] | None = None,
) -> Fingerprints:
    """The same for an engine that takes documents: each has the version that the plan is made for.

    digests: of images, as the plan has them. Waits are no part of what is approved: they change
    nothing.
    """
    stack = _document_prints(wanted, key)
    return Fingerprints(stack, _observed_prints(observation, digests or {}), _steps(plan))


def saved_plan(
    plan: Plan,
    prints: Fingerprints,
    options: UpOptions,
    *,
    command: Mapping[str, Any],
    made: Mapping[str, Any],
    key: str,
) -> dict[str, Any]:
    """The document to be written. command: how the stack was loaded. made: when, by whom.

    key: with which the fingerprints were made.
    """
    document = {
        "stackr_plan": SAVED_VERSION,
        "made": dict(made),
        "command": dict(command),
        "options": {name: value for name, value in asdict(options).items() if name in _OPTIONS},
        "key": key,
        "stack": dict(prints.stack),
        "world": dict(prints.world),
        "steps": prints.steps,
        "plan": plan.to_json(),
    }
    return {**document, "seal": _seal(document)}


def unsealed(document: object) -> dict[str, Any]:
    """The document, if it is whole. Raises InvalidArgument for one that is not, or was changed."""
    if not isinstance(document, dict) or "stackr_plan" not in document:
        raise InvalidArgument("it is not a plan that stackr diff --out has written")
    version = document["stackr_plan"]
    if version != SAVED_VERSION:
        raise InvalidArgument(
            f"its form is version {version}, and this stackr knows version {SAVED_VERSION}",
            hint="make the plan again with this stackr",
        )
    body = {name: value for name, value in document.items() if name != "seal"}
    if not hmac.compare_digest(str(document.get("seal")), _seal(body)):
        raise InvalidArgument(
            "it was changed after it was made", hint="make the plan again: stackr diff --out"
        )
    return body


def options_of(document: Mapping[str, Any]) -> UpOptions:
    """The options that the plan was made with."""
    options = dict(document["options"])
    options["services"] = tuple(options["services"])
    return UpOptions(**options)


def check_fresh(document: Mapping[str, Any], now: Fingerprints) -> None:
    """Raises Conflict, saying what is different, for a plan of another stack or another world.

    now: made with the document's key.
    """
    found = [*_differences("stack file", document["stack"], now.stack)]
    found += _differences("engine", document["world"], now.world)
    if not found and document["steps"] != now.steps:
        found = ["another plan would be made now"]
    if found:
        raise Conflict(
            f"the plan is out of date: {'; '.join(found)}",
            hint="nothing was changed; look at a new plan: stackr diff",
        )


def as_approved(approved: Observed, observed: Observed) -> Observed:
    """What is there after the pulls, as it was before them.

    Raises Conflict where the images that are here now are not those that were approved.
    """
    for reference, image in observed.images.items():
        before, digest = approved.images.get(reference), approved.moved.get(reference)
        if digest == "":  # built meanwhile, of what the plan's steps say
            is_same = True
        elif digest is not None:
            is_same = any(each.endswith(f"@{digest}") for each in image.digests)
        else:
            is_same = before is None or before.id == image.id
        if not is_same:
            raise Conflict(
                f"the plan is out of date: image {reference} changed while it was pulled",
                hint="no container was changed; look at a new plan: stackr diff",
            )
    return replace(observed, images=approved.images, moved=approved.moved, builds=approved.builds)


def _differences(where: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    changed = sorted(name for name in before.keys() & now.keys() if before[name] != now[name])
    for names, what in (
        (changed, "changed"),
        (sorted(now.keys() - before.keys()), "new"),
        (sorted(before.keys() - now.keys()), "gone"),
    ):
        if names:
            yield f"{where}: {', '.join(names)} {'is' if len(names) == 1 else 'are'} {what}"


def _seal(document: Mapping[str, Any]) -> str:
    return digest(canonical_json(document))


def _stack_prints(wanted: Desired, key: str) -> dict[str, str]:
    prints = {
        f"service {name}": canonical_json(
            [service.hash, service.replicas, sparse(service.depends_on)]
        )
        for name, service in wanted.services.items()
    }
    for kind, resources in (("network", wanted.networks), ("volume", wanted.volumes)):
        for name, resource in resources.items():
            prints[f"{kind} {name}"] = canonical_json(resource.spec)
    return {name: _keyed(key, text) for name, text in prints.items()}


def _document_prints(wanted: Rendered, key: str) -> dict[str, str]:
    return {
        f"{each.kind.value} {each.key}": _keyed(
            key,
            canonical_json([each.hash, [str(need) for need in wanted.needs.get(each.name, ())]]),
        )
        for each in wanted.documents
    }


def _observed_prints(observation: Observation, digests: Mapping[str, str]) -> dict[str, str]:
    prints = {
        f"{each.kind.value} {each.name}": f"{each.id} {each.version}"
        for each in observation.documents
    }
    return prints | {f"image {name} at its registry": each for name, each in digests.items()}


def _steps(plan: Plan) -> str:
    changing = (each for each in plan.operations if each.action is not Action.WAIT_FOR)
    return digest(canonical_json([f"{e.resource} {e.action.value} {e.cause}" for e in changing]))


def _keyed(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def _world_prints(observed: Observed) -> Iterator[tuple[str, str]]:
    for container in observed.containers:
        yield f"container {container.name}", digest(canonical_json(_lasting(container)))[:32]
    for name, network in observed.networks.items():
        yield f"network {name}", digest(f"{network.id} {sorted(network.labels.items())}")[:32]
    for name, volume in observed.volumes.items():
        yield f"volume {name}", digest(canonical_json(sorted(volume.labels.items())))[:32]
    for reference, image in observed.images.items():
        yield f"image {reference}", image.id
    for reference, newer in observed.moved.items():
        yield f"image {reference} at its registry", newer
    for reference, planned in observed.builds.items():
        yield f"sources of image {reference}", planned.build.labels.get(labels.BUILD, "")


def _lasting(container: ContainerState) -> list[Any]:
    """What of a container does not change by itself while it goes on as it is."""
    return [
        container.id,
        container.state,
        sorted(container.labels.items()),
        sorted(endpoint.network for endpoint in container.networks),
        sorted(mount.name for mount in container.mounts),
        str(container.resources),
        str(container.restart),
    ]
