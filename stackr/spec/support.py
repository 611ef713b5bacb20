"""What of a stack file the embedded engine honours, as one table: SUPPORT.

`unsupported` refuses, by name, what is set and not honoured; `table` is docs/compose.md's table,
which `python -m stackr.spec.support` writes. An attribute without a row is a failing test.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from stackr.spec.problems import Problem
from stackr.spec.rules import Path, show

if TYPE_CHECKING:
    from stackr.spec.model.project import Project

__all__ = ["SUPPORT", "Row", "State", "table", "unsupported"]


class State(Enum):
    """What becomes of an attribute."""

    YES = "yes"
    PARTLY = "partly"
    NO_EFFECT = "no effect"
    NO = "refused"


class Row(NamedTuple):
    """An attribute's state. refuses: whether a value is refused, for `PARTLY`; `NO` refuses all.

    is_everywhere: of `NO`, that no other engine honours it either.
    """

    state: State
    note: str = ""
    refuses: Callable[[Any], bool] | None = None
    is_everywhere: bool = False


def _yes(*names: str, note: str = "") -> dict[str, Row]:
    return {name: Row(State.YES, note) for name in names}


def _no(note: str, *names: str, is_everywhere: bool = False) -> dict[str, Row]:
    return {name: Row(State.NO, note, None, is_everywhere) for name in names}


def _inert(note: str, *names: str) -> dict[str, Row]:
    return {name: Row(State.NO_EFFECT, note) for name in names}


def _but(allowed: tuple[Any, ...], note: str) -> Row:
    return Row(State.PARTLY, note, lambda value: value not in allowed)


def _update_rules(path: str, *actions: str) -> dict[str, Row]:
    time = Row(State.PARTLY, "not negative", lambda seconds: seconds < 0)
    share = Row(State.PARTLY, "from 0 to 1", lambda ratio: not 0 <= ratio <= 1)
    return {
        f"{path}.failure_action": _but(actions, ", ".join(actions)),
        f"{path}.max_failure_ratio": share,
        f"{path}.delay": time,
        f"{path}.monitor": time,
    }


def _but_not(refused: tuple[Any, ...], note: str) -> Row:
    return Row(State.PARTLY, note, lambda value: value in refused)


_SWARM = "of a cluster; Docker Compose on one host has no use for it either"
_OF_VARIABLE = Row(
    State.PARTLY, "what `environment` names; in a file, for configs alone", lambda value: False
)
_WINDOWS = "of Windows"
_WHERE_POSSIBLE = "on hosts with {}; elsewhere the engine refuses it"

_SERVICE: dict[str, Row] = {
    **_yes("annotations", "cap_add", "cap_drop", "command", "configs", "container_name"),
    **_yes("cpu_period", "cpu_quota", "cpus", "cpuset", "depends_on"),
    **_yes("device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname"),
    **_yes("entrypoint", "env_file", "environment", "expose", "extends", "external_links"),
    **_yes("extra_hosts", "group_add", "healthcheck", "hostname", "image", "init", "labels"),
    **_yes("label_file", "links", "mac_address", "mem_limit", "mem_reservation"),
    **_yes("memswap_limit", "networks", "oom_kill_disable", "oom_score_adj", "pids_limit"),
    **_yes(
        "platform",
        "ports",
        "post_start",
        "pre_stop",
        "privileged",
        "profiles",
        "read_only",
        "restart",
    ),
    **_yes("scale", "secrets", "security_opt", "shm_size", "stdin_open", "stop_grace_period"),
    **_yes("stop_signal", "sysctls", "tmpfs", "tty", "ulimits", "user", "volumes_from"),
    **_yes("working_dir"),
    "pull_policy": _but_not(
        ("build", "refresh"),
        "always, missing, if_not_present, never, daily, weekly, every_DURATION",
    ),
    "ipc": Row(State.YES, "private, shareable, host, none, service:NAME, container:NAME"),
    "pid": Row(State.YES, "host, service:NAME, container:NAME"),
    "network_mode": Row(State.YES, "bridge, host, none, service:NAME, container:NAME"),
    "cgroup": Row(State.YES, "host, private"),
    "uts": _but(("host",), "host"),
    "userns_mode": _but(("host",), "host: the engine maps no users"),
    "isolation": _but(("default",), f"default; the others are {_WINDOWS}"),
    "runtime": _but(
        ("runc", "crun", "io.containerd.runc.v2"), "runc or crun, whichever the engine uses"
    ),
    "logging": Row(State.YES, "the drivers json-file, local and none"),
    "logging.driver": _but(("json-file", "local", "none"), "json-file, local, none"),
    "blkio_config": Row(State.YES, "weights of single devices need the I/O scheduler bfq"),
    "build": Row(State.PARTLY, "images are not built: only together with `image`, which is pulled"),
    "volumes": Row(State.YES, "of the types bind, volume, tmpfs and image"),
    "volumes.*.type": _but(
        ("bind", "volume", "tmpfs", "image"), "bind, volume, tmpfs, image (read-only)"
    ),
    **_yes("volumes.*.bind.recursive"),
    "deploy": Row(State.YES, "replicas, resources, restart_policy, update_config"),
    **_yes("deploy.replicas", "deploy.resources", "deploy.restart_policy"),
    **_inert(_SWARM, "deploy.labels", "deploy.placement", "deploy.endpoint_mode"),
    **_yes("deploy.update_config", note="replica by replica; Docker Compose ignores it"),
    **_yes("deploy.rollback_config", note="of an update that fails; else as update_config"),
    **_update_rules("deploy.update_config", "pause", "continue", "rollback"),
    **_update_rules("deploy.rollback_config", "pause", "continue"),
    **_inert(_SWARM, "deploy.restart_policy.delay", "deploy.restart_policy.window"),
    **_inert(_SWARM, "deploy.resources.reservations.cpus"),
    "deploy.mode": _but(("replicated", "global"), "replicated, global; jobs are not run as such"),
    **_no("the engine has no driver for them", "gpus"),
    **_no("the engine has no driver for them", "deploy.resources.reservations.devices"),
    **_inert(_SWARM, "deploy.resources.reservations.generic_resources"),
    **_yes("blkio_config.weight_device", "blkio_config.device_read_bps"),
    **_yes("blkio_config.device_read_iops", "blkio_config.device_write_bps"),
    **_yes("blkio_config.device_write_iops"),
    "cpu_shares": Row(
        State.YES, "on cgroup v2 a weight from 1 to 10,000: 1,024 shares, the default, are 100"
    ),
    "cgroup_parent": Row(
        State.YES, "an absolute path is a group of the host's; others are below the engine's own"
    ),
    **_no(_WINDOWS, "cpu_count", "cpu_percent"),
    **_no(_WINDOWS, "credential_spec", is_everywhere=True),
    **_yes("cpu_rt_period", "cpu_rt_runtime", note=_WHERE_POSSIBLE.format("real-time groups")),
    **_yes("mem_swappiness", note=_WHERE_POSSIBLE.format("cgroup v1")),
    **_no("overlayfs has no quota of its own", "storage_opt"),
    **_no("services that other programs run", "provider", is_everywhere=True),
    **_no("no language models are run", "models", is_everywhere=True),
    **_yes(
        "use_api_socket", note="at /var/run/docker.sock, with the caller's registry credentials"
    ),
    **_yes("attach", note="false: `up` in the foreground does not show its output"),
    "develop": Row(State.YES, "the actions sync, restart, sync+restart and sync+exec of `watch`"),
    **_inert("has no meaning in Docker Compose either", "pull_refresh_after"),
}

_TOP: dict[str, Row] = {
    **_yes("name", "include", "services"),
    **_inert("obsolete", "version"),
    "networks": Row(State.YES, "of the driver bridge"),
    "networks.*.name": Row(State.YES),
    "networks.*.driver": _but(
        ("bridge", "default", "host", "none"), "bridge; host and none as external networks"
    ),
    **_yes("networks.*.driver_opts", "networks.*.ipam", "networks.*.external"),
    **_yes("networks.*.internal", "networks.*.labels", "networks.*.enable_ipv4"),
    **_yes("networks.*.enable_ipv6"),
    **_inert("the engine keeps it; only a cluster has a use for it", "networks.*.attachable"),
    "volumes": Row(State.YES, "of the driver local"),
    "volumes.*.driver": _but(("local", "default"), "local"),
    **_yes("volumes.*.name", "volumes.*.driver_opts", "volumes.*.external", "volumes.*.labels"),
    **_yes("secrets", note="from a file or a variable"),
    **_yes("configs", note="from a file, a variable or their content"),
    **{
        f"{kind}.*.{key}": row
        for kind in ("secrets", "configs")
        for key, row in {
            "external": Row(State.PARTLY, "the engine keeps none of its own", bool),
            **_yes("name", "file", "environment"),
            "content": Row(State.YES) if kind == "configs" else _OF_VARIABLE,
            **_no("the engine keeps none of its own", "driver", "driver_opts", "template_driver"),
            **_inert(_SWARM, "labels"),
        }.items()
    },
    **_no("no language models are run", "models"),
}

SUPPORT: Mapping[str, Row] = {
    **_TOP,
    **{f"services.*.{path}": row for path, row in _SERVICE.items()},
}
"""Pattern of a path -> what the embedded engine does with the attribute."""

_EMPTY: tuple[object, ...] = (None, "", 0, False, (), {})


def unsupported(project: Project, *, embedded: bool = True) -> list[Problem]:
    """What a project sets and the engine does not honour; [] if there is nothing.

    embedded: it is stackr's own. Each reads `file:line:column: path: message`. Only enabled
    services count.
    """
    found = []
    for pattern, row in SUPPORT.items():
        if row.is_everywhere or (embedded and row.state in (State.NO, State.PARTLY)):
            for path, value in _values(project, pattern.split("."), ()):
                if _is_refused(project, path, value, row):
                    found.append(_problem(project, path, row))
    return found


def _is_refused(project: Project, path: Path, value: Any, row: Row) -> bool:
    if value in _EMPTY:
        return False
    if path[-1] == "build":
        return not project.services[str(path[1])].image
    return row.state is State.NO or (row.refuses is not None and row.refuses(value))


def _problem(project: Project, path: Path, row: Row) -> Problem:
    place = project.position(show(path))
    where = f"{place}: " if place is not None else ""
    reason = f": {row.note}" if row.note else ""
    by = "" if row.is_everywhere else " by the embedded engine"
    text = f"{where}{show(path)}: not supported{by}{reason}"
    return Problem.of(text, hint=None, snippet="")


def _values(value: Any, pattern: list[str], path: Path) -> Iterator[tuple[Path, Any]]:
    """The values of a model that a pattern names."""
    if not pattern:
        yield path, value
    elif pattern[0] != "*":
        below = getattr(value, pattern[0], None)
        if below is not None:
            yield from _values(below, pattern[1:], (*path, pattern[0]))
    else:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in items:
            yield from _values(entry, pattern[1:], (*path, key))


def table() -> str:
    """The table of docs/compose.md, in Markdown."""
    rows = ["| attribute | supported | notes |", "| --- | --- | --- |"]
    for pattern, row in sorted(SUPPORT.items()):
        rows.append(f"| `{pattern}` | {row.state.value} | {row.note} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
