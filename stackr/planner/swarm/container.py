"""A service's container as a Swarm's `ContainerSpec`.

Source: docker/cli, cli/compose/convert/service.go, for what `docker stack deploy` sends; moby,
api/types/swarm/container.go, for what else there is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackr.planner.desired.keys import image_name
from stackr.planner.swarm.draft import Draft
from stackr.planner.swarm.mounts import mounts
from stackr.planner.swarm.units import nanoseconds, optional_nanoseconds
from stackr.runtime import labels
from stackr.spec.model.mounts import FileGrant
from stackr.spec.model.parts import Healthcheck
from stackr.text import parse_json

__all__ = ["container_spec"]

_FOLDERS = {"secrets": "/run/secrets/", "configs": "/"}
"""To which the names of files are relative."""
_READABLE = 0o444


def container_spec(draft: Draft) -> dict[str, Any]:
    """The spec; empty values are not left out."""
    service = draft.service
    return {
        "Image": image_name(draft.project, service),
        "Command": _words(service.entrypoint),
        "Args": _words(service.command),
        "Hostname": service.hostname,
        "Env": environment(service.environment),
        "Labels": {labels.STACK_NAMESPACE: draft.project.name, **service.labels},
        "Dir": service.working_dir,
        "User": service.user,
        "Groups": list(service.group_add),
        "Privileges": _privileges(draft),
        "StopSignal": service.stop_signal,
        "StopGracePeriod": optional_nanoseconds(service.stop_grace_period),
        "TTY": service.tty,
        "OpenStdin": service.stdin_open,
        "ReadOnly": service.read_only,
        "Init": service.init,
        "Sysctls": dict(service.sysctls),
        "CapabilityAdd": list(service.cap_add),
        "CapabilityDrop": list(service.cap_drop),
        "Ulimits": [
            {"Name": name, "Soft": soft, "Hard": hard}
            for name, (soft, hard) in ((n, u.limits) for n, u in service.ulimits.items())
        ],
        "OomScoreAdj": _oom_score_adj(draft),
        "Hosts": [f"{ip} {host}" for host, ips in service.extra_hosts.items() for ip in ips],
        "DNSConfig": {
            "Nameservers": list(service.dns),
            "Search": list(service.dns_search),
            "Options": list(service.dns_opt),
        },
        "Healthcheck": _healthcheck(draft),
        "Mounts": mounts(draft),
        "Secrets": _grants(draft, "secrets", service.secrets),
        "Configs": _grants(draft, "configs", service.configs),
    }


def environment(variables: Mapping[str, str | None]) -> list[str]:
    """`NAME=value`; `NAME` alone takes away what the image has set."""
    return [name if value is None else f"{name}={value}" for name, value in variables.items()]


def _words(command: tuple[str, ...] | None) -> list[str]:
    """None at all cannot be told from the image's own, here as with docker's `stack`."""
    return list(command or ())


def _oom_score_adj(draft: Draft) -> int:
    adjustment = draft.service.oom_score_adj
    if adjustment and not draft.api.check("oom_score_adj", draft.at("oom_score_adj")):
        return 0
    return adjustment


# --- health --------------------------------------------------------------------------------------


def _healthcheck(draft: Draft) -> dict[str, Any]:
    check = draft.service.healthcheck
    if check is None:
        return {}
    if check.disable:
        return {"Test": ["NONE"]}
    return {
        "Test": list(check.test),
        "Interval": nanoseconds(check.interval or 0),
        "Timeout": nanoseconds(check.timeout or 0),
        "StartPeriod": nanoseconds(check.start_period or 0),
        "StartInterval": _start_interval(draft, check),
        "Retries": check.retries or 0,
    }


def _start_interval(draft: Draft, check: Healthcheck) -> int:
    path = draft.at("healthcheck", "start_interval")
    if not check.start_interval or not draft.api.check("start_interval", path):
        return 0
    if check.start_period is None:
        draft.faults.add(path, "requires start_period to be set")
    return nanoseconds(check.start_interval)


# --- configs and secrets -------------------------------------------------------------------------


def _grants(draft: Draft, section: str, grants: Sequence[FileGrant]) -> list[dict[str, Any]]:
    kind = section[:-1].capitalize()
    return [
        {
            f"{kind}Name": draft.files.get((section, grant.source or ""), grant.source or ""),
            "File": {
                "Name": (grant.target or grant.source or "").removeprefix(_FOLDERS[section]),
                "UID": grant.uid or "0",
                "GID": grant.gid or "0",
                "Mode": _READABLE if grant.mode is None else grant.mode,
            },
        }
        for grant in grants
    ]


# --- security ------------------------------------------------------------------------------------


def _privileges(draft: Draft) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, option in enumerate(draft.service.security_opt):
        key, separator, value = option.partition("=")
        if not separator:
            key, _, value = option.partition(":")
        path = draft.at("security_opt", index)
        if key == "label":
            _add_label(found.setdefault("SELinuxContext", {}), value)
        elif key not in ("seccomp", "apparmor", "no-new-privileges"):
            draft.faults.add(path, f'not supported by a Swarm: "{option}"')
        elif draft.api.check("privileges", path):
            found |= _privilege(draft, path, key, value)
    return found


_LABELS = {"user": "User", "role": "Role", "type": "Type", "level": "Level"}


def _add_label(context: dict[str, Any], value: str) -> None:
    key, _, word = value.partition(":")
    if key == "disable":
        context["Disable"] = True
    else:
        context[_LABELS.get(key, key)] = word


def _privilege(draft: Draft, path: tuple[str | int, ...], key: str, value: str) -> dict[str, Any]:
    if key == "no-new-privileges":
        return {"NoNewPrivileges": value in ("", "true")}
    if key == "apparmor":
        if value not in ("unconfined", "docker-default"):
            draft.faults.add(path, f'a Swarm takes no AppArmor profile by its name: "{value}"')
        return {"AppArmor": {"Mode": "disabled" if value == "unconfined" else "default"}}
    if value in ("unconfined", "builtin"):
        return {"Seccomp": {"Mode": "unconfined" if value == "unconfined" else "default"}}
    return {"Seccomp": {"Mode": "custom", "Profile": _profile(draft, path, value)}}


def _profile(draft: Draft, path: tuple[str | int, ...], name: str) -> str:
    try:
        text = draft.project.read(str(Path(draft.project.working_dir, name))).decode()
        compact = json.dumps(parse_json(text), separators=(",", ":"), sort_keys=True)
    except (OSError, ValueError) as error:
        draft.faults.add(path, f"seccomp profile {name}: {error}")
        return ""
    return base64.b64encode(compact.encode()).decode()
