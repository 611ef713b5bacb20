"""`stackr build`: the services' images, without touching containers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import typer

from stackr.build.cache_entry import CacheSource, CacheTarget, parse_source, parse_target
from stackr.cli.build_check import check_builds
from stackr.cli.declared import Group, Words, takes
from stackr.cli.options import options_of
from stackr.cli.session import Session, open_session
from stackr.cli.source import source_of
from stackr.cli.streams import join
from stackr.cli.targets import Targets
from stackr.errors import InvalidArgument, StackrError
from stackr.options import Option
from stackr.planner.desired.image_build import BuildOptions, build_order, image_build
from stackr.planner.images.pushing import plan_push
from stackr.planner.observe.observed import observe
from stackr.runtime.image_build import ImageBuild
from stackr.runtime.protocol import Runtime, Streams
from stackr.spec.model.project import Project
from stackr.spec.units import parse_size
from stackr.stack.build import build_images, chosen_builds, of_images
from stackr.stack.oneoff import Converse, Kill
from stackr.stack.planning import desire

__all__ = ["build"]


@dataclass(frozen=True, slots=True)
class BuildArguments:
    """`stackr build`. build_args, uncached, agents, memory: as they were given."""

    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    options: Annotated[BuildOptions, Group(("pull", "no_cache", "debug"))] = field(
        default_factory=BuildOptions
    )
    build_args: Annotated[
        tuple[str, ...],
        Option("--build-arg", metavar="KEY=VALUE", help="Set a build argument"),
    ] = ()
    uncached: Annotated[
        tuple[str, ...],
        Option(
            "--no-cache-filter", metavar="STAGE", help="Run every step of this stage, cached or not"
        ),
    ] = ()
    with_dependencies: Annotated[
        bool, Option("--with-dependencies", help="What the named services need as well")
    ] = False
    push: Annotated[bool, Option("--push", help="Push the images afterwards")] = False
    print: Annotated[bool, Option("--print", help="Print what would be built, as a bake file")] = (
        False
    )
    agents: Annotated[
        tuple[str, ...],
        Option("--ssh", metavar="ID=SOCKET", help="Give the steps an ssh agent"),
    ] = ()
    cache_from: Annotated[
        tuple[str, ...],
        Option(
            "--cache-from",
            metavar="SOURCE",
            help="Use cached steps from there: type=registry,ref=…",
        ),
    ] = ()
    cache_to: Annotated[
        tuple[str, ...],
        Option(
            "--cache-to", metavar="TARGET", help="Save the cached steps there: type=local,dest=…"
        ),
    ] = ()
    memory: Annotated[
        str | None, Option("--memory", "-m", metavar="BYTES", help="Most memory of each step")
    ] = None
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress")] = False
    quiet_build: Annotated[
        bool, Option("--quiet-build", help="Build without showing how far it is")
    ] = False
    check: Annotated[bool, Option("--check", help="Build nothing; check the Dockerfiles")] = False


@takes(BuildArguments)
def build(ctx: typer.Context, arguments: BuildArguments) -> int:
    """Build the services' images."""
    options, targets = options_of(ctx), arguments.targets
    if arguments.quiet:
        options = options.silent()
    if arguments.options.debug and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidArgument("--debug: the input or the output is not a terminal")
    with open_session(options) as session:
        project = source_of(options, targets.files).load(targets.services)
        build_options = _resolved(arguments, project)
        if arguments.print or arguments.check:
            builds = _builds(project, targets.services, build_options)
            return check_builds(session, builds) if arguments.check else _print(session, builds)
        told = session.quieter(builds=arguments.quiet_build)
        return _build(told, project, arguments, build_options)


def _resolved(arguments: BuildArguments, project: Project) -> BuildOptions:
    """The options of the build, with what the stack's environment says of them."""
    return replace(
        arguments.options,
        arguments=_arguments(arguments.build_args, project),
        no_cache_filter=_stages(arguments.uncached),
        ssh=_agents(arguments.agents, project),
        memory_bytes=_bytes(arguments.memory),
        cache_from=tuple(map(_source, arguments.cache_from)),
        cache_to=tuple(map(_target_of, arguments.cache_to)),
    )


def _build(
    session: Session, project: Project, arguments: BuildArguments, options: BuildOptions
) -> int:
    up_options = chosen_builds(project, arguments.targets.services)
    if arguments.with_dependencies:
        up_options = replace(up_options, no_deps=False)
    if not up_options.services:
        session.view.warning("no service has a build section")
        return 0
    wanted = desire(of_images(project), up_options, engine=session.options.engine)
    context = session.context(project)

    async def work(runtime: Runtime) -> int:
        code = await build_images(
            context, runtime, wanted, up_options, options, converse=_conversation(session)
        )
        if code or not arguments.push:
            return code
        observed = await observe(runtime, wanted.project, wanted)
        named = {
            name: each
            for name, each in wanted.services.items()
            if each.is_built and each.service.image is not None
        }
        return await context.run_plan(
            plan_push(replace(wanted, services=named), observed, ()), runtime
        )

    return session.on_engine(work)


def _conversation(session: Session) -> Converse:
    """A shell on the caller's terminal, which a failure is followed by."""

    async def converse(streams: Streams, kill: Kill) -> bool:
        session.err.line("a shell in the state before the step; it is gone with its end")
        return await join(streams, tty=True, stdin=True)

    return converse


def _builds(
    project: Project, services: tuple[str, ...], options: BuildOptions
) -> dict[str, ImageBuild]:
    """By service, each after those that it is built from."""
    names = chosen_builds(project, services).services
    every = {**project.disabled_services, **project.services}
    return {
        name: image_build(project, every[name], options) for name in build_order(project, names)
    }


def _print(session: Session, builds: dict[str, ImageBuild]) -> int:
    """Source: docker/buildx, bake file reference; docker/compose, `build --print`."""
    document = {
        "group": {"default": {"targets": sorted(builds)}},
        "target": {name: _target(each) for name, each in sorted(builds.items())},
    }
    session.out.line(json.dumps(document, indent=2, ensure_ascii=False))
    return 0


def _target(build: ImageBuild) -> dict[str, Any]:
    values: dict[str, Any] = {
        "context": build.context,
        "contexts": dict(build.contexts),
        "dockerfile": build.dockerfile if build.dockerfile_text is None else None,
        "dockerfile-inline": build.dockerfile_text,
        "args": dict(build.arguments),
        "labels": dict(build.labels),
        "tags": list(build.tags),
        "target": build.target,
        "secret": [f"id={id},src={each.file}" for id, each in build.secrets.items() if each.file],
        "ssh": [f"{id}={path}" for id, path in build.ssh.items()],
        "no-cache": build.no_cache,
        "no-cache-filter": list(build.no_cache_filter),
        "cache-from": [_entry(each.ref, "src", each.path) for each in build.cache_from],
        "cache-to": [
            _entry(each.ref, "dest", each.path) + (",mode=max" if each.is_max else "")
            for each in build.cache_to
        ],
        "pull": build.pull,
        "network": build.network,
        "extra-hosts": list(build.extra_hosts),
        "shm-size": str(build.shm_size_bytes or ""),
        "platforms": [build.platform] if build.platform else [],
        "output": ["type=docker"],
    }
    return {name: value for name, value in values.items() if value}


def _entry(ref: str, key: str, path: str) -> str:
    if path:
        return f"type=local,{key}={path}"
    return f"type=registry,ref={ref}" if ref else "type=inline"


def _arguments(texts: Sequence[str], project: Project) -> dict[str, str]:
    """`KEY` alone takes the value that the stack sees; without one it is left out."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key:
            raise InvalidArgument(f'--build-arg: "{text}": KEY=VALUE is expected')
        if equals or key in project.environment:
            found[key] = value if equals else project.environment[key]
    return found


def _source(text: str) -> CacheSource:
    """Folders are relative to the current one."""
    found = parse_source(text)
    return replace(found, path=os.path.abspath(found.path) if found.path else "")


def _target_of(text: str) -> CacheTarget:
    found = parse_target(text)
    return replace(found, path=os.path.abspath(found.path) if found.path else "")


def _stages(texts: Sequence[str]) -> tuple[str, ...]:
    """Also separated by commas, as Docker has it."""
    stages = [stage for text in texts for stage in text.split(",")]
    if not all(stages):
        raise InvalidArgument("--no-cache-filter: the name of a stage is expected")
    return tuple(stages)


def _agents(texts: Sequence[str], project: Project) -> dict[str, str]:
    found = {}
    for text in texts:
        id, _, path = text.partition("=")
        path = path or (project.environment.get("SSH_AUTH_SOCK", "") if id == "default" else "")
        if not id or not path:
            raise InvalidArgument(
                f'--ssh: "{text}": ID=SOCKET is expected, or default with an agent'
            )
        found[id] = path
    return found


def _bytes(text: str | None) -> int:
    if text is None:
        return 0
    try:
        return parse_size(text)
    except (ValueError, StackrError) as error:
        raise InvalidArgument(f"--memory: {text}: {error}") from error
