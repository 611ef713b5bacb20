"""A stack, or a plan, as a graph to show. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from stackr.cli.views.graph import Edge, Frame, Graph, Node
from stackr.planner.desired.keys import image_name, network_keys, replicas, volume_keys
from stackr.planner.plan.model import Action, Plan
from stackr.spec.model.project import Project
from stackr.spec.model.service import Port, Service

__all__ = ["plan_graph", "stack_graph"]


def stack_graph(project: Project) -> Graph:
    """Services with what they need, then the networks and volumes that they use."""
    services = sorted(project.services.items())
    networks = sorted({key for _, each in services for key in network_keys(project, each)})
    volumes = sorted({key for _, each in services for key in _volumes(project, each)})
    nodes = [
        *(_service_node(project, name, service) for name, service in services),
        *(_network_node(project, key) for key in networks),
        *(_volume_node(project, key) for key in volumes),
    ]
    edges = [edge for name, service in services for edge in _edges(project, name, service)]
    frames = [frame for key in networks if (frame := _frame(project, key))]
    return Graph(project.name, nodes, edges, frames)


def _frame(project: Project, key: str) -> Frame | None:
    """A network around itself and the services whose main one it is."""
    joined = ((name, network_keys(project, each)) for name, each in project.services.items())
    members = sorted(f"service:{name}" for name, keys in joined if keys[:1] == [key])
    label = ", ".join((f"network {key}", *_network_node(project, key).details))
    return Frame(label, (*members, f"network:{key}")) if members else None


def _volumes(project: Project, service: Service) -> list[str]:
    return [key for key in volume_keys(service) if key in project.volumes]


def _service_node(project: Project, name: str, service: Service) -> Node:
    image, ports = image_name(project, service), [_port(port) for port in service.ports]
    count = replicas(service)
    details = [image, *([f"{count} replicas"] if count != 1 else []), *ports]
    properties = {"image": image, "replicas": count, "ports": ports}
    return Node(f"service:{name}", "service", name, tuple(details), properties)


def _port(port: Port) -> str:
    """`127.0.0.1:8080->80/tcp`; `80/tcp` at a port that the engine chooses."""
    host = f"{port.host_ip}:" if port.host_ip else ""
    published = f"{host}{port.published}->" if port.published else ""
    return f"{published}{port.target}/{port.protocol or 'tcp'}"


def _network_node(project: Project, key: str) -> Node:
    network = project.networks[key]
    name = network.name or key
    properties = {"engine_name": name, "external": network.external, "internal": network.internal}
    marks = [word for word in ("external", "internal") if properties[word]]
    return Node(f"network:{key}", "network", key, tuple(marks), properties)


def _volume_node(project: Project, key: str) -> Node:
    volume = project.volumes[key]
    properties = {"engine_name": volume.name or key, "external": volume.external}
    marks = ("external",) if volume.external else ()
    return Node(f"volume:{key}", "volume", key, marks, properties)


def _edges(project: Project, name: str, service: Service) -> Iterator[Edge]:
    source = f"service:{name}"
    for needed, dependency in sorted(service.depends_on.items()):
        if needed in project.services:
            label = dependency.condition + (", restarts with it" if dependency.restart else "")
            target = f"service:{needed}"
            yield Edge(source, target, "depends_on", label, not dependency.required)
    for key in network_keys(project, service):
        aliases = joined.aliases if (joined := service.networks.get(key)) else ()
        yield Edge(source, f"network:{key}", "network", ", ".join(aliases))
    for mount in service.volumes:
        if mount.type == "volume" and mount.source in project.volumes:
            label = f"{mount.target}{', read-only' if mount.read_only else ''}"
            yield Edge(source, f"volume:{mount.source}", "volume", label)


def _shade(action: Action) -> str:
    verb, _, what = action.value.partition(" ")
    return "image" if what == "image" and verb != "remove" else _SHADES.get(verb, "wait")


_SHADES = {
    **dict.fromkeys(("create",), "create"),
    **dict.fromkeys(("start", "restart", "unpause", "run", "promote"), "start"),
    **dict.fromkeys(("update", "rename", "repair", "connect"), "change"),
    **dict.fromkeys(("remove", "stop", "kill", "disconnect", "pause", "drain"), "remove"),
}
"""By the first word of an action."""


def plan_graph(plan: Plan) -> Graph:
    """Operations, each leading to those that wait for it."""
    nodes = [
        Node(
            id=f"operation:{operation.id}",
            kind="operation",
            name=f"#{operation.id} {operation.action.value} {operation.resource.name}",
            details=(operation.cause,),
            properties=operation.to_json() | {"id": f"operation:{operation.id}"},
            shade=_shade(operation.action),
        )
        for operation in plan.operations
    ]
    edges = [
        Edge(f"operation:{need}", f"operation:{id}", "before")
        for need, id in sorted(plan.graph.edges)
    ]
    return Graph(plan.project, nodes, edges)
