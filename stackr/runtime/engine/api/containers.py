"""`/containers`: create, list, inspect, and the verbs that change them.

What streams (logs, attach, wait, stats) is in `container_streams.py`.
Source: Docker Engine API, "Container".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from stackr.errors import InvalidArgument, NotFound, StackrError
from stackr.runtime.engine.api import container_filters, container_json
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.api.http import Request, Response, json_response, terminal_size
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.container.life.networking import endpoint_spec
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.signals import signal_number
from stackr.runtime.engine.container.settings.spec import (
    EndpointSettings,
    parse_create,
    parse_update,
)
from stackr.runtime.engine.network.types import Endpoint, PublishedPort

__all__ = ["ROUTES", "inspection", "summaries"]

_PRUNE_FILTERS = frozenset({"label", "label!", "until"})


async def summaries(
    engine: Engine, containers: Iterable[Container], *, size: bool, version: tuple[int, int]
) -> list[dict[str, Any]]:
    """Containers as a list shows them; with `size`, their files are counted.

    One that is removed while others' are counted is left out.
    """
    known = engine.containers.link_names()
    shown = []
    for container in containers:
        try:
            sizes = await _sizes(engine, container) if size else {}
        except NotFound:
            continue
        value = _summary(engine, container, known.get(container.id, ()), version)
        shown.append(value | sizes)
    return shown


def _summary(
    engine: Engine, container: Container, links: Sequence[str], version: tuple[int, int]
) -> dict[str, Any]:
    return container_json.summary(
        container,
        endpoints=_endpoints(engine, container),
        sandbox=engine.networks.sandbox(container.id),
        version=version,
        names=links,
        standby=engine.containers.in_standby(container.id),
        severed=engine.containers.severed(container.id),
    )


def inspection(engine: Engine, container: Container) -> dict[str, Any]:
    """The whole of a container."""
    return container_json.inspection(
        container,
        folder=engine.config.containers_root / engine.containers.files_owner(container).id,
        log_path=engine.containers.log_path(container.id),
        graph_data=engine.containers.graph_data(container.id),
        runtime=engine.containers.runtime_name,
        links=engine.containers.link_paths(container),
        endpoints=_endpoints(engine, container),
        sandbox=engine.networks.sandbox(container.id),
        exec_ids=engine.execs.of(container.id),
        standby=engine.containers.in_standby(container.id),
        severed=engine.containers.severed(container.id),
    )


async def _sizes(engine: Engine, container: Container) -> dict[str, int]:
    written = await engine.containers.usage(container.id)
    try:
        image_size = engine.images.get(container.image_id).size_bytes
    except NotFound:
        image_size = 0  # removed by force, below a container
    return {"SizeRw": written, "SizeRootFs": written + image_size}


def _endpoints(engine: Engine, container: Container) -> dict[str, Endpoint]:
    """By network name; those of a container that is not up have no addresses."""
    sandbox = engine.networks.sandbox(container.id)
    if sandbox is not None:
        return dict(sandbox.endpoints)
    return {
        name: endpoint
        for wanted, settings in container.endpoints.items()
        for name, endpoint in [_planned_endpoint(engine, container, wanted, settings)]
    }


def _planned_endpoint(
    engine: Engine, container: Container, wanted: str, settings: EndpointSettings
) -> tuple[str, Endpoint]:
    try:
        network = engine.networks.get(wanted)
        name, network_id = network.name, network.id
    except StackrError:
        name, network_id = wanted, ""  # removed since
    return name, Endpoint(
        network_id=network_id,
        network_name=name,
        container_id=container.id,
        container_name=container.name,
        endpoint_id="",
        mac_address=settings.mac_address,
        spec=endpoint_spec(name, settings),
    )


async def _list(engine: Engine, request: Request) -> Response:
    options = container_filters.ListOptions(
        filters=Filters.parse(request.text("filters"), container_filters.ACCEPTED),
        all=request.flag("all"),
        limit=max(0, request.integer("limit", 0)),
        image_id=lambda name: _image_id(engine, name),
        network_id=lambda name: _network_id(engine, name),
        ports=lambda container: _published(engine, container),
        get=engine.containers.get,
    )
    chosen = container_filters.select(engine.containers.list(), options)
    size = request.flag("size")
    return json_response(await summaries(engine, chosen, size=size, version=request.api_version))


def _image_id(engine: Engine, name: str) -> str | None:
    try:
        return engine.images.get(name).id
    except StackrError:
        return None


def _network_id(engine: Engine, name: str) -> str | None:
    try:
        return engine.networks.get("bridge" if name == "default" else name).id
    except StackrError:
        return None


def _published(engine: Engine, container: Container) -> tuple[PublishedPort, ...]:
    sandbox = engine.networks.sandbox(container.id)
    return sandbox.ports if sandbox else ()


async def _create(engine: Engine, request: Request) -> Response:
    body = await request.json()
    if not isinstance(body, dict):
        raise InvalidArgument("config cannot be empty in order to create a container")
    container_id, warnings = await engine.containers.create(
        request.text("name").removeprefix("/") or None,
        parse_create(body),
        request.text("platform") or None,
    )
    return json_response({"Id": container_id, "Warnings": list(warnings)}, 201)


async def _inspect(engine: Engine, request: Request) -> Response:
    container = engine.containers.get(request.params["id"])
    value = inspection(engine, container)
    if request.flag("size"):
        value |= await _sizes(engine, container)
    return json_response(value)


async def _start(engine: Engine, request: Request) -> Response:
    for key in ("checkpoint", "checkpoint-dir"):
        if request.text(key):
            raise InvalidArgument(f"{key}: not supported by the embedded engine")
    await engine.containers.start(request.params["id"])
    return Response(204, None)


async def _stop(engine: Engine, request: Request) -> Response:
    await engine.containers.stop(
        request.params["id"],
        timeout_s=request.optional_integer("t"),
        signal=request.text("signal") or None,
    )
    return Response(204, None)


async def _restart(engine: Engine, request: Request) -> Response:
    await engine.containers.restart(
        request.params["id"],
        timeout_s=request.optional_integer("t"),
        signal=request.text("signal") or None,
    )
    return Response(204, None)


async def _kill(engine: Engine, request: Request) -> Response:
    signal = request.text("signal") or "SIGKILL"
    signal_number(signal)  # before the container is looked for
    await engine.containers.kill(request.params["id"], signal)
    return Response(204, None)


async def _pause(engine: Engine, request: Request) -> Response:
    await engine.containers.pause(request.params["id"])
    return Response(204, None)


async def _unpause(engine: Engine, request: Request) -> Response:
    await engine.containers.unpause(request.params["id"])
    return Response(204, None)


async def _rename(engine: Engine, request: Request) -> Response:
    name = request.text("name").removeprefix("/")
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")
    await engine.containers.rename(request.params["id"], name)
    return Response(204, None)


async def _update(engine: Engine, request: Request) -> Response:
    body = parse_update(await request.json_object())
    warnings = await engine.containers.update(
        request.params["id"], body, replace=request.flag("replace")
    )
    return json_response({"Warnings": list(warnings)})


async def _resize(engine: Engine, request: Request) -> Response:
    height, width = terminal_size(request)
    await engine.containers.resize(request.params["id"], height=height, width=width)
    return Response(200)


async def _remove(engine: Engine, request: Request) -> Response:
    if request.flag("link"):
        engine.containers.remove_link(request.params["id"])
        return Response(204, None)
    await engine.containers.remove(
        request.params["id"], force=request.flag("force"), volumes=request.flag("v")
    )
    return Response(204, None)


async def _remove_link(engine: Engine, request: Request) -> Response:
    """Of "web/db", the link by which web knows db."""
    path = "{id}/{alias}".format(**request.params)
    if not request.flag("link"):
        raise NotFound(f"No such container: {path}")
    engine.containers.remove_link(path)
    return Response(204, None)


async def _prune(engine: Engine, request: Request) -> Response:
    filters = Filters.parse(request.text("filters"), _PRUNE_FILTERS)
    until_ns = filters.until()
    deleted, reclaimed = [], 0
    for container in engine.containers.list():
        labels = container.config.labels
        if (
            container.state.status.value in ("created", "exited", "dead")
            and (until_ns is None or container.created_ns < until_ns)
            and filters.labels(labels)
            and filters.without_labels(labels)
        ):
            size = await engine.containers.usage(container.id)
            await engine.containers.remove(container.id, force=False, volumes=False)
            deleted.append(container.id)
            reclaimed += size
    engine.events.publish("container", "prune", "", {"reclaimed": str(reclaimed)})
    return json_response({"ContainersDeleted": deleted or None, "SpaceReclaimed": reclaimed})


async def _changes(engine: Engine, request: Request) -> Response:
    found = await engine.containers.changes(request.params["id"])
    return json_response([{"Path": path, "Kind": kind} for path, kind in found])


async def _top(engine: Engine, request: Request) -> Response:
    titles, rows = await engine.containers.top(
        request.params["id"], request.text("ps_args") or "-ef"
    )
    return json_response({"Titles": list(titles), "Processes": [list(row) for row in rows]})


ROUTES = (
    Route("GET", "/containers/json", _list),
    Route("POST", "/containers/create", _create),
    Route("POST", "/containers/prune", _prune),
    Route("GET", "/containers/{id}/json", _inspect),
    Route("GET", "/containers/{id}/top", _top),
    Route("GET", "/containers/{id}/changes", _changes),
    Route("POST", "/containers/{id}/start", _start),
    Route("POST", "/containers/{id}/stop", _stop),
    Route("POST", "/containers/{id}/restart", _restart),
    Route("POST", "/containers/{id}/kill", _kill),
    Route("POST", "/containers/{id}/pause", _pause),
    Route("POST", "/containers/{id}/unpause", _unpause),
    Route("POST", "/containers/{id}/rename", _rename),
    Route("POST", "/containers/{id}/update", _update),
    Route("POST", "/containers/{id}/resize", _resize),
    Route("DELETE", "/containers/{id}", _remove),
    Route("DELETE", "/containers/{id}/{alias}", _remove_link),
)
