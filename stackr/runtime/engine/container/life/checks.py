"""Settings that contradict each other or the host, refused before anything is made; pure.

Source: moby's checks of a create body, with their texts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container import capabilities
from stackr.runtime.engine.container.health.probe import LogTest, parse_test, unknown_test
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.io.log_options import LOCAL, driver, rotation
from stackr.runtime.engine.container.life.networking import check_ports
from stackr.runtime.engine.container.limits import resources as limits
from stackr.runtime.engine.container.limits.controllers import discarded
from stackr.runtime.engine.container.limits.groups import check_parent
from stackr.runtime.engine.container.oci import devices
from stackr.runtime.engine.container.oci.cdi import device_names
from stackr.runtime.engine.container.oci.security import parse_security_options
from stackr.runtime.engine.container.records.record import STANDBY_LABEL
from stackr.runtime.engine.container.settings.refused import check_runtime
from stackr.runtime.engine.container.settings.signals import signal_number
from stackr.runtime.engine.container.settings.spec import (
    Config,
    Healthcheck,
    HostConfig,
    RestartPolicy,
)
from stackr.runtime.engine.container.settings.unhealthy import (
    RESTART_UNHEALTHY_LABEL,
    parse_restart_unhealthy,
)
from stackr.runtime.engine.container.storage.etc import check_extra_hosts
from stackr.runtime.engine.snapshot.size import size_wanted

__all__ = ["check_create", "check_restart", "limit_warnings"]

_HOSTNAME = re.compile(r"^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,62})$")
_LEAST_DURATION_NS = 1_000_000
_PATH_BYTES = 4096  # with the last zero. Source: linux, limits.h


def check_create(config: Config, host_config: HostConfig, host: Host) -> list[str]:
    """Warnings for the caller. Raises InvalidArgument and NotSupported."""
    _check_config(config)
    _check_test(config, host_config)
    _check_modes(host_config)
    check_parent(host_config.cgroup_parent)
    check_restart(host_config.restart_policy)
    check_runtime(host_config.runtime)
    size_wanted(host_config.storage_opt)
    if host_config.isolation.lower() not in ("", "default"):
        isolation = host_config.isolation
        raise InvalidArgument(f"invalid isolation ({isolation}): linux only supports 'default'")
    if host_config.auto_remove and host_config.restart_policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    limits.check_limits(host_config, host.cgroups, cpus=os.cpu_count() or 1)
    limits.rlimits(host_config.ulimits, host)
    parse_security_options(host_config.security_opt)
    capabilities.effective(
        add=host_config.cap_add,
        drop=host_config.cap_drop,
        privileged=host_config.privileged,
        host=host.capabilities,
    )
    devices.parse_rules(host_config.device_cgroup_rules)
    device_names(host_config.device_requests)
    rotation(host_config.log_config)
    check_extra_hosts(host_config.extra_hosts)
    check_ports(config, host_config)
    _check_ranges(host_config)
    return [*_warnings(host_config, host), *_health_warnings(config)]


def _health_warnings(config: Config) -> Iterator[str]:
    if unknown := unknown_test(config):
        yield unknown
    if parse_restart_unhealthy(config.labels) is not None and parse_test(config) is None:
        yield f"label {RESTART_UNHEALTHY_LABEL}: no effect: the container has no health check"


def _check_config(config: Config) -> None:
    if config.hostname and not _HOSTNAME.match(config.hostname):
        raise InvalidArgument(f"invalid hostname format: {config.hostname}")
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute"
            " path"
        )
    if len(os.fsencode(config.working_dir)) >= _PATH_BYTES:
        raise InvalidArgument(f"the working directory is longer than {_PATH_BYTES - 1} bytes")
    if config.stop_signal:
        signal_number(config.stop_signal)
    standby = config.labels.get(STANDBY_LABEL, "false")
    if standby not in ("true", "false"):
        raise InvalidArgument(f"label {STANDBY_LABEL}: true or false, not {standby!r}")
    for entry in config.env:
        if not entry.partition("=")[0] or "\0" in entry:
            raise InvalidArgument(f"invalid environment variable: {entry}")
    if config.healthcheck is not None:
        _check_healthcheck(config.healthcheck)


def _check_test(config: Config, host_config: HostConfig) -> None:
    if isinstance(parse_test(config), LogTest) and host_config.log_config.type == "none":
        raise InvalidArgument("Healthcheck: LOG: the container keeps no log: log driver none")


def _check_healthcheck(check: Healthcheck) -> None:
    durations = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
    }
    for name, value in durations.items():
        if value != 0 and value < _LEAST_DURATION_NS:
            raise InvalidArgument(f"{name} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")


def _check_modes(host_config: HostConfig) -> None:
    allowed = {
        "IPC": (host_config.ipc_mode, ("", "private", "shareable", "host", "none")),
        "PID": (host_config.pid_mode, ("", "host")),
        "UTS": (host_config.uts_mode, ("", "host")),
        "cgroup namespace": (host_config.cgroupns_mode, ("", "private", "host")),
    }
    for name, (mode, known) in allowed.items():
        joins = name in ("IPC", "PID") and mode.startswith("container:")
        if mode not in known and not joins:
            raise InvalidArgument(f"invalid {name} mode: {mode}")


def check_restart(policy: RestartPolicy) -> None:
    """Raise InvalidArgument for a policy that contradicts itself."""
    if not policy.name:
        return  # moby takes any number with no name, which is what Docker Compose sends
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise InvalidArgument(
            f"maximum retry count cannot be used with restart policy '{policy.name}'"
        )
    if policy.maximum_retry_count < 0:
        raise InvalidArgument("maximum retry count cannot be negative")


def _check_ranges(host_config: HostConfig) -> None:
    if not -1000 <= host_config.oom_score_adj <= 1000:
        raise InvalidArgument(
            f"Invalid value {host_config.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )
    if host_config.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    for name in host_config.sysctls:
        if not name.startswith(("net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")):
            raise InvalidArgument(f"sysctl '{name}' is not allowed: it is not namespaced")


def _warnings(host_config: HostConfig, host: Host) -> list[str]:
    warnings = limit_warnings(host_config, host)
    log_config = host_config.log_config
    if driver(log_config) == LOCAL and rotation(log_config).files > 1:
        warnings.append(
            "The log is kept in one file of at most max-size times max-file, not in several."
        )
    if host_config.oom_kill_disable and host.cgroups.is_v2:
        warnings.append("OomKillDisable has no effect on this host: cgroup v2 has no such setting.")
    return warnings


def limit_warnings(host_config: HostConfig, host: Host) -> list[str]:
    """What the host cannot limit as asked."""
    warnings = discarded(host_config, host.cgroups)
    has_memory = "memory" not in host.cgroups.lacks
    if host_config.memory > 0 and has_memory and not host.cgroups.swap_limit:
        warnings.append(
            "Your kernel does not support swap limit capabilities. Memory limited without swap."
        )
    return warnings
