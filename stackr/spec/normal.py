"""The normal form of a tree: values from the environment, the default network, names, dependencies.

Source: compose-go, loader/normalize.go and loader/environment.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackr.spec.attribute import Namespace
from stackr.spec.declared import of_service
from stackr.spec.defaults import SECRET_VALUE
from stackr.spec.short import clean_path

_NAMESPACES = [at for at, mark in of_service(Namespace).items() if "service" in mark.forms]


def resolve_environment(tree: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Give bare names in `environment` lists, secrets and configs their value, in place."""
    for service in _maps(tree, "services"):
        entries = service.get("environment")
        if isinstance(entries, list):
            service["environment"] = [
                f"{name}={environment[name]}" if name in environment else name
                for name in entries
                if isinstance(name, str)
            ]
    for kind, target in (("secrets", SECRET_VALUE), ("configs", "content")):
        for item in _maps(tree, kind):
            variable = item.get("environment")
            if isinstance(variable, str) and variable in environment:
                item[target] = environment[variable]


def _maps(tree: dict[str, Any], key: str) -> list[dict[str, Any]]:
    section = tree.get(key)
    entries = section.values() if isinstance(section, dict) else ()
    return [entry for entry in entries if isinstance(entry, dict)]


def normalize(tree: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Spell out what a canonical tree implies, in place; it has its final `name`."""
    _use_default_network(tree)
    for service in _maps(tree, "services"):
        _normalize_service(service, environment)
    for kind in ("networks", "volumes", "configs", "secrets"):
        _set_names(tree, kind)


def _use_default_network(tree: dict[str, Any]) -> None:
    networks = tree.get("networks") or {}
    used = False
    for service in _maps(tree, "services"):
        if "provider" in service or "network_mode" in service:
            continue
        if not service.get("networks"):
            service["networks"] = {"default": None}
        used = used or "default" in service["networks"]
    if used:
        networks.setdefault("default", None)
    if networks:
        tree["networks"] = networks


def _normalize_service(service: dict[str, Any], environment: Mapping[str, str]) -> None:
    if service.get("pull_policy") == "if_not_present":
        service["pull_policy"] = "missing"
    build = service.get("build")
    if isinstance(build, dict):
        if build.get("context") is None:
            build["context"] = "."
        if build.get("dockerfile") is None and build.get("dockerfile_inline") is None:
            build["dockerfile"] = "Dockerfile"
        if "args" in build:
            build["args"] = _resolve(build["args"], environment, keep_unset=False)
    if "environment" in service:
        service["environment"] = _resolve(service["environment"], environment, keep_unset=True)
    for volume in service.get("volumes") or ():
        if isinstance(volume, dict) and isinstance(volume.get("target"), str):
            volume["target"] = clean_path(volume["target"])
    _add_dependencies(service)
    _name_images_of_steps(service)


def _name_images_of_steps(service: dict[str, Any]) -> None:
    """A step of `pre_start` without an image has the service's."""
    image = service.get("image")
    for step in service.get("pre_start") or () if image and isinstance(image, str) else ():
        if isinstance(step, dict):
            step.setdefault("image", image)


def _resolve(value: Any, environment: Mapping[str, str], *, keep_unset: bool) -> Any:
    if isinstance(value, list):
        entries = []
        for entry in value:
            if not isinstance(entry, str):
                continue
            if "=" not in entry and entry in environment:
                entries.append(f"{entry}={environment[entry]}")
            elif "=" in entry or keep_unset:
                entries.append(entry)
        return entries
    if not isinstance(value, dict):
        return None if value is None else value
    resolved = {}
    for key, entry in value.items():
        if entry is None and key in environment:
            resolved[key] = environment[key]
        elif entry is not None or keep_unset:
            resolved[key] = entry
    return resolved


def _add_dependencies(service: dict[str, Any]) -> None:
    """A service that uses another in any way depends on it."""
    depends_on = service.get("depends_on") or {}

    def add(name: str, *, restart: bool) -> None:
        depends_on.setdefault(
            name, {"condition": "service_started", "restart": restart, "required": True}
        )

    for link in service.get("links") or ():
        parts = link.split(":")
        add(parts[0] if len(parts) == 2 else link, restart=True)
    for namespace in _NAMESPACES:
        reference = service.get(namespace)
        if isinstance(reference, str) and reference.startswith("service:"):
            add(reference.removeprefix("service:"), restart=True)
    for source in service.get("volumes_from") or ():
        if not source.startswith("container:"):
            add(source.split(":")[0], restart=False)
    if depends_on:
        service["depends_on"] = depends_on


def _set_names(tree: dict[str, Any], kind: str) -> None:
    section = tree.get(kind)
    if not isinstance(section, dict):
        return
    for key, entry in section.items():
        resource = entry if entry is not None else {}
        if isinstance(resource, dict) and resource.get("name") is None:
            external = resource.get("external")
            is_external = external is True or external in ("true", "1", "t", "T", "TRUE", "True")
            resource["name"] = key if is_external else f"{tree['name']}_{key}"
        section[key] = resource
