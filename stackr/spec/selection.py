"""Which services a load is about: profiles, chosen services, and what these use.

Source: compose-go, types/project.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from stackr.spec.problems import nearest, refuse

Services: TypeAlias = dict[str, Any]


def by_profiles(services: Services, profiles: Iterable[str]) -> tuple[Services, Services]:
    """The services that the profiles enable, and the others."""
    active = set(profiles)
    enabled: Services = {}
    disabled: Services = {}
    for name, service in services.items():
        wanted = service.get("profiles")
        chosen = not wanted or "*" in active or not active.isdisjoint(wanted)
        (enabled if chosen else disabled)[name] = service
    return enabled, disabled


def enable(project: dict[str, Any], names: Iterable[str]) -> None:
    """Activate the profiles of the services that are asked for by name."""
    profiles = list(project["profiles"])
    for name in names:
        if name in project["disabled_services"]:
            profiles += project["disabled_services"][name].get("profiles", ())
    everything = {**project["services"], **project["disabled_services"]}
    project["services"], project["disabled_services"] = by_profiles(everything, profiles)
    project["profiles"] = tuple(profiles)


def keep(project: dict[str, Any], names: Iterable[str]) -> None:
    """Disable every service but those named (`*` matches any part), and what they depend on.

    Raises InvalidProject for a name that no service has.
    """
    services = project["services"]
    chosen: set[str] = set()
    waiting = [(name, True) for name in names]
    while waiting:
        pattern, required = waiting.pop()
        matching = [name for name in services if name == pattern or fnmatchcase(name, pattern)]
        if not matching and required:
            raise refuse(f"no such service: {pattern}", hint=nearest(pattern, services))
        for name in matching:
            if name not in chosen:
                chosen.add(name)
                below = services[name].get("depends_on", {})
                waiting += [(each, bool(entry.get("required"))) for each, entry in below.items()]
    for name in list(services):
        if name not in chosen:
            project["disabled_services"][name] = services.pop(name)
    for service in services.values():
        depends_on = service.get("depends_on", {})
        service["depends_on"] = {name: depends_on[name] for name in depends_on if name in chosen}


def drop_unused(project: dict[str, Any]) -> None:
    """Forget networks, volumes, secrets, configs and models that no enabled service uses."""
    used: dict[str, set[str]] = {
        kind: set() for kind in ("networks", "volumes", "secrets", "configs", "models")
    }
    for service in project["services"].values():
        used["networks"].update(service.get("networks", ()))
        used["models"].update(service.get("models", ()))
        used["volumes"].update(
            volume.get("source", "")
            for volume in service.get("volumes", ())
            if volume.get("type") == "volume"
        )
        build = service.get("build", {})
        for kind, grants in (
            ("secrets", [*service.get("secrets", ()), *build.get("secrets", ())]),
            ("configs", service.get("configs", ())),
        ):
            used[kind].update(grant.get("source", "") for grant in grants)
    for kind, names in used.items():
        project[kind] = {name: value for name, value in project[kind].items() if name in names}
