"""What stackr asks of an engine, as the Engine API's JSON bodies. Pure.

Source: Docker Engine API, ContainerCreate, HostConfig, NetworkCreate, VolumeCreateOptions.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from stackr.runtime.types import IpamPool, NetworkConfig, VolumeConfig

if TYPE_CHECKING:
    from stackr.runtime.container import (
        ContainerConfig,
        ContainerFile,
        DeviceRequest,
        ExecConfig,
        Healthcheck,
        Mount,
        NetworkAttachment,
        PortBinding,
    )
    from stackr.runtime.limits import Blkio, Resources

__all__ = [
    "container_body",
    "endpoint_body",
    "exec_body",
    "files_archive",
    "filters",
    "network_body",
    "resources_body",
    "volume_body",
]

Json = dict[str, Any]


def _set(**values: Any) -> Json:
    """The keys whose values say anything: not None, "", 0, False or empty."""
    return {key: value for key, value in values.items() if value not in (None, "", 0, False)}


def _filled(body: Json) -> Json:
    return {key: value for key, value in body.items() if value not in (None, "", 0, (), [], {})}


def container_body(config: ContainerConfig, networks: Sequence[NetworkAttachment]) -> Json:
    """The body of `POST /containers/create`; `networks` are those to join at once."""
    body = _filled(
        {
            "Image": config.image,
            "Env": [k if v is None else f"{k}={v}" for k, v in config.environment.items()],
            "Labels": dict(config.labels),
            "User": config.user,
            "WorkingDir": config.working_dir,
            "Hostname": config.hostname,
            "Domainname": config.domainname,
            "MacAddress": config.mac_address,
            "StopSignal": config.stop_signal,
            "ExposedPorts": {port: {} for port in config.exposed_ports},
        }
    )
    body |= {"Tty": config.tty, "OpenStdin": config.open_stdin, "StdinOnce": config.stdin_once}
    if config.command is not None:
        body["Cmd"] = list(config.command)
    if config.entrypoint is not None:
        body["Entrypoint"] = list(config.entrypoint) or [""]  # [""] clears the image's
    if config.stop_timeout_s is not None:
        body["StopTimeout"] = config.stop_timeout_s
    if config.healthcheck is not None:
        body["Healthcheck"] = _healthcheck(config.healthcheck)
    body["HostConfig"] = _host_config(config)
    body["NetworkingConfig"] = {
        "EndpointsConfig": {network.network: endpoint_body(network) for network in networks}
    }
    return body


def _healthcheck(check: Healthcheck) -> Json:
    return _filled(
        {
            "Test": list(check.test),
            "Interval": _ns(check.interval_s),
            "Timeout": _ns(check.timeout_s),
            "StartPeriod": _ns(check.start_period_s),
            "StartInterval": _ns(check.start_interval_s),
            "Retries": check.retries,
        }
    )


def _ns(seconds: float) -> int:
    return round(seconds * 1_000_000_000)


def _host_config(config: ContainerConfig) -> Json:
    host = _filled(
        {
            "NetworkMode": config.network_mode,
            "PortBindings": _port_bindings(config.ports),
            "Binds": [_bind(mount) for mount in config.mounts if _is_bind(mount)],
            "Mounts": [_mount(mount) for mount in config.mounts if not _is_bind(mount)],
            "Tmpfs": dict(config.tmpfs),
            "VolumesFrom": list(config.volumes_from),
            "Annotations": dict(config.annotations),
            "CapAdd": list(config.cap_add),
            "CapDrop": list(config.cap_drop),
            "SecurityOpt": list(config.security_opt),
            "Dns": list(config.dns),
            "DnsSearch": list(config.dns_search),
            "DnsOptions": list(config.dns_options),
            "ExtraHosts": list(config.extra_hosts),
            "GroupAdd": list(config.group_add),
            "Links": list(config.links),
            "IpcMode": config.ipc_mode,
            "PidMode": config.pid_mode,
            "UTSMode": config.uts_mode,
            "UsernsMode": config.userns_mode,
            "CgroupnsMode": config.cgroupns_mode,
            "CgroupParent": config.cgroup_parent,
            "Isolation": config.isolation,
            "ConsoleSize": list(config.console_size or ()),
            "Runtime": config.runtime,
            "ShmSize": config.shm_size_bytes,
            "Sysctls": dict(config.sysctls),
            "StorageOpt": dict(config.storage_opt),
            "OomScoreAdj": config.oom_score_adj,
            "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in config.ulimits],
            "Devices": [
                {
                    "PathOnHost": device.source,
                    "PathInContainer": device.target or device.source,
                    "CgroupPermissions": device.permissions or "rwm",
                }
                for device in config.devices
            ],
            "DeviceCgroupRules": list(config.device_cgroup_rules),
            "DeviceRequests": [_device_request(item) for item in config.device_requests],
        }
    )
    host |= _set(
        AutoRemove=config.auto_remove,
        Privileged=config.privileged,
        ReadonlyRootfs=config.read_only,
    )
    if config.init is not None:
        host["Init"] = config.init
    if config.unmask_paths:  # `systempaths=unconfined` is the client's to translate
        host |= {"MaskedPaths": [], "ReadonlyPaths": []}
    if config.restart is not None:
        host["RestartPolicy"] = {
            "Name": config.restart.name,
            "MaximumRetryCount": config.restart.max_retries,
        }
    if config.log is not None:
        host["LogConfig"] = {"Type": config.log.driver, "Config": dict(config.log.options)}
    return host | resources_body(config.resources)


def resources_body(limits: Resources) -> Json:
    """The limits that are set, in the words of a HostConfig and of an update."""
    body = _filled(
        {
            "Memory": limits.memory_bytes,
            "MemorySwap": limits.memory_swap_bytes,
            "MemoryReservation": limits.memory_reservation_bytes,
            "NanoCpus": limits.nano_cpus,
            "CpuShares": limits.cpu_shares,
            "CpuQuota": limits.cpu_quota_us,
            "CpuPeriod": limits.cpu_period_us,
            "CpuRealtimeRuntime": limits.cpu_rt_runtime_us,
            "CpuRealtimePeriod": limits.cpu_rt_period_us,
            "CpuCount": limits.cpu_count,
            "CpuPercent": limits.cpu_percent,
            "CpusetCpus": limits.cpuset_cpus,
            "PidsLimit": limits.pids_limit,
        }
    )
    if limits.memory_swappiness is not None:
        body["MemorySwappiness"] = limits.memory_swappiness
    if limits.oom_kill_disable:
        body["OomKillDisable"] = True
    return body | (_blkio(limits.blkio) if limits.blkio else {})


def _blkio(blkio: Blkio) -> Json:
    def rates(pairs: Sequence[tuple[str, int]]) -> list[Json]:
        return [{"Path": path, "Rate": rate} for path, rate in pairs]

    return _filled(
        {
            "BlkioWeight": blkio.weight,
            "BlkioWeightDevice": [
                {"Path": path, "Weight": weight} for path, weight in blkio.weight_device
            ],
            "BlkioDeviceReadBps": rates(blkio.read_bps),
            "BlkioDeviceReadIOps": rates(blkio.read_iops),
            "BlkioDeviceWriteBps": rates(blkio.write_bps),
            "BlkioDeviceWriteIOps": rates(blkio.write_iops),
        }
    )


def _device_request(request: DeviceRequest) -> Json:
    return _filled(
        {
            "Driver": request.driver,
            "Count": request.count,
            "DeviceIDs": list(request.device_ids),
            "Capabilities": [list(request.capabilities)] if request.capabilities else [],
            "Options": dict(request.options),
        }
    )


def _port_bindings(ports: Sequence[PortBinding]) -> dict[str, list[Json]]:
    bindings: dict[str, list[Json]] = {}
    for port in ports:
        key = f"{port.container_port}/{port.protocol}"
        bindings.setdefault(key, []).append({"HostIp": port.host_ip, "HostPort": port.host_port})
    return bindings


def _is_bind(mount: Mount) -> bool:
    """Whether it goes by the older form, which creates a missing source on every engine."""
    wants_old = mount.create_host_path or bool(mount.selinux)
    return mount.type == "bind" and wants_old and ":" not in mount.source + mount.target


def _bind(mount: Mount) -> str:
    options = ["ro" if mount.read_only else "rw", mount.selinux, mount.propagation]
    return f"{mount.source}:{mount.target}:{','.join(filter(None, options))}"


def _mount(mount: Mount) -> Json:
    body = _set(
        Type=mount.type,
        Source=mount.source,
        Target=mount.target,
        ReadOnly=mount.read_only,
        Consistency=mount.consistency,
    )
    if mount.type == "bind":
        body["BindOptions"] = _set(
            Propagation=mount.propagation,
            CreateMountpoint=mount.create_host_path,
            NonRecursive=mount.recursive == "disabled",
            ReadOnlyNonRecursive=mount.recursive == "writable",
            ReadOnlyForceRecursive=mount.recursive == "readonly",
        )
    elif mount.type == "volume":
        options = _set(NoCopy=mount.no_copy, Subpath=mount.subpath, Labels=dict(mount.labels) or "")
        body |= {"VolumeOptions": options} if options else {}
    elif mount.type == "tmpfs":
        options = _set(SizeBytes=mount.size_bytes, Mode=mount.mode)
        body |= {"TmpfsOptions": options} if options else {}
    elif mount.type == "image" and mount.subpath:
        body["ImageOptions"] = {"Subpath": mount.subpath}
    return body


def endpoint_body(attachment: NetworkAttachment) -> Json:
    """An EndpointSettings."""
    return _filled(
        {
            "Aliases": list(attachment.aliases),
            "Links": list(attachment.links),
            "MacAddress": attachment.mac_address,
            "DriverOpts": dict(attachment.driver_opts),
            "GwPriority": attachment.gw_priority,
            "IPAMConfig": _filled(
                {
                    "IPv4Address": attachment.ipv4_address,
                    "IPv6Address": attachment.ipv6_address,
                    "LinkLocalIPs": list(attachment.link_local_ips),
                }
            ),
        }
    )


def network_body(config: NetworkConfig) -> Json:
    """The body of `POST /networks/create`."""
    body: Json = {
        "Name": config.name,
        "Driver": config.driver or "bridge",
        "Options": dict(config.options),
        "Internal": config.internal,
        "Attachable": config.attachable,
        "Labels": dict(config.labels),
        "CheckDuplicate": True,  # older engines allow two networks of one name without it
    }
    if config.enable_ipv4 is not None:
        body["EnableIPv4"] = config.enable_ipv4
    if config.enable_ipv6 is not None:
        body["EnableIPv6"] = config.enable_ipv6
    if config.pools or config.ipam_driver:
        body["IPAM"] = {
            "Driver": config.ipam_driver or "default",
            "Config": [_pool(pool) for pool in config.pools],
        }
    return body


def _pool(pool: IpamPool) -> Json:
    return _filled(
        {
            "Subnet": pool.subnet,
            "Gateway": pool.gateway,
            "IPRange": pool.ip_range,
            "AuxiliaryAddresses": dict(pool.aux_addresses),
        }
    )


def volume_body(config: VolumeConfig) -> Json:
    """The body of `POST /volumes/create`."""
    return {
        "Name": config.name,
        "Driver": config.driver or "local",
        "DriverOpts": dict(config.options),
        "Labels": dict(config.labels),
    }


def exec_body(config: ExecConfig, *, attach: bool) -> Json:
    """The body of `POST /containers/{id}/exec`."""
    size = {"ConsoleSize": list(config.console_size)} if config.console_size else {}
    return {
        **size,
        "Cmd": list(config.command),
        "Tty": config.tty,
        "AttachStdin": config.stdin and attach,
        "AttachStdout": attach,
        "AttachStderr": attach,
        "Env": list(config.environment),
        "User": config.user,
        "WorkingDir": config.working_dir,
        "Privileged": config.privileged,
    }


def files_archive(files: Sequence[ContainerFile]) -> bytes:
    """A tar archive of the files, their paths from the root on; folders are left as they are."""
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            entry = tarfile.TarInfo(str(PurePosixPath(file.path)).lstrip("/"))
            entry.size, entry.mode = len(file.content), file.mode
            entry.uid, entry.gid = file.uid, file.gid
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def filters(labels: Sequence[str], **others: Sequence[str]) -> Mapping[str, list[str]]:
    """The `filters` parameter's JSON value."""
    found = {"label": list(labels)} | {key: list(values) for key, values in others.items()}
    return {key: values for key, values in found.items() if values}
