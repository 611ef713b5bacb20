"""From a stack file as documents, and what the engine has, to the plan. Pure.

Waves come from `depends_on`: a service is made once those that it needs are what it needs them to
be, which only stackr waits for, as the engine knows no order. What nobody needs any more goes last,
when all else has worked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from stackr.errors import InvalidProject, NotFound
from stackr.planner.change.slot import Verdict
from stackr.planner.plan.builder import Builder, Entry
from stackr.planner.plan.graph import closure, topological_order
from stackr.planner.plan.model import Action, Change, Kind, Plan, Resource
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import (
    AwaitWorkload,
    CreateDocument,
    RemoveDocument,
    RestartWorkload,
    UpdateDocument,
)
from stackr.planner.workloads.compare import Recorded, VerdictOf, Verdicts, compare
from stackr.planner.workloads.dialect import Dialect, Rendered
from stackr.planner.workloads.document import is_one_off, key_of
from stackr.planner.workloads.outlook import joined, renewed, rollout, stages
from stackr.planner.workloads.risk import document_risks
from stackr.runtime import labels
from stackr.runtime.workloads import Document, DocumentKind, Observation, ObservedDocument
from stackr.spec.decode import EXTENSION
from stackr.spec.model.project import Project
from stackr.spec.problems import Problem

__all__ = ["Circumstances", "reconcile_documents", "scaled", "selected"]

_ORDER = (DocumentKind.NETWORK, DocumentKind.CONFIG, DocumentKind.SECRET, DocumentKind.SERVICE)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else a plan goes by. recorded, digests: see `compare`.

    kept: names of configs and secrets that a revision of the history uses.
    """

    recorded: Recorded | None = None
    digests: Mapping[str, str] | None = None
    kept: Collection[str] = ()


def scaled(project: Project, scale: Mapping[str, int]) -> Project:
    """The project with so many replicas. Raises NotFound for a name that no service has."""
    for name in scale:
        if name not in project.services:
            raise NotFound(f"no such service: {name}")
    if not scale:
        return project
    services = {
        name: service.model_copy(update={"scale": scale[name]}) if name in scale else service
        for name, service in project.services.items()
    }
    return project.model_copy(update={"services": services})


def selected(rendered: Rendered, options: UpOptions) -> Rendered:
    """The documents of the services that were asked for, and what they need; all for none.

    Raises NotFound for a name that no service has.
    """
    if not options.services:
        return rendered
    known = {each.key: each.name for each in rendered.of_kind(DocumentKind.SERVICE)}
    for name in options.services:
        if name not in known:
            raise NotFound(f"no such service: {name}")
    chosen = {known[name] for name in options.services}
    if not options.no_deps:
        needs = {name: [n.name for n in all_of] for name, all_of in rendered.needs.items()}
        chosen = closure(chosen, needs)
    used = {name for each in chosen for name in rendered.uses.get(each, ())}
    return replace(
        rendered,
        documents=tuple(
            each
            for each in rendered.documents
            if each.name in (chosen if each.kind is DocumentKind.SERVICE else used)
        ),
        needs={
            name: tuple(need for need in rendered.needs.get(name, ()) if need.name in chosen)
            for name in chosen
        },
    )


def reconcile_documents(
    rendered: Rendered,
    observation: Observation,
    dialect: Dialect,
    options: UpOptions | None = None,
    around: Circumstances | None = None,
) -> Plan:
    """The plan that makes the engine have these documents; empty if it has them.

    Raises InvalidProject for external networks, configs and secrets that are not there.
    """
    options, around = options or UpOptions(), around or Circumstances()
    _check_external(rendered, observation)
    rendered = selected(rendered, options)
    verdicts = compare(
        rendered,
        observation,
        dialect,
        recorded=around.recorded,
        digests=around.digests,
        never=options.recreate == "never",
    )
    draft = _Draft(rendered, verdicts, dialect, options)
    draft.plan_parts()
    draft.plan_services()
    draft.plan_removals(_obsolete(verdicts, observation, dialect, options, around.kept))
    plan = draft.plan()
    found = document_risks(plan.changes, verdicts, rendered, observation, dialect)
    return replace(plan, risks=found, warnings=rendered.project.warnings)


def _check_external(rendered: Rendered, observation: Observation) -> None:
    there = {(each.kind, each.name) for each in (*observation.others, *observation.documents)}
    missing = [each for each in rendered.external if each[:2] not in there]
    if not missing:
        return
    problems = []
    for kind, name, path in missing:
        place = rendered.project.position(path)
        where = f"{place}: " if place is not None else ""
        text = f'{where}{path}: {kind.value} "{name}" is external, and the engine has none'
        problems.append(Problem.of(text, hint=None, snippet=""))
    raise InvalidProject(str(problems[0]), problems=problems)


def _obsolete(
    verdicts: Verdicts,
    observation: Observation,
    dialect: Dialect,
    options: UpOptions,
    kept: Collection[str],
) -> list[tuple[ObservedDocument, str]]:
    """What goes, each with why; "" for what nobody accounts for, and nobody asked to remove.

    What stackr has made and replaced goes by itself: it is not the user's. All of the rest are
    orphans, by their label.
    """
    if options.services:
        return []
    keys = {(each.wanted.kind, each.wanted.key) for each in verdicts.wanted}
    going: list[tuple[ObservedDocument, str]] = []
    staying: list[ObservedDocument] = []
    for each in verdicts.obsolete:
        if is_one_off(each):
            continue  # of `run`: no stack file knows of it
        is_replaced = (each.kind, key_of(each)) in keys
        is_part = each.kind is not DocumentKind.SERVICE
        if is_part and labels.DOCUMENT_KEY in each.labels:
            if each.name not in kept:
                going.append((each, "nothing uses it any more"))
        elif is_replaced:
            going.append((each, "another one has taken its place"))
        elif options.remove_orphans:
            going.append((each, "orphan"))
        else:
            staying.append(each)
            going.append((each, ""))
    used = {
        name
        for each in staying
        if each.kind is DocumentKind.SERVICE
        for name in dialect.uses(dialect.normal(each, observation.names))
    }
    return [(each, why) for each, why in going if each.name not in used or not why]


class _Draft:
    def __init__(
        self, rendered: Rendered, verdicts: Verdicts, dialect: Dialect, options: UpOptions
    ) -> None:
        self._rendered, self._verdicts = rendered, verdicts
        self._dialect, self._options = dialect, options
        self._builder = Builder(rendered.project.name)
        self._made: dict[str, Entry] = {}
        """The last operation of each document, by name."""
        self._waits: dict[str, Entry] = {}
        self._renewed = renewed(verdicts)
        if options.recreate == "force":
            self._renewed |= {each.name for each in rendered.of_kind(DocumentKind.SERVICE)}

    def plan(self) -> Plan:
        self._builder.changes.sort(key=self._place)
        plan = self._builder.plan()
        return replace(plan, order=stages(plan.operations))

    def _place(self, change: Change) -> tuple[int, int]:
        order = [document.name for document in self._rendered.documents]
        kinds = [kind.value for kind in _ORDER]
        name = change.resource.name
        place = order.index(name) if name in order else len(order)
        return kinds.index(change.resource.kind), place

    # --- networks, configs, secrets --------------------------------------------------------------

    def plan_parts(self) -> None:
        for each in self._verdicts.of_kind(*_ORDER[:-1]):
            document = each.wanted
            if each.verdict is Verdict.KEEP:
                self._builder.unchanged += 1
                continue
            resource = _resource(document)
            if each.verdict is Verdict.UPDATE and each.found is not None:
                payload = UpdateDocument(document, each.found.id, each.found.version)
                action = _ACTIONS["update", document.kind]
                self._made[document.name] = self._builder.add(action, resource, each.cause, payload)
            else:
                action = _ACTIONS["create", document.kind]
                self._made[document.name] = self._builder.add(
                    action, resource, each.cause, CreateDocument(document)
                )
            self._tell(each)

    def _tell(self, each: VerdictOf) -> None:
        document = each.wanted
        kind = _KINDS[each.verdict]
        if document.kind is DocumentKind.SERVICE and each.verdict is Verdict.UPDATE:
            kind = Kind.RECREATE if each.replaces_tasks else Kind.UPDATE
        change = Change(_resource(document), kind, each.cause, each.fields, each.origin)
        is_job = document.name in self._rendered.jobs
        if kind is Kind.RECREATE and document.kind is DocumentKind.SERVICE and not is_job:
            change = replace(change, rollout=rollout(self._dialect.attributes(document)))
        if kind is Kind.RECREATE and document.kind is DocumentKind.NETWORK:
            change = replace(change, affects=joined(self._verdicts, document.name, self._dialect))
        self._builder.changes.append(change)

    # --- services --------------------------------------------------------------------------------

    def plan_services(self) -> None:
        services = {each.wanted.name: each for each in self._verdicts.of_kind(DocumentKind.SERVICE)}
        needs = {
            name: [need.name for need in self._rendered.needs.get(name, ())] for name in services
        }
        for name in topological_order(needs):
            self._plan_service(services[name])
        if self._options.wait or self._options.atomic:
            for name in services:
                self._wait(name, optional=False)

    def _plan_service(self, each: VerdictOf) -> None:
        document = each.wanted
        restart, touched_by = self._why_restarted(each), self._touched_by(each)
        if each.verdict is Verdict.KEEP and not restart and not touched_by:
            self._builder.unchanged += 1
            return
        after = [*self._parts(document), *self._needed(document)]
        restart = restart or ", ".join(f'"{key}" is recreated' for key in touched_by)
        self._made[document.name] = self._change(each, document, after, restart, touched_by)

    def _touched_by(self, each: VerdictOf) -> tuple[str, ...]:
        """`depends_on: {restart: true}`: the keys of those that are recreated before it."""
        if each.verdict is not Verdict.KEEP or each.wanted.name in self._rendered.jobs:
            return ()
        needs = self._rendered.needs.get(each.wanted.name, ())
        names = {need.name for need in needs if need.restart} & self._renewed
        services = self._rendered.of_kind(DocumentKind.SERVICE)
        return tuple(sorted(other.key for other in services if other.name in names))

    def _why_restarted(self, each: VerdictOf) -> str:
        """Why a service whose document stays gets new tasks: "" for not at all."""
        if self._options.recreate == "force" and each.wanted.name not in self._rendered.jobs:
            return "forced"
        is_stuck = each.found is not None and each.found.update.state in _STUCK
        return "its last update stopped half way" if is_stuck else ""

    def _change(
        self,
        each: VerdictOf,
        document: Document,
        after: list[Entry],
        why: str,
        touched_by: tuple[str, ...],
    ) -> Entry:
        resource, found, add = _resource(document), each.found, self._builder.add
        if each.verdict is Verdict.KEEP and found is not None:
            self._builder.changes.append(Change(resource, Kind.RESTART, why, touched_by=touched_by))
            restart = RestartWorkload(found.id, found.version)
            return add(Action.RESTART_SERVICE, resource, why, restart, after)
        self._tell(each)
        if each.verdict is Verdict.UPDATE and found is not None:
            update = UpdateDocument(document, found.id, found.version)
            return add(Action.UPDATE_SERVICE, resource, each.cause, update, after)
        if found is not None:
            remove = RemoveDocument(found.kind, found.id, found.name, found.version)
            after = [add(Action.REMOVE_SERVICE, resource, each.cause, remove, after)]
        return add(Action.CREATE_SERVICE, resource, each.cause, CreateDocument(document), after)

    def _parts(self, document: Document) -> list[Entry]:
        """The operations on what the service's spec names."""
        return [self._made[n] for n in self._dialect.uses(document) if n in self._made]

    def _needed(self, document: Document) -> list[Entry]:
        """The waits for what the service needs; one that is merely to be started is made before."""
        found = []
        for need in self._rendered.needs.get(document.name, ()):
            if need.condition == "service_started" and need.name not in self._made:
                continue
            found.append(self._wait(need.name, optional=not need.required, needed_by=document.key))
        return found

    def _wait(self, name: str, *, optional: bool, needed_by: str = "") -> Entry:
        if name not in self._waits:
            document = next(each for each in self._rendered.documents if each.name == name)
            waiting = tuple(
                sorted(
                    each.key
                    for each in self._rendered.of_kind(DocumentKind.SERVICE)
                    if any(need.name == name for need in self._rendered.needs.get(each.name, ()))
                )
            )
            after = [self._made[name]] if name in self._made else []
            self._waits[name] = self._builder.add(
                Action.WAIT_FOR,
                _resource(document),
                f"needed by {', '.join(waiting)}" if needed_by else "asked to wait",
                AwaitWorkload(
                    name,
                    needed_by=waiting if needed_by else (),
                    timeout_s=self._patience_s(document.key),
                ),
                after,
                is_optional=optional,
            )
        return self._waits[name]

    def _patience_s(self, key: str) -> float | None:
        """What the options say, or the service's `x-stackr.ready_timeout` if that is less."""
        service = self._rendered.project.services.get(key)
        is_extended = service is not None and EXTENSION in service.extensions
        own = service.stackr.ready_timeout if service is not None and is_extended else None
        told = [each for each in (self._options.wait_timeout_s, own) if each is not None]
        return min(told, default=None)

    # --- what goes -------------------------------------------------------------------------------

    def plan_removals(self, obsolete: Iterable[tuple[ObservedDocument, str]]) -> None:
        """Services first, then what they used; all of it after everything else."""
        going = [*obsolete]
        for each, why in going:
            if not why:
                self._builder.changes.append(
                    Change(_resource(each), Kind.ORPHAN, "the stack file has none of this name")
                )
        last = self._builder.ends(())
        for kinds in ((DocumentKind.SERVICE,), _ORDER[:-1]):
            removed = [
                self._builder.add(
                    _ACTIONS["remove", each.kind],
                    _resource(each),
                    why,
                    RemoveDocument(each.kind, each.id, each.name, each.version),
                    last,
                    is_optional=each.kind is not DocumentKind.SERVICE,
                )
                for each, why in going
                if why and each.kind in kinds
            ]
            for each, why in going:
                if why and each.kind in kinds:
                    self._builder.changes.append(Change(_resource(each), Kind.REMOVE, why))
            last = [*last, *removed]


_STUCK = ("paused", "rollback_paused")
_KINDS = {
    Verdict.CREATE: Kind.CREATE,
    Verdict.UPDATE: Kind.UPDATE,
    Verdict.RECREATE: Kind.RECREATE,
}
_ACTIONS: Mapping[tuple[str, DocumentKind], Action] = {
    (verb, kind): Action(f"{verb} {kind.value}")
    for verb in ("create", "update", "remove")
    for kind in DocumentKind
    if (verb, kind) != ("update", DocumentKind.NETWORK)
}


def _resource(document: Document | ObservedDocument) -> Resource:
    key = document.key if isinstance(document, Document) else key_of(document)
    is_service = document.kind is DocumentKind.SERVICE
    return Resource(document.kind.value, document.name, key if is_service else "")
