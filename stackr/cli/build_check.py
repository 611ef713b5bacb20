"""`stackr build --check`: what is amiss in the Dockerfiles of a stack, with nothing built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from stackr.build.context import ignore_of
from stackr.build.errors import DockerfileError
from stackr.build.inputs import image_names
from stackr.build.lint import Finding, Surroundings, check
from stackr.build.settings import environment
from stackr.cli.interrupts import run_interruptible
from stackr.cli.session import Session
from stackr.errors import NotFound, StackrError
from stackr.runtime.connect import connect
from stackr.runtime.image_build import ImageBuild, is_remote
from stackr.runtime.protocol import SupportsBuild
from stackr.stack.build_records import aliases_of, dockerfile_of, stage_plan

__all__ = ["check_builds"]


def check_builds(session: Session, builds: Mapping[str, ImageBuild]) -> int:
    """1 where anything is amiss. What two services share is checked once.

    builds: by service. Raises DockerfileError for what does not build at all.
    """
    seen: set[tuple[object, ...]] = set()
    checked: dict[str, tuple[ImageBuild, bytes]] = {}
    for name, each in builds.items():
        if is_remote(each.context):
            session.view.warning(f"{name}: {each.context} is fetched, and not checked")
            continue
        text = dockerfile_of(each)
        key = (text, each.context, each.dockerfile, each.target, *sorted(each.arguments.items()))
        if key not in seen:
            seen.add(key)
            checked[name] = each, text
    known = run_interruptible(_environments(session, [each for each, _ in checked.values()]))
    amiss = 0
    for name, (each, text) in checked.items():
        for finding in check(text, each.arguments, _surroundings(each, known)):
            amiss += 1
            _tell(session, name, each, finding)
    if not amiss and not session.is_json:
        session.out.line("Check complete, no warnings found.")
    return 1 if amiss else 0


def _surroundings(build: ImageBuild, known: Mapping[str, Mapping[str, str]]) -> Surroundings:
    aliases = aliases_of(build)
    return Surroundings(
        ignore_of(Path(build.context), build.dockerfile),
        lambda name: known.get(aliases.get(name, name)),
        build.target,
    )


async def _environments(session: Session, builds: list[ImageBuild]) -> dict[str, Mapping[str, str]]:
    """The variables of the images that are built on, as far as a running engine has them."""
    names: set[str] = set()
    for each in builds:
        try:
            names.update(image_names(stage_plan(each), aliases_of(each)))
        except DockerfileError:
            continue  # it is told where it is checked
    found: dict[str, Mapping[str, str]] = {}
    if not names:
        return found
    try:
        async with await connect(session.options.engine, read_only=True, start=False) as runtime:
            if isinstance(runtime, SupportsBuild):
                for name in sorted(names):
                    try:
                        found[name] = environment((await runtime.image_config(name))[1])
                    except NotFound:
                        continue
    except StackrError:
        return found  # no engine runs: nothing is known of images
    return found


def _tell(session: Session, service: str, build: ImageBuild, finding: Finding) -> None:
    file = "dockerfile_inline" if build.dockerfile_text is not None else build.dockerfile
    if session.is_json:
        document = {"service": service, "file": file, "line": finding.line}
        document |= {"rule": finding.rule, "text": finding.text}
        session.out.line(json.dumps({"event": "check", **document}))
    else:
        where = f"{service}: {file}:{finding.line}"
        session.out.line(f"{where}: {finding.rule}: {finding.text}")
