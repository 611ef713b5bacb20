"""`stackr config`: the stack file checked and resolved, or one aspect of it.

The options are Docker Compose's; `--lint` is stackr's own. What is printed comes from the typed
tree, without the models, as this command has to be quick.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from stackr.cli.arguments import check_plain
from stackr.cli.declared import Words, takes
from stackr.cli.options import GlobalOptions, options_of
from stackr.cli.targets import Targets
from stackr.errors import InvalidArgument, StackrError
from stackr.options import Option
from stackr.spec.defaults import SECRET_VALUE
from stackr.spec.interpolate import variables
from stackr.spec.key_order import all_in_order
from stackr.spec.lint import lint
from stackr.spec.load import Loaded, LoadOptions, load_tree, resolve
from stackr.spec.problems import nearest, refuse
from stackr.spec.render import project_tree, service_hash, to_json, unresolved_tree
from stackr.spec.validate import check_container_names
from stackr.spec.yaml_text import to_yaml
from stackr.stack.bind_sources import missing_file
from stackr.stack.source import current_folder
from stackr.text import visible

__all__ = ["ConfigArguments", "config", "run_config"]

_MIN_WIDTH = 20
_ASPECTS = (
    "services",
    "volumes",
    "networks",
    "models",
    "hash",
    "profiles",
    "images",
    "variables",
    "environment",
)


@dataclass(frozen=True, slots=True)
class ConfigArguments:
    """`stackr config`. hash: services whose hash to print, "*" for all."""

    targets: Annotated[Targets, Words("[FILE|SERVICE]...", "Stack file, services")] = field(
        default_factory=Targets
    )
    format: Annotated[
        str | None, Option("--format", metavar="KIND", help="yaml (default) or json")
    ] = None
    services: Annotated[bool, Option("--services", help="Only the services' names")] = False
    volumes: Annotated[bool, Option("--volumes", help="Only the volumes' names")] = False
    networks: Annotated[bool, Option("--networks", help="Only the networks' names")] = False
    models: Annotated[bool, Option("--models", help="Only the language models")] = False
    images: Annotated[bool, Option("--images", help="Only the images")] = False
    profiles: Annotated[bool, Option("--profiles", help="Only the profiles")] = False
    environment: Annotated[
        bool, Option("--environment", help="What variables are resolved with")
    ] = False
    variables: Annotated[
        bool, Option("--variables", help="The file's variables and their defaults")
    ] = False
    hash: Annotated[
        str | None,
        Option("--hash", metavar="SERVICES", help='Hash of these services, "*" for all'),
    ] = None
    quiet: Annotated[bool, Option("--quiet", "-q", help="Check, and print nothing")] = False
    output: Annotated[
        str | None, Option("--output", "-o", metavar="PATH", help="Write to a file")
    ] = None
    interpolate: Annotated[
        bool, Option("--no-interpolate", turns_off=True, help="Leave variables as they are written")
    ] = True
    normalize: Annotated[
        bool, Option("--no-normalize", turns_off=True, help="Leave out what is only implied")
    ] = True
    resolve_paths: Annotated[
        bool,
        Option("--no-path-resolution", turns_off=True, help="Leave relative paths as they are"),
    ] = True
    check_consistency: Annotated[
        bool,
        Option("--no-consistency", turns_off=True, help="Do not check services against each other"),
    ] = True
    resolve_env: Annotated[
        bool,
        Option("--no-env-resolution", turns_off=True, help="Do not read the services' env files"),
    ] = True
    resolve_image_digests: Annotated[
        bool, Option("--resolve-image-digests", help="Pin images to their digests")
    ] = False
    lock_image_digests: Annotated[
        bool, Option("--lock-image-digests", help="An override file with the digests alone")
    ] = False
    lint: Annotated[bool, Option("--lint", help="Report what is allowed and surely a mistake")] = (
        False
    )

    def __post_init__(self) -> None:
        if self.format not in (None, "yaml", "json"):
            raise InvalidArgument(f'unsupported format "{self.format}"', hint="yaml or json")

    @property
    def show(self) -> str | None:
        """The aspect to list, the first of `_ASPECTS` that is asked for; None for the whole."""
        return next((name for name in _ASPECTS if getattr(self, name) not in (False, None)), None)


def run_config(
    arguments: ConfigArguments, shared: GlobalOptions, write: Callable[[str], object]
) -> int:
    """Do what `stackr config` does; the text for stdout goes to `write`. Returns the exit code."""
    options = _load_options(arguments, shared)
    loaded = load_tree(options, os.environ, current_folder())
    if arguments.lint:
        return _lint(loaded, write)
    text = _text(arguments, loaded)
    if arguments.quiet:
        text = ""
    _warn(loaded.session.warnings)
    if arguments.output is not None and text:
        _save(arguments.output, text)
    elif text:
        write(text)
    return 0


def _load_options(arguments: ConfigArguments, shared: GlobalOptions) -> LoadOptions:
    listing = arguments.show in ("services", "volumes", "networks", "models", "hash")
    return LoadOptions(
        files=(*shared.files, *arguments.targets.files),
        project_directory=shared.project_directory,
        project_name=shared.project_name,
        profiles=tuple(shared.profiles),
        env_files=tuple(shared.env_files),
        services=() if listing else arguments.targets.services,
        interpolate=arguments.interpolate and arguments.show != "variables",
        normalize=arguments.normalize,
        resolve_paths=arguments.resolve_paths,
        check_consistency=arguments.check_consistency,
        all_resources=arguments.lint or shared.all_resources,
    )


def _text(arguments: ConfigArguments, loaded: Loaded) -> str:
    if arguments.show == "variables":
        return _variables(loaded, arguments.format)
    if not arguments.interpolate and arguments.show in (None, "services"):
        return _unresolved(arguments, loaded)
    whole = arguments.show in (None, "environment") and arguments.resolve_env
    project = resolve(loaded, env_files=whole)
    if arguments.show is not None:
        return "".join(f"{line}\n" for line in _LISTS[arguments.show](project, loaded, arguments))
    if arguments.check_consistency:
        check_container_names(project["services"], loaded.session.problems)
        loaded.session.problems.check()
    return _whole(arguments, loaded, project)


def _whole(arguments: ConfigArguments, loaded: Loaded, project: dict[str, Any]) -> str:
    in_yaml = arguments.format != "json"
    services = project["services"]
    if arguments.resolve_image_digests or arguments.lock_image_digests:
        _pin_images(services)
    name = loaded.found.name
    if arguments.lock_image_digests:
        name, project = "", {**{key: {} for key in project}, "services": _only_images(services)}
    tree = project_tree(name, project, yaml=in_yaml)
    return _dump(tree, arguments.format).replace("$", "$$")


def _only_images(services: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in service.items() if key == "image"}
        for name, service in services.items()
    }


def _unresolved(arguments: ConfigArguments, loaded: Loaded) -> str:
    """The tree with its variables as they are written; it cannot be typed."""
    tree = loaded.tree
    if arguments.show == "services":
        return "".join(f"{name}\n" for name in sorted(tree.get("services") or ()))
    for secret in (tree.get("secrets") or {}).values():
        if isinstance(secret, dict):
            secret.pop(SECRET_VALUE, None)
    if arguments.resolve_image_digests or arguments.lock_image_digests:
        _pin_images(tree.get("services") or {})
    if arguments.lock_image_digests:
        tree = {"services": _only_images(tree.get("services") or {})}
    if arguments.format == "json":
        tree = unresolved_tree(tree, normalized=arguments.normalize)
    return _dump(all_in_order(tree), arguments.format)


def _dump(tree: dict[str, Any], format_: str | None) -> str:
    if format_ == "json":
        return to_json(tree) + "\n"
    return to_yaml(tree)


def _variables(loaded: Loaded, format_: str | None) -> str:
    found = sorted(variables(loaded.tree).items())
    if format_ is not None:
        keys = ("Name", "DefaultValue", "PresenceValue", "Required")
        tree = {
            name: dict(zip(keys if format_ == "json" else map(str.lower, keys), each, strict=True))
            for name, each in found
        }
        text = _dump(tree, format_)
        return text if format_ == "json" else re.sub(r"(?m)^ +", lambda match: match[0] * 2, text)
    rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    rows += [
        (name, str(each.required).lower(), each.default, each.alternate) for name, each in found
    ]
    widths = [max(_MIN_WIDTH, 3 + max(len(row[column]) for row in rows)) for column in range(3)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) + "\n"
        for row in rows
    )


_Listing = Callable[[dict[str, Any], Loaded, ConfigArguments], Sequence[str]]


def _in_order(services: dict[str, Any]) -> list[str]:
    """Names of services, each after those that it depends on."""
    ordered: dict[str, None] = {}
    waiting = [(name, False) for name in sorted(services, reverse=True)]
    entered: set[str] = set()
    while waiting:
        name, leaving = waiting.pop()
        if leaving:
            ordered[name] = None
        elif name not in entered:
            entered.add(name)
            below = sorted(services[name].get("depends_on", {}), reverse=True)
            waiting.append((name, True))
            waiting += [(each, False) for each in below if each in services]
    return list(ordered)


def _hashes(project: dict[str, Any], loaded: Loaded, arguments: ConfigArguments) -> Sequence[str]:
    services = project["services"]
    platform = loaded.found.environment.get("DOCKER_DEFAULT_PLATFORM")
    for name, service in services.items():
        if platform and "build" in service:
            service.setdefault("platform", platform)
        _check_platform(name, service)
    wanted = list(services) if arguments.hash == "*" else (arguments.hash or "").split(",")
    for name in wanted:
        if name not in services:
            raise refuse(f"no such service: {name}", hint=nearest(name, services))
    return [f"{name} {service_hash(services[name])}" for name in sorted(wanted)]


def _check_platform(name: str, service: dict[str, Any]) -> None:
    platform, built = service.get("platform"), service.get("build", {}).get("platforms")
    if platform and built and platform not in built:
        raise refuse(f'service "{name}" build configuration does not support platform: {platform}')


def _images(project: dict[str, Any], loaded: Loaded, arguments: ConfigArguments) -> Sequence[str]:
    images = []
    for name, service in sorted(project["services"].items()):
        own = service.get("image") or f"{loaded.found.name}-{name}"
        images += [own, *(each["image"] for each in _steps(service) if each["image"] != own)]
    return images


def _steps(service: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of `pre_start` that name an image."""
    steps = service.get("pre_start") or ()
    return [each for each in steps if isinstance(each, dict) and each.get("image")]


def _profiles(project: dict[str, Any], loaded: Loaded, arguments: ConfigArguments) -> Sequence[str]:
    services = (*project["services"].values(), *project["disabled_services"].values())
    return sorted({profile for service in services for profile in service.get("profiles", ())})


def _environment(
    project: dict[str, Any], loaded: Loaded, arguments: ConfigArguments
) -> Sequence[str]:
    return sorted(f"{name}={value}" for name, value in loaded.found.environment.items())


_LISTS: dict[str, _Listing] = {
    "services": lambda project, loaded, arguments: _in_order(project["services"]),
    "volumes": lambda project, loaded, arguments: sorted(project["volumes"]),
    "networks": lambda project, loaded, arguments: sorted(project["networks"]),
    "models": lambda project, loaded, arguments: sorted(
        model["model"] for model in project["models"].values() if model.get("model")
    ),
    "hash": _hashes,
    "images": _images,
    "profiles": _profiles,
    "environment": _environment,
}


def _pin_images(services: dict[str, Any]) -> None:
    found = [each for each in services.values() if isinstance(each, dict)]
    named = [each for each in found if each.get("image")]
    named += (step for service in found for step in _steps(service))
    # Not at the top: the registry's client, of aiohttp, takes as long as all else that config does.
    from stackr.stack.digests import pin

    pinned = pin(each["image"] for each in named)
    for service in named:
        service["image"] = pinned[service["image"]]


def _lint(loaded: Loaded, write: Callable[[str], object]) -> int:
    project = resolve(loaded)
    check_container_names(project["services"], loaded.session.problems)
    loaded.session.problems.check()
    for warning in lint(loaded, project, missing_file):
        write(visible(f"{warning}\n"))
    return 0


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        sys.stderr.write(visible(f"stackr: warning: {warning}\n"))


def _save(output: str, text: str) -> None:
    try:
        Path(output).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise StackrError(f"cannot write {output}: {(error.strerror or '').lower()}") from error


@takes(ConfigArguments)
def config(ctx: typer.Context, arguments: ConfigArguments) -> int:
    """Check the stack file, and print it resolved."""
    shared = options_of(ctx)
    if shared.json:
        _check_json(arguments)
        arguments = replace(arguments, format="json")
    return run_config(arguments, shared, _write)


def _check_json(arguments: ConfigArguments) -> None:
    """Raises InvalidArgument for an aspect that is listed in plain lines only."""
    plain = {f"--{name}": arguments.show == name for name in _ASPECTS if name != "variables"}
    check_plain(True, {"--quiet": arguments.quiet, "--lint": arguments.lint, **plain})


def _write(text: str) -> None:
    """A program gets values as they are, a person sees what would act on the terminal."""
    text = visible(text) if sys.stdout.isatty() else text
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
