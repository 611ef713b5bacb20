"""A stack file as a Swarm's documents; what it cannot do is refused by name, all at once. Pure.

Names and labels are those of `docker stack deploy`, so that docker's own `stack` and `service`
commands see the stack; configs, secrets and jobs have a hash in their names besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from stackr.errors import InvalidArgument
from stackr.planner.desired.keys import image_name, network_keys
from stackr.planner.desired.ownership import copy_labels
from stackr.planner.desired.probe import probe_of
from stackr.planner.plan.graph import topological_order
from stackr.planner.swarm.api import LEAST, Api
from stackr.planner.swarm.container import container_spec
from stackr.planner.swarm.deploy import (
    endpoint_spec,
    log_driver,
    mode_spec,
    placement,
    resource_spec,
    restart_spec,
    update_specs,
)
from stackr.planner.swarm.draft import JOBS, Draft
from stackr.planner.swarm.faults import Faults
from stackr.planner.swarm.files import file_document
from stackr.planner.swarm.init_steps import init_steps
from stackr.planner.swarm.network import network_document
from stackr.planner.swarm.normal import normal_service
from stackr.planner.swarm.width import check_published, check_width
from stackr.planner.workloads.dialect import Need, Rendered
from stackr.planner.workloads.document import named_by_hash, sealed
from stackr.runtime import labels
from stackr.runtime.workloads import Document, DocumentKind, WorkloadCapabilities
from stackr.spec.decode import EXTENSION
from stackr.spec.model.base import given
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service, ServiceNetwork
from stackr.spec.support import unsupported_by

__all__ = [
    "DIALECT",
    "LONGEST_NAME",
    "pinned",
    "refusals",
    "renamed",
    "render",
    "unwritten",
    "uses",
]

DIALECT = "swarm"
LONGEST_NAME = 63
"""Of a service.

Source: moby, swarmkit manager/controlapi/common.go (`validateAnnotations`).
"""
_NAME = re.compile(r"[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*")
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.|(?=[:/])))+"
_IMAGE = re.compile(
    rf"(?:{_HOST}(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?",
    re.ASCII,
)
"""Source: distribution/reference, regexp.go."""
_TEST = "use healthcheck.test"
_SECTIONS = ("configs", "secrets")


def render(project: Project, capabilities: WorkloadCapabilities) -> Rendered:
    """The documents of the enabled services and of what they use.

    Raises InvalidProject with every problem, each with its place in the stack file.
    """
    faults = Faults(project)
    faults.take(unsupported_by(project, DIALECT, "a Swarm"))
    rendered = _rendered(project, capabilities, faults)
    faults.check()
    return rendered


def refusals(project: Project, capabilities: WorkloadCapabilities) -> list[tuple[str, str]]:
    """Path and reason of what `render` refuses, but for what `spec.support` says."""
    faults = Faults(project)
    _rendered(project, capabilities, faults)
    return [*faults.reasons.items()]


def unwritten(project: Project) -> list[tuple[str, str, str]]:
    """What means another thing than on one host where the file says nothing."""
    once = _run_once(project)
    return [
        (f"services.{name}.restart", "not set: it stays ended", "not set: it is started again")
        for name, service in sorted(project.services.items())
        if not service.restart and name not in once and not _has_policy(service)
    ]


def _has_policy(service: Service) -> bool:
    deploy = service.deploy
    return deploy is not None and (deploy.restart_policy is not None or deploy.mode in JOBS)


def _rendered(project: Project, capabilities: WorkloadCapabilities, faults: Faults) -> Rendered:
    """What it comes to, good for nothing where there are faults."""
    api = Api(max(capabilities.api, LEAST), faults)
    files = {
        (section, key): file_document(project, section, key, faults)
        for section in _SECTIONS
        for key in _granted(project, section)
        if not getattr(project, section)[key].external
    }
    names = {(section, key): document.name for (section, key), document in files.items()}
    for section in _SECTIONS:
        outside = (key for key in _granted(project, section) if (section, key) not in files)
        names |= {(section, key): getattr(project, section)[key].name or key for key in outside}
    once = _run_once(project)
    drafts = {
        name: Draft(
            project, service, faults, api, names, runs_once=name in once, nodes=capabilities.nodes
        )
        for name, service in sorted(project.services.items())
    }
    services = {name: _service(draft) for name, draft in drafts.items()}
    steps = {name: [*map(_service, init_steps(draft))] for name, draft in drafts.items()}
    check_published(drafts)
    _check_order(project, faults)
    networks = [
        network_document(project, key, faults)
        for key in sorted({key for draft in drafts.values() for key in _networks(draft)})
        if not project.networks[key].external
    ]
    all_services = (*services.values(), *(step for each in steps.values() for step in each))
    return Rendered(
        project=project,
        documents=(*networks, *files.values(), *all_services),
        needs={
            document.name: needs
            for name in services
            for document, needs in _chain(
                services[name], steps[name], _needs(project, name, services)
            )
        },
        uses={document.name: uses(document) for document in all_services},
        external=tuple(_external(project, drafts)),
        images={each.name: each.labels[labels.STACK_IMAGE] for each in all_services},
        jobs=frozenset(
            (
                *(services[name].name for name, draft in drafts.items() if draft.is_job),
                *(step.name for each in steps.values() for step in each),
            )
        ),
    )


def _granted(project: Project, section: str) -> list[str]:
    """The configs or secrets that some service uses."""
    grants = (grant for each in project.services.values() for grant in getattr(each, section))
    return sorted({grant.source or "" for grant in grants} & getattr(project, section).keys())


def _run_once(project: Project) -> set[str]:
    """The services for whose end others wait."""
    return {
        name
        for service in project.services.values()
        for name, need in service.depends_on.items()
        if need.condition == "service_completed_successfully"
    }


def _check_order(project: Project, faults: Faults) -> None:
    needs = {name: set(service.depends_on) for name, service in project.services.items()}
    try:
        topological_order(needs)
    except InvalidArgument as error:
        faults.add(("services",), error.message)


def _needs(project: Project, name: str, services: Mapping[str, Document]) -> tuple[Need, ...]:
    return tuple(
        Need(services[other].name, need.condition, need.required, need.restart)
        for other, need in sorted(project.services[name].depends_on.items())
        if other in services
    )


def _chain(
    service: Document, steps: list[Document], needs: tuple[Need, ...]
) -> Iterator[tuple[Document, tuple[Need, ...]]]:
    """The steps before a service one after another, then the service; the first has its needs."""
    for document in (*steps, service):
        yield document, needs
        needs = (Need(document.name, "service_completed_successfully"),)


def _external(
    project: Project, drafts: Mapping[str, Draft]
) -> Iterator[tuple[DocumentKind, str, str]]:
    for key in sorted({key for draft in drafts.values() for key in _networks(draft)}):
        network = project.networks[key]
        name = network.name or key
        if network.external and name not in _PREDEFINED:
            yield DocumentKind.NETWORK, name, f"networks.{key}"
    for section, kind in (("configs", DocumentKind.CONFIG), ("secrets", DocumentKind.SECRET)):
        for key in _granted(project, section):
            source = getattr(project, section)[key]
            if source.external:
                yield kind, source.name or key, f"{section}.{key}"


_PREDEFINED = ("host", "bridge", "none", "ingress")
"""Networks that every node has."""

# --- services ------------------------------------------------------------------------------------


def _service(draft: Draft) -> Document:
    project, service = draft.project, draft.service
    _check_image(draft)
    check_width(draft)
    if probe_of(service) is not None:
        draft.faults.add(draft.at(EXTENSION, "probe"), "not supported by a Swarm", hint=_TEST)
    _check_unhealthy(draft)
    spec: dict[str, Any] = {
        "TaskTemplate": {
            "ContainerSpec": container_spec(draft),
            "Resources": resource_spec(draft),
            "RestartPolicy": restart_spec(draft),
            "Placement": placement(draft),
            "LogDriver": log_driver(draft),
            "Networks": _attachments(draft),
        },
        "Mode": mode_spec(draft),
        "EndpointSpec": endpoint_spec(draft),
        **update_specs(draft),
    }
    document = Document(
        DocumentKind.SERVICE,
        f"{project.name}_{draft.short_name}",
        draft.key,
        normal_service(spec),
        {
            **(service.deploy.labels if service.deploy else {}),
            labels.STACK_NAMESPACE: project.name,
            labels.STACK_IMAGE: image_name(project, service),
            labels.DOCUMENT_KEY: draft.key,
            **copy_labels(project),
        },
    )
    document = sealed(document)
    if draft.runs_once:
        document = named_by_hash(document)
    _check_name(draft, document.name)
    return document


def _check_image(draft: Draft) -> None:
    if not draft.service.image:
        draft.faults.add(
            draft.at(),
            "it has no image, and a Swarm builds none",
            hint="name the image, `stackr build` and `stackr push` it to a registry of all nodes",
        )
    elif not _IMAGE.fullmatch(draft.service.image):
        told = f'not a repository and tag: "{draft.service.image}"'
        draft.faults.add(draft.at("image"), told)


def _check_unhealthy(draft: Draft) -> None:
    """A Swarm puts another task in the place of one that is unhealthy, however often."""
    service = draft.service
    limits = service.stackr.restart_unhealthy if EXTENSION in service.extensions else None
    if limits is not None and any(given(limits)):
        path = draft.at(EXTENSION, "restart_unhealthy")
        draft.faults.add(path, "a Swarm replaces what is unhealthy without limits or waits")


def _check_name(draft: Draft, name: str) -> None:
    if len(name) > LONGEST_NAME:
        told = f'the name "{name}" has more than {LONGEST_NAME} characters'
        draft.faults.add(draft.at(), told)
    elif not _NAME.fullmatch(name):
        draft.faults.add(draft.at(), f'not a name that a Swarm takes: "{name}"')


def _networks(draft: Draft) -> list[str]:
    return network_keys(draft.project, draft.service)


def _attachments(draft: Draft) -> list[dict[str, Any]]:
    service = draft.service
    if service.network_mode:
        return [{"Target": service.network_mode}]
    found = []
    for key in _networks(draft):
        network = draft.project.networks[key]
        name = network.name or key
        joined = service.networks.get(key) or ServiceNetwork()
        own = (service.name, service.container_name or service.name)
        is_nobody = name in _PREDEFINED or draft.step is not None
        aliases = [] if is_nobody else [*dict.fromkeys((*joined.aliases, *own))]
        options = dict(joined.driver_opts)
        found.append({"Target": name, "Aliases": aliases, "DriverOpts": options})
    return found


def pinned(document: Document, image: str) -> Document:
    """The same service of this very image; its hash stays, which is of the reference."""
    task = document.spec["TaskTemplate"]
    container = {**task["ContainerSpec"], "Image": image}
    spec = {**document.spec, "TaskTemplate": {**task, "ContainerSpec": container}}
    return replace(document, spec=spec)


def renamed(document: Document, names: Mapping[str, str]) -> Document:
    """The same service on networks of other names: old name -> new one."""
    task = document.spec["TaskTemplate"]
    joined = task.get("Networks", [])
    if not any(each["Target"] in names for each in joined):
        return document
    networks = [{**each, "Target": names.get(each["Target"], each["Target"])} for each in joined]
    spec = normal_service({**document.spec, "TaskTemplate": {**task, "Networks": networks}})
    return sealed(replace(document, spec=spec))


def uses(document: Document) -> frozenset[str]:
    """The networks, configs and secrets of a service in normal form, by their names."""
    task = document.spec.get("TaskTemplate", {})
    container = task.get("ContainerSpec", {})
    networks = (each.get("Target", "") for each in task.get("Networks", ()))
    configs = (each.get("ConfigName", "") for each in container.get("Configs", ()))
    secrets = (each.get("SecretName", "") for each in container.get("Secrets", ()))
    return frozenset((*networks, *configs, *secrets))
