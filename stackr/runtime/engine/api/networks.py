"""`/networks`: bridges, and the three predefined networks.

Source: Docker Engine API, "Network".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stackr.errors import InvalidArgument, NotFound, PermissionDenied
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.body import boolean, object_at, objects, string, string_map
from stackr.runtime.engine.api.filters import Filters
from stackr.runtime.engine.api.http import Request, Response, json_response
from stackr.runtime.engine.api.route import Route
from stackr.runtime.engine.api.subnet_status import subnet_statuses
from stackr.runtime.engine.api.timestamp import rfc3339
from stackr.runtime.engine.container.settings.spec import parse_endpoint
from stackr.runtime.engine.network.types import Endpoint, IpamPool, Network, NetworkSpec

__all__ = ["ROUTES", "faults", "to_json"]

_LIST_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_PRUNE_FILTERS = frozenset({"label", "label!", "until"})


def to_json(network: Network, endpoints: Iterable[Endpoint] = ()) -> dict[str, Any]:
    spec = network.spec
    return {
        "Name": spec.name,
        "Id": network.id,
        "Created": rfc3339(network.created_ns),
        "Scope": "local",
        "Driver": spec.driver,
        "EnableIPv4": spec.enable_ipv4,
        "EnableIPv6": spec.enable_ipv6,
        "IPAM": {
            "Driver": spec.ipam_driver,
            "Options": dict(spec.ipam_options) or None,
            "Config": [_pool_to_json(pool) for pool in spec.pools],
        },
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": spec.config_from},
        "ConfigOnly": spec.config_only,
        "Containers": {e.container_id: _endpoint_to_json(e) for e in endpoints},
        "Options": _options(network),
        "Labels": dict(spec.labels),
    }


def _options(network: Network) -> dict[str, str]:
    """Of the default bridge, as dockerd has it, those that tools look for."""
    own = dict(network.spec.options)
    if network.name != "bridge" or not network.is_predefined:
        return own
    return {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": "true",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        "com.docker.network.bridge.name": network.bridge,
        "com.docker.network.driver.mtu": "1500",
        **own,
    }


def _pool_to_json(pool: IpamPool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "Subnet": pool.subnet,
        "IPRange": pool.ip_range,
        "Gateway": pool.gateway,
        "AuxiliaryAddresses": dict(pool.aux_addresses),
    }
    return {key: value for key, value in values.items() if value}


def _endpoint_to_json(endpoint: Endpoint) -> dict[str, str]:
    return {
        "Name": endpoint.container_name,
        "EndpointID": endpoint.endpoint_id,
        "MacAddress": endpoint.mac_address,
        "IPv4Address": _with_prefix(endpoint.ipv4_address, endpoint.ipv4_prefix_length),
        "IPv6Address": _with_prefix(endpoint.ipv6_address, endpoint.ipv6_prefix_length),
    }


def _with_prefix(address: str, length: int) -> str:
    return f"{address}/{length}" if address else ""


def _spec(body: dict[str, Any]) -> NetworkSpec:
    if boolean(body, "Ingress") or string(body, "Scope") not in ("", "local"):
        raise PermissionDenied(
            f"cannot create a{'n ingress' if boolean(body, 'Ingress') else ' swarm scoped'} network"
            " when swarm is not active"
        )
    ipam = object_at(body, "IPAM")
    return NetworkSpec(
        name=string(body, "Name"),
        driver=string(body, "Driver") or "bridge",
        internal=boolean(body, "Internal"),
        attachable=boolean(body, "Attachable"),
        enable_ipv4=boolean(body, "EnableIPv4", default=True),
        enable_ipv6=boolean(body, "EnableIPv6"),
        ipam_driver=string(ipam, "Driver") or "default",
        ipam_options=string_map(ipam, "Options"),
        pools=tuple(_pool(entry) for entry in objects(ipam, "Config")),
        options=string_map(body, "Options"),
        labels=string_map(body, "Labels"),
        config_only=boolean(body, "ConfigOnly"),
        config_from=string(object_at(body, "ConfigFrom"), "Network"),
    )


def _pool(entry: dict[str, Any]) -> IpamPool:
    return IpamPool(
        subnet=string(entry, "Subnet"),
        ip_range=string(entry, "IPRange"),
        gateway=string(entry, "Gateway"),
        aux_addresses=string_map(entry, "AuxiliaryAddresses"),
    )


async def _list(engine: Engine, request: Request) -> Response:
    filters = Filters.parse(request.text("filters"), _LIST_FILTERS)
    dangling = filters.boolean("dangling", default=False) if "dangling" in filters else None
    for kind in filters.get("type"):
        if kind not in ("builtin", "custom"):
            raise InvalidArgument(f"invalid filter: 'type'='{kind}'")
    return json_response(
        [
            to_json(network)
            for network in engine.networks.list()
            if _is_listed(network, filters)
            and dangling in (None, network.is_user_defined and not _endpoints(engine, network))
        ]
    )


def _is_listed(network: Network, filters: Filters) -> bool:
    return (
        filters.pattern("name", network.name)
        and filters.prefix("id", network.id)
        and filters.exact("driver", network.driver)
        and filters.exact("scope", "local")
        and filters.exact("type", "builtin" if network.is_predefined else "custom")
        and filters.labels(network.spec.labels)
    )


def _endpoints(engine: Engine, network: Network) -> list[Endpoint]:
    return list(engine.networks.endpoints(network.id))


async def _inspect(engine: Engine, request: Request) -> Response:
    network = engine.networks.get(request.params["id"])
    if request.text("scope") not in ("", "local"):
        raise NotFound(f"network {request.params['id']} not found")
    endpoints = _endpoints(engine, network)
    value = to_json(network, endpoints)
    if request.api_version >= (1, 52):
        value["Status"] = {"IPAM": {"Subnets": subnet_statuses(network, endpoints)}}
    return json_response(value)


async def _create(engine: Engine, request: Request) -> Response:
    network = await engine.networks.create(_spec(await request.json_object()))
    return json_response({"Id": network.id, "Warning": ""}, 201)


async def _delete(engine: Engine, request: Request) -> Response:
    await engine.networks.remove(request.params["id"])
    return Response(204, None)


async def _connect(engine: Engine, request: Request) -> Response:
    body = await request.json_object()
    network = engine.networks.get(request.params["id"])
    settings = parse_endpoint(object_at(body, "EndpointConfig"))
    await engine.containers.connect(string(body, "Container"), network.name, settings)
    return Response(200)


async def _disconnect(engine: Engine, request: Request) -> Response:
    body = await request.json_object()
    network = engine.networks.get(request.params["id"])
    await engine.containers.disconnect(
        string(body, "Container"), network.name, force=boolean(body, "Force")
    )
    return Response(200)


async def faults(engine: Engine, reference: str) -> list[dict[str, Any]]:
    """What the kernel does not have of a network. Raises NotFound."""
    found = await engine.networks.faults(reference)
    return [{"What": f.what, "Found": f.found, "Wanted": f.wanted} for f in found]


async def _faults(engine: Engine, request: Request) -> Response:
    """stackr's own; documented in docs/engine-api.md."""
    return json_response(await faults(engine, request.params["id"]))


async def _repair(engine: Engine, request: Request) -> Response:
    await engine.networks.repair(request.params["id"])
    return Response(204, None)


async def _prune(engine: Engine, request: Request) -> Response:
    filters = Filters.parse(request.text("filters"), _PRUNE_FILTERS)
    until_ns = filters.until()
    deleted = []
    for network in engine.networks.list():
        if (
            network.is_user_defined
            and not network.spec.config_only
            and (until_ns is None or network.created_ns < until_ns)
            and filters.labels(network.spec.labels)
            and filters.without_labels(network.spec.labels)
            and not _endpoints(engine, network)
        ):
            await engine.networks.remove(network.id)
            deleted.append(network.name)
    engine.events.publish("network", "prune", "", {"reclaimed": "0"})
    return json_response({"NetworksDeleted": deleted})


ROUTES = (
    Route("GET", "/networks", _list),
    Route("GET", "/networks/", _list),  # dockerd has it both ways, and nothing else
    Route("POST", "/networks/create", _create),
    Route("POST", "/networks/prune", _prune),
    Route("GET", "/networks/{id}", _inspect),
    Route("DELETE", "/networks/{id}", _delete),
    Route("POST", "/networks/{id}/connect", _connect),
    Route("POST", "/networks/{id}/disconnect", _disconnect),
    Route("GET", "/stackr/v1/networks/{id}/faults", _faults),
    Route("POST", "/stackr/v1/networks/{id}/repair", _repair),
)
