"""Rules of a project as a whole: what its parts say of each other.

Source: compose-go, loader/validate.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from stackr.spec.problems import Problems, nearest
from stackr.spec.rules import Path

Services: TypeAlias = dict[str, dict[str, Any]]


def check_project(project: dict[str, Any], problems: Problems) -> None:
    """Check the enabled services of a typed project against each other and the other sections."""
    for name, service in project["services"].items():
        for check in _SERVICE_CHECKS:
            for suffix, message, hint in check(project, name, service):
                path = ("services", name, *suffix)
                problems.add(path, message, hint=hint, at_key=not suffix)
    for name, secret in project["secrets"].items():
        if not (secret.get("external") or secret.get("file") or secret.get("environment")):
            problems.add(("secrets", name), "must declare either `file` or `environment`")
    if not problems:
        _check_cycles(project["services"], problems)


Complaint: TypeAlias = tuple[Path, str, str | None]
Check: TypeAlias = Callable[[dict[str, Any], str, dict[str, Any]], Iterator[Complaint]]


def _image(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    if "build" not in service and not service.get("image") and "provider" not in service:
        message = f'service "{name}" has neither an image nor a build context specified'
        yield (), message, 'set "image" or "build"'


def _build(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    build = service.get("build")
    if build is None:
        return
    if build.get("dockerfile_inline") and build.get("dockerfile"):
        yield ("build",), "declares mutually exclusive dockerfile and dockerfile_inline", None
    for context, source in build.get("additional_contexts", {}).items():
        if source.startswith("service:"):
            target = source.removeprefix("service:")
            other = project["services"].get(target)
            kind = "unknown" if other is None else "non-buildable"
            if other is None or "build" not in other:
                path = ("build", "additional_contexts", context)
                yield path, f'{kind} service "{target}" as additional context', None
    platform, platforms = service.get("platform"), build.get("platforms")
    if platform and platforms and platform not in platforms:
        yield ("build", "platforms"), f'must include the service\'s platform "{platform}"', None


def _networks(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    networks = service.get("networks", {})
    if service.get("network_mode") and networks:
        message = f"service {name} declares mutually exclusive `network_mode` and `networks`"
        yield ("network_mode",), message, None
    yield from _undefined(project, name, "networks", networks)
    mode = service.get("network_mode", "")
    if mode.startswith("service:"):
        target = mode.removeprefix("service:")
        if target not in project["services"]:
            message = f"service \"{target}\" not found for network_mode 'service:{target}'"
            yield ("network_mode",), message, nearest(target, project["services"])


def _undefined(
    project: dict[str, Any], name: str, kind: str, used: Any, key: str | None = None
) -> Iterator[Complaint]:
    for resource in used:
        if resource not in project[kind]:
            message = f'service "{name}" refers to undefined {key or kind[:-1]} {resource}'
            yield (
                (kind, resource),
                message,
                nearest(resource, project[kind]) or (f"declare it under top-level {kind}"),
            )


def _healthcheck(
    project: dict[str, Any], name: str, service: dict[str, Any]
) -> Iterator[Complaint]:
    test = service.get("healthcheck", {}).get("test")
    if test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        message = 'healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"'
        yield ("healthcheck", "test"), message, nearest(test[0], ("CMD", "CMD-SHELL", "NONE"))


def _depends_on(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    for target, dependency in service.get("depends_on", {}).items():
        if target in project["services"]:
            continue
        disabled = project["disabled_services"].get(target)
        if disabled is None:
            message = f'service "{name}" depends on undefined service "{target}"'
            hint = f'add a service "{target}", or take it from depends_on'
            yield ("depends_on", target), message, nearest(target, project["services"]) or hint
        elif dependency.get("required"):
            profiles = ", ".join(disabled.get("profiles", ()))
            message = f'service "{target}" is required by "{name}" but is disabled'
            yield ("depends_on", target), message, f"it is enabled by profiles {profiles}"


def _undeclared(source: str) -> str:
    if "/" in source:
        return f'a path of the host begins with "./" or "/": write ./{source}'
    return "declare it under top-level volumes"


def _granted(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    for index, volume in enumerate(service.get("volumes", ())):
        source = volume.get("source")
        if volume.get("type") == "volume" and source and source not in project["volumes"]:
            message = f'service "{name}" refers to undefined volume {source}'
            hint = nearest(source, project["volumes"]) or _undeclared(source)
            yield ("volumes", index), message, hint
    for kind in ("configs", "secrets"):
        for index, grant in enumerate(service.get(kind, ())):
            for _, message, way_out in _undefined(project, name, kind, [grant.get("source", "")]):
                yield (kind, index), message, way_out
    build = service.get("build", {})
    for index, grant in enumerate(build.get("secrets", ())):
        sources = [grant.get("source", "")]
        for _, message, way_out in _undefined(project, name, "secrets", sources, "build secret"):
            yield ("build", "secrets", index), message, way_out
    yield from _undefined(project, name, "models", service.get("models", {}))


def _scale(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    """`scale` and `deploy.replicas` say the same; the deploy section gets what `scale` says."""
    scale, deploy = service.get("scale"), service.get("deploy")
    replicas = deploy.get("replicas") if deploy is not None else None
    if scale is not None and deploy is not None:
        if replicas is not None and scale != replicas:
            yield ("scale",), "can't set distinct values on 'scale' and 'deploy.replicas'", None
        deploy["replicas"] = replicas = scale
    for path, count in ((("scale",), scale), (("deploy", "replicas"), replicas)):
        if count is not None and count < 0:
            yield path, "must be greater than or equal to 0", None
    wanted = scale if scale is not None else replicas
    if wanted is not None and wanted > 1 and service.get("container_name"):
        attribute = "scale" if scale is not None else "deploy.replicas"
        message = f"can't set container_name and {attribute} as container name must be unique"
        yield ("container_name",), message, None


_RESOURCES = (
    ("cpus", "limits", "cpus"),
    ("mem_limit", "limits", "memory"),
    ("mem_reservation", "reservations", "memory"),
    ("pids_limit", "limits", "pids"),
)


def _resources(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    resources = service.get("deploy", {}).get("resources", {})
    for attribute, section, key in _RESOURCES:
        value = service.get(attribute)
        if value and section in resources and resources[section].get(key, 0) != value:
            message = (
                f"can't set distinct values on '{attribute}' and 'deploy.resources.{section}.{key}'"
            )
            yield (attribute,), message, None


def _watch(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    for index, watch in enumerate(service.get("develop", {}).get("watch", ())):
        if not watch.get("target") and watch.get("action") not in ("rebuild", "restart"):
            path = ("develop", "watch", index)
            yield path, "target is required for non-rebuild actions", None


def _mounts(project: dict[str, Any], name: str, service: dict[str, Any]) -> Iterator[Complaint]:
    mounts: dict[str, str] = {}
    targets = [("tmpfs", i, e.partition(":")[0]) for i, e in enumerate(service.get("tmpfs", ()))]
    volumes = enumerate(service.get("volumes", ()))
    targets += [("volumes", index, volume.get("target", "")) for index, volume in volumes]
    for key, index, target in targets:
        if target in mounts:
            yield (key, index), f"target {target} already mounted as {mounts[target]}", None
        mounts.setdefault(target, f"services.{name}.{key}[{index}]")


_SERVICE_CHECKS: tuple[Check, ...] = (
    _image,
    _build,
    _networks,
    _healthcheck,
    _depends_on,
    _granted,
    _scale,
    _resources,
    _watch,
    _mounts,
)


def _check_cycles(services: Services, problems: Problems) -> None:
    done: set[str] = set()
    for start in sorted(services):
        cycle = _find_cycle(start, services, done)
        if cycle is not None:
            path = ("services", cycle[0], "depends_on")
            message = f"dependency cycle detected: {' -> '.join(cycle)}"
            hint = f'one of them has to start first: take the other out of its "{path[-1]}"'
            problems.add(path, message, hint=hint)
            return


def _find_cycle(start: str, services: Services, done: set[str]) -> list[str] | None:
    """Follow dependencies depth first, without recursion; the names around a cycle, or None."""
    path: list[str] = []
    waiting: list[tuple[str, bool]] = [(start, False)]
    while waiting:
        name, leaving = waiting.pop()
        if leaving:
            path.pop()
            done.add(name)
        elif name in path:
            return [*path[path.index(name) :], name]
        elif name not in done:
            path.append(name)
            waiting.append((name, True))
            below = sorted(services[name].get("depends_on", {}), reverse=True)
            waiting += [(each, False) for each in below if each in services]
    return None


def check_container_names(services: Services, problems: Problems) -> None:
    """No two services may have the same container name."""
    owners: dict[str, str] = {}
    for name, service in services.items():
        container = service.get("container_name")
        if container:
            owner = owners.setdefault(container, name)
            if owner != name:
                message = f'container name "{container}" is already in use by service {owner}'
                problems.add(("services", name, "container_name"), message)
