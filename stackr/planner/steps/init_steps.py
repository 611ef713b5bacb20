"""The steps of `pre_start`, which the starts of a service's containers wait for.

A step is done once its container has ended with code 0. That container stays until the service's
own one runs, which says from then on that all were done; so an `up` that was cut off, or of which a
step failed, is carried on with the first step that is not done. One that still runs is waited for.
Source: Compose Specification, "pre_start".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stackr.planner.change.diff import field_changes
from stackr.planner.desired.init_steps import (
    Spec,
    Surroundings,
    step_config,
    step_hash,
    step_name,
    steps_of,
)
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.model import Action, Change, Kind, Resource
from stackr.planner.plan.payloads import RemoveContainer, RunStep
from stackr.runtime import labels
from stackr.runtime.types import ContainerState

__all__ = ["InitSteps", "Site", "has_begun", "remove_steps"]


_OLD = "a step of an earlier run"


@dataclass(slots=True)
class Site:
    """A container of the service that is to start, in whose volumes steps work.

    ref: what it is called while they run, or its ID. id: "" for one that this plan makes. after:
    what its start follows, with the steps once they are entered.
    """

    name: str
    number: int
    ref: str
    around: Surroundings
    id: str = ""
    after: list[Entry] = field(default_factory=list)


def has_begun(container: ContainerState) -> bool:
    """Whether it was started ever, and so had its steps done."""
    return container.state != "created"


@dataclass(slots=True)
class InitSteps:
    """One service's steps, while they are entered. found: their containers that are there.

    timeout_s: how long each may take; None is without end.
    """

    builder: Builder
    project: str
    service: str
    spec: Spec
    found: Sequence[ContainerState]
    timeout_s: float | None = None
    _old: list[Entry] = field(default_factory=list)
    _used: dict[str, tuple[Resource, str]] = field(default_factory=dict)

    def enter(self, sites: Sequence[Site], *, once: bool) -> None:
        """Let each site's start follow its steps, in their order; those of an earlier run go.

        once: whether also steps are due that run once for the service, before any of it starts.
        """
        known = {site.id for site in sites if site.id}
        valid = [each for each in self.found if self._is_valid(each, known)]
        old = [each for each in self.found if each not in valid]
        self._old = [_remove(self.builder, each, _OLD) for each in old]
        for index, step in enumerate(steps_of(self.spec)):
            if step.get("per_replica"):
                for site in sites:
                    site.after = self._add(index, site, site.after, valid, [site])
            elif once and sites:
                before = sorted({entry for site in sites for entry in site.after})
                after = self._add(index, sites[0], before, valid, sites)
                for site in sites:
                    site.after = list(after)
        for each in valid:
            whose = next(site for site in sites if site.id == each.labels[labels.STEP_FOR])
            self._used.setdefault(each.id, (_resource(each), whose.name))
        self.builder.changes += (
            Change(_resource(each), Kind.REMOVE, _OLD)
            for each in old
            if each.name not in self._used  # else it is told as a step that runs
        )

    def remove_after(self, starts: Mapping[str, Entry]) -> None:
        """Remove the containers of the steps once the site, by its name, has started."""
        for ref, (resource, site) in self._used.items():
            payload = RemoveContainer(ref, force=True, volumes=True)
            after = [starts[site]] if site in starts else []
            self.builder.add(
                Action.REMOVE_CONTAINER, resource, "it is done", payload, after, is_optional=True
            )

    def _is_valid(self, container: ContainerState, known: Collection[str | None]) -> bool:
        """Whether it is done, or under way, for a container that is still to be started."""
        hashes = {step_hash(self.spec, index) for index in range(len(steps_of(self.spec)))}
        is_good = container.state == "running" or (
            container.state == "exited" and container.exit_code == 0
        )
        is_ours = container.labels.get(labels.STEP_FOR) in known
        return is_good and is_ours and container.labels.get(labels.STEP_HASH) in hashes

    def _add(
        self,
        index: int,
        site: Site,
        after: Sequence[Entry],
        valid: Sequence[ContainerState],
        sites: Sequence[Site],
    ) -> list[Entry]:
        """Enter one step; what follows it, `after` where it is done already."""
        is_own = bool(steps_of(self.spec)[index].get("per_replica"))
        name = step_name(site.name if is_own else f"{self.project}-{self.service}", index)
        resource = Resource("container", name, self.service, site.number if is_own else 0)
        ids = {each.id for each in sites if each.id}
        there = next((each for each in valid if self._is_of(each, index, ids)), None)
        if there is not None:
            self._used[there.id] = (replace(resource, name=there.name), site.name)
            if not there.is_running:
                return list(after)
        else:
            self._used[name] = (resource, site.name)
        return [self._run(index, site, resource, [*after, *self._old], there)]

    def _is_of(self, container: ContainerState, index: int, ids: Collection[str | None]) -> bool:
        told = container.labels
        return told.get(labels.STEP_FOR) in ids and told.get(labels.STEP_HASH) == step_hash(
            self.spec, index
        )

    def _run(
        self,
        index: int,
        site: Site,
        resource: Resource,
        after: Sequence[Entry],
        running: ContainerState | None,
    ) -> Entry:
        step = steps_of(self.spec)[index]
        whom = site.name if step.get("per_replica") else f'service "{self.service}"'
        cause = f"before {whom} starts" + (": it runs already" if running else "")
        own = self.spec["image"]
        shown = {k: step[k] for k in ("image", "command") if step.get(k) not in (None, own)}
        fields = field_changes({}, shown, forces_recreate=False)
        at = f"pre_start[{index}]."
        self.builder.changes.append(
            Change(
                resource,
                Kind.RUN,
                cause,
                tuple(replace(each, path=at + each.path) for each in fields),
            )
        )
        payload = RunStep(
            resource.name,
            step_config(self.spec, index, site.around),
            site.ref,
            index,
            running=running.id if running else "",
            timeout_s=self.timeout_s,
        )
        return self.builder.add(Action.RUN_STEP, resource, cause, payload, after)


def remove_steps(builder: Builder, steps: Iterable[ContainerState], cause: str) -> list[Entry]:
    """Remove the containers of steps, running or not, with their anonymous volumes."""
    removed = []
    for container in steps:
        removed.append(_remove(builder, container, cause))
        builder.changes.append(Change(_resource(container), Kind.REMOVE, cause))
    return removed


def _remove(builder: Builder, container: ContainerState, cause: str) -> Entry:
    payload = RemoveContainer(container.id, force=True, volumes=True)
    return builder.add(Action.REMOVE_CONTAINER, _resource(container), cause, payload)


def _resource(container: ContainerState) -> Resource:
    return Resource("container", container.name, container.labels.get(labels.SERVICE, ""))
