"""A service of the stack file as the engine's container configuration.

This and `container_mounts` are the only translation from Compose's words to the runtime's.
Source: Docker Compose, pkg/compose/create.go (`getCreateConfigs` and what it calls).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stackr.errors import InvalidArgument
from stackr.planner.desired.container_mounts import check_targets, granted_files, service_mounts
from stackr.planner.desired.keys import image_name, network_keys
from stackr.planner.desired.limits import resources, restart_policy
from stackr.planner.desired.probe import probe_healthcheck, probe_of
from stackr.runtime.container import (
    ContainerConfig,
    Device,
    DeviceRequest,
    Healthcheck,
    LogConfig,
    NetworkAttachment,
    PortBinding,
    Ulimit,
)
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service, ServiceNetwork
from stackr.text import parse_json

__all__ = ["container_config"]

NamesOf = Callable[[str], list[str]]
"""The names of a service's containers, by number."""

_IFNAME_OPTION = "com.docker.network.endpoint.ifname"


def container_config(
    project: Project, service: Service, name: str, labels: Mapping[str, str], names_of: NamesOf
) -> ContainerConfig:
    """The configuration of the service's container of this name.

    labels: all of the container's. Raises InvalidArgument for values that no engine takes.
    """
    seccomp_and_others, unmask_paths = _security(project, service)
    tmpfs = dict(_split_tmpfs(service))
    mounts, files = service_mounts(project, service), granted_files(project, service)
    check_targets(service, mounts, [*tmpfs, *(file.path for file in files)])
    return ContainerConfig(
        image=image_name(project, service),
        command=service.command,
        entrypoint=service.entrypoint,
        environment=service.environment,
        labels=labels,
        annotations=service.annotations,
        stdin_once=False,
        stop_timeout_s=_whole_seconds(service.stop_grace_period),
        healthcheck=_healthcheck(service),
        exposed_ports=_exposed(service),
        ports=port_bindings(service),
        mounts=mounts,
        tmpfs=tmpfs,
        volumes_from=tuple(_volumes_source(source, names_of) for source in service.volumes_from),
        files=files,
        network_mode=_network_mode(project, service, names_of),
        networks=_attachments(project, service, name, names_of),
        restart=restart_policy(service),
        resources=resources(service),
        ulimits=_ulimits(service),
        devices=_devices(service),
        device_requests=tuple(_device_requests(service)),
        security_opt=seccomp_and_others,
        unmask_paths=unmask_paths,
        extra_hosts=tuple(
            f"{host}:{address}"
            for host, addresses in service.extra_hosts.items()
            for address in addresses
        ),
        links=() if network_keys(project, service) else _links(project, service, names_of),
        ipc_mode=_joined(service.ipc, names_of),
        pid_mode=_joined(service.pid, names_of),
        log=_log(service),
        **_as_written(service),
    )


_SAME: Mapping[str, str] = {
    "user": "user",
    "working_dir": "working_dir",
    "hostname": "hostname",
    "domainname": "domainname",
    "mac_address": "mac_address",
    "stop_signal": "stop_signal",
    "platform": "platform",
    "uts_mode": "uts",
    "userns_mode": "userns_mode",
    "cgroupns_mode": "cgroup",
    "cgroup_parent": "cgroup_parent",
    "isolation": "isolation",
    "runtime": "runtime",
    "tty": "tty",
    "open_stdin": "stdin_open",
    "cap_add": "cap_add",
    "cap_drop": "cap_drop",
    "privileged": "privileged",
    "read_only": "read_only",
    "dns": "dns",
    "dns_search": "dns_search",
    "dns_options": "dns_opt",
    "group_add": "group_add",
    "device_cgroup_rules": "device_cgroup_rules",
    "init": "init",
    "shm_size_bytes": "shm_size",
    "sysctls": "sysctls",
    "storage_opt": "storage_opt",
    "oom_score_adj": "oom_score_adj",
    "api_socket": "use_api_socket",
}
"""Runtime field -> the service's field that it copies; None becomes ""."""


def _as_written(service: Service) -> dict[str, Any]:
    return {
        field: value
        for field, attribute in _SAME.items()
        if (value := getattr(service, attribute)) is not None
    }


def _whole_seconds(duration: float | None) -> int | None:
    return None if duration is None else int(duration)


def _healthcheck(service: Service) -> Healthcheck | None:
    probe = probe_of(service)
    if probe is not None:
        return probe_healthcheck(service, probe)
    check = service.healthcheck
    if check is None:
        return None
    if check.start_interval is not None and check.start_period is None:
        raise InvalidArgument(
            f"services.{service.name}.healthcheck: start_interval requires start_period to be set"
        )
    return Healthcheck(
        test=("NONE",) if check.disable else check.test,
        interval_s=check.interval or 0,
        timeout_s=check.timeout or 0,
        start_period_s=check.start_period or 0,
        start_interval_s=check.start_interval or 0,
        retries=check.retries or 0,
    )


# --- networks and ports ------------------------------------------------------------------------


def _network_mode(project: Project, service: Service, names_of: NamesOf) -> str:
    if service.network_mode:
        return _joined(service.network_mode, names_of)
    keys = network_keys(project, service)
    return (project.networks[keys[0]].name or keys[0]) if keys else "none"


def _joined(mode: str | None, names_of: NamesOf) -> str:
    """`service:db` as `container:demo-db-1`; other modes as they are."""
    kind, colon, name = (mode or "").partition(":")
    if kind == "service" and colon:
        return f"container:{_first(name, names_of)}"
    return mode or ""


def _first(service: str, names_of: NamesOf) -> str:
    names = names_of(service)
    if not names:
        raise InvalidArgument(
            f'service "{service}" has no container whose namespace or volumes can be shared'
        )
    return names[0]


def _attachments(
    project: Project, service: Service, name: str, names_of: NamesOf
) -> tuple[NetworkAttachment, ...]:
    keys = network_keys(project, service)
    links = _links(project, service, names_of) if keys else ()
    attachments = []
    for key in keys:
        joined = service.networks.get(key) or ServiceNetwork()
        is_main = key == keys[0]
        if (
            is_main
            and service.mac_address
            and joined.mac_address
            not in (
                None,
                service.mac_address,
            )
        ):
            raise InvalidArgument(
                f"the service-level mac_address should have the same value as network {key}"
            )
        options = dict(joined.driver_opts)
        if joined.interface_name:
            options.setdefault(_IFNAME_OPTION, joined.interface_name)
        attachments.append(
            NetworkAttachment(
                network=project.networks[key].name or key,
                aliases=tuple(dict.fromkeys([name, service.name, *joined.aliases])),
                links=links,
                ipv4_address=joined.ipv4_address or "",
                ipv6_address=joined.ipv6_address or "",
                link_local_ips=tuple(ip for ip in joined.link_local_ips if ip),
                mac_address=joined.mac_address or (is_main and service.mac_address) or "",
                driver_opts=options,
                gw_priority=joined.gw_priority,
            )
        )
    return tuple(attachments)


def _links(project: Project, service: Service, names_of: NamesOf) -> tuple[str, ...]:
    """`links` and `external_links` as `CONTAINER:ALIAS`."""
    links: list[str] = []
    for link in service.links:
        target, _, alias = link.partition(":")
        for number, name in enumerate(names_of(target), start=1):
            aliases = (alias or target, f"{target}-{number}", f"{project.name}-{target}-{number}")
            links += [f"{name}:{each}" for each in aliases]
    for link in service.external_links:
        container, _, alias = link.partition(":")
        links.append(f"{container}:{alias or container}")
    return tuple(dict.fromkeys(links))


def port_bindings(service: Service) -> tuple[PortBinding, ...]:
    """What the service publishes, or exposes at a free port of the host."""
    return tuple(
        PortBinding(
            container_port=port.target,
            protocol=port.protocol or "tcp",
            host_ip=port.host_ip or "",
            host_port=port.published or "",
        )
        for port in service.ports
    )


def _exposed(service: Service) -> tuple[str, ...]:
    ports = {f"{port.target}/{port.protocol or 'tcp'}" for port in service.ports}
    for written in service.expose:
        span, _, protocol = written.partition("/")
        low, _, high = span.partition("-")
        try:
            numbers = range(int(low), int(high or low) + 1)
        except ValueError as error:
            raise InvalidArgument(
                f'services.{service.name}.expose: "{written}" is not a port'
            ) from error
        ports |= {f"{number}/{protocol or 'tcp'}" for number in numbers}
    return tuple(sorted(ports))


def _volumes_source(source: str, names_of: NamesOf) -> str:
    """`db:ro` or `container:NAME:ro` as `NAME:ro`."""
    if source.startswith("container:"):
        return source.removeprefix("container:")
    service, colon, mode = source.partition(":")
    return _first(service, names_of) + colon + mode


def _split_tmpfs(service: Service) -> Iterator[tuple[str, str]]:
    for written in service.tmpfs:
        path, _, options = written.partition(":")
        yield path, options


# --- limits, devices, security, logs -----------------------------------------------------------


def _ulimits(service: Service) -> tuple[Ulimit, ...]:
    limits = []
    for name in sorted(service.ulimits):
        soft, hard = service.ulimits[name].limits
        limits.append(Ulimit(name, soft, hard))
    return tuple(limits)


def _is_cdi(source: str | None, target: str | None) -> bool:
    """`vendor.com/class=name`, as the Container Device Interface names devices."""
    return source is not None and source == target and "=" in source and source[0] != "/"


def _devices(service: Service) -> tuple[Device, ...]:
    return tuple(
        Device(device.source or "", device.target or "", device.permissions or "")
        for device in service.devices
        if not _is_cdi(device.source, device.target)
    )


def _device_requests(service: Service) -> Iterator[DeviceRequest]:
    cdi = [d.source or "" for d in service.devices if _is_cdi(d.source, d.target)]
    if cdi:
        yield DeviceRequest(driver="cdi", device_ids=tuple(cdi))
    for gpu in service.gpus:
        yield DeviceRequest(
            gpu.driver or "", gpu.count, gpu.device_ids, (*gpu.capabilities, "gpu"), gpu.options
        )
    reservations = service.deploy.resources.reservations if service.deploy else None
    for device in reservations.devices if reservations else ():
        yield DeviceRequest(
            device.driver or "",
            device.count,
            device.device_ids,
            device.capabilities,
            device.options,
        )


def _security(project: Project, service: Service) -> tuple[tuple[str, ...], bool]:
    """The options as engines take them (a seccomp profile's text, not its path), and whether
    `systempaths=unconfined` was among them."""
    options: list[str] = []
    unmask_paths = False
    for option in service.security_opt:
        if option == "systempaths=unconfined":
            unmask_paths = True
            continue
        key, separator, value = option.partition("=")
        if not separator:
            key, separator, value = option.partition(":")
        if not separator and key != "no-new-privileges":
            raise InvalidArgument(f'services.{service.name}: invalid security-opt: "{option}"')
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            option = f"seccomp={_profile(service, Path(project.working_dir, value))}"
        options.append(option)
    return tuple(options), unmask_paths


def _profile(service: Service, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        return json.dumps(parse_json(text), separators=(",", ":"))
    except (OSError, ValueError) as error:
        raise InvalidArgument(
            f"services.{service.name}.security_opt: seccomp profile {path}: {error}"
        ) from error


def _log(service: Service) -> LogConfig | None:
    if service.logging is None:
        return None
    return LogConfig(service.logging.driver or "", service.logging.options)
