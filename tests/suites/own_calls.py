"""Each call of stackr's own API that changes something, as `changing_calls` has Docker's.

Locks are none of them: they last as long as their connection.
"""

from __future__ import annotations

import subprocess
from typing import Any, Final

from changing_calls import Call, Site, archive_of, build_context, called

__all__ = ["OWN_CALLS"]

_PROJECT: Final = "shop"
_V1: Final = "/stackr/v1"
_BYTES: Final = 8 << 20
_IN_PROJECT: Final = {"Labels": {"com.docker.compose.project": _PROJECT}}


def _lease(site: Site, *, watch_owner: bool = False) -> tuple[int, Any]:
    ports = [{"service": "web", "container_port": 80}]
    body = {"project": _PROJECT, "watch_owner": watch_owner, "volumes": True, "ports": ports}
    return site.ask("POST", f"{_V1}/leases", body)


def _of_lease(site: Site) -> str:
    """Its path; of one that there is not where there is none."""
    leases = site.must("GET", f"{_V1}/leases")
    return f"{_V1}/leases/{leases[0]['id'] if leases else 'none'}"


def _leased(site: Site) -> None:
    """A project with a lease: a container that runs, a network, and a volume made since."""
    status, answer = _lease(site)
    assert status == 201, answer
    site.must("POST", "/networks/create", {"Name": "net", **_IN_PROJECT})
    site.must("POST", "/volumes/create", {"Name": "v0", **_IN_PROJECT})
    site.create("it", **_IN_PROJECT, HostConfig={"Binds": ["v0:/v"], "NetworkMode": "net"})
    site.must("POST", "/containers/it/start")


def _owned(site: Site) -> None:
    status, answer = _lease(site, watch_owner=True)
    assert status == 201, answer


def _standing_by(site: Site) -> None:
    """A container with a port and an alias, and one that is to take its place."""
    site.must("POST", "/networks/create", {"Name": "net"})
    for name, labels in (("old", {}), ("new", {"io.stackr.standby": "true"})):
        ports = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
        site.create(
            name,
            Labels=labels,
            ExposedPorts={"80/tcp": {}},
            HostConfig={"PortBindings": ports, "NetworkMode": "net"},
            NetworkingConfig={"EndpointsConfig": {"net": {"Aliases": ["web"]}}},
        )
        site.must("POST", f"/containers/{name}/start")


def _taken_apart(site: Site) -> None:
    """A network in use whose bridge somebody has deleted."""
    made = site.must("POST", "/networks/create", {"Name": "net"})
    site.create("it", HostConfig={"NetworkMode": "net"})
    site.must("POST", "/containers/it/start")
    subprocess.run(["ip", "link", "del", f"sk-{made['Id'][:12]}"], check=True)


def _build(site: Site) -> tuple[int, Any]:
    """From a context that is released again, as a client does."""
    status, context = site.ask("POST", f"{_V1}/build/contexts", tar=build_context(site))
    if status != 201:
        return status, context
    answer = site.ask("POST", f"{_V1}/build", {"Context": context["Id"], "Tags": ["built:1"]})
    site.ask("DELETE", f"{_V1}/build/contexts/{context['Id']}")
    return answer


def _upload(site: Site) -> tuple[int, Any]:
    status, context = site.ask(
        "POST", f"{_V1}/build/contexts", tar=archive_of("file", b"x" * 10**7)
    )
    if status == 201:
        return site.ask("DELETE", f"{_V1}/build/contexts/{context['Id']}")
    return status, context


OWN_CALLS: Final = (
    Call(f"POST {_V1}/leases", _lease),
    Call(
        f"POST {_V1}/leases/renew",
        lambda site: site.ask("POST", f"{_of_lease(site)}/renew", {"ttl_s": 3600}),
        _leased,
    ),
    Call(
        f"POST {_V1}/leases/disown",
        lambda site: site.ask("POST", f"{_of_lease(site)}/disown"),
        _owned,
    ),
    Call(
        f"DELETE {_V1}/leases",
        lambda site: site.ask("DELETE", _of_lease(site)),
        _leased,
        between=["exited"],
        partly=True,
    ),
    Call(
        f"DELETE {_V1}/leases keep",
        lambda site: site.ask("DELETE", f"{_of_lease(site)}?keep=1"),
        _leased,
    ),
    called("POST promote", f"{_V1}/containers/new/promote?replaces=old", before=_standing_by),
    called("POST repair", f"{_V1}/networks/net/repair", before=_taken_apart),
    called(
        "POST /containers/it/update labels",
        "/containers/it/update?replace=1",
        {"Labels": {"mark": "1"}, "PidsLimit": 99},
        before=Site.run,
    ),
    Call(f"POST {_V1}/build", _build),
    Call(f"POST {_V1}/build/contexts", _upload),
)
