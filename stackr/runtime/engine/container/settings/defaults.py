"""What the engine's options say of containers that do not say it themselves.

As dockerd, once a container is created: it keeps what it got when the options change.
"""

from __future__ import annotations

from pathlib import Path

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.settings.spec import HostConfig, LogConfig, Ulimit
from stackr.runtime.engine.options import EngineOptions

__all__ = ["default_log_config", "default_seccomp", "default_ulimits", "with_defaults"]

_NO_NEW_PRIVILEGES = "no-new-privileges"


def default_log_config(options: EngineOptions) -> LogConfig:
    return LogConfig(type=options.log_driver, config=dict(options.log_opts))


def default_ulimits(options: EngineOptions) -> tuple[Ulimit, ...]:
    return tuple(
        Ulimit(name=name, soft=limit.soft, hard=limit.hard)
        for name, limit in options.default_ulimits.items()
    )


def default_seccomp(options: EngineOptions) -> str:
    """As a container's own would be. Raises InvalidArgument for a file that cannot be read."""
    name = options.seccomp_profile
    if name in ("", "builtin", "unconfined"):
        return name
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidArgument(f'engine\'s options: seccomp-profile "{name}": {why}') from error


def with_defaults(host_config: HostConfig, options: EngineOptions) -> HostConfig:
    """Its log's driver, init, namespaces, control group, shared memory and privileges.

    Source: moby, daemon/daemon_unix.go, adaptContainerSettings.
    """
    found: dict[str, object] = {"log_config": _log_config(host_config.log_config, options)}
    if host_config.init is None and options.init:
        found["init"] = True
    if not host_config.ipc_mode and options.default_ipc_mode != "private":
        found["ipc_mode"] = options.default_ipc_mode
    if not host_config.cgroupns_mode and options.default_cgroupns_mode:
        found["cgroupns_mode"] = options.default_cgroupns_mode
    if not host_config.cgroup_parent and options.cgroup_parent:
        found["cgroup_parent"] = options.cgroup_parent
    if not host_config.shm_size:
        found["shm_size"] = options.shm_bytes
    entries = host_config.security_opt
    if options.no_new_privileges and not any(e.startswith(_NO_NEW_PRIVILEGES) for e in entries):
        found["security_opt"] = [*entries, _NO_NEW_PRIVILEGES]
    return host_config.model_copy(update=found)


def _log_config(own: LogConfig, options: EngineOptions) -> LogConfig:
    """The options of the default driver count for whoever has that driver, named or not."""
    if own.type not in ("", options.log_driver):
        return own
    return LogConfig(type=options.log_driver, config={**options.log_opts, **own.config})
