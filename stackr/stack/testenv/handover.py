"""Where everything answers, told to the command, to files, and to the reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stackr.errors import StackrError
from stackr.runtime import labels
from stackr.runtime.types import ContainerState
from stackr.stack.address import engine_host
from stackr.stack.context import Context
from stackr.stack.events import EnvironmentReady
from stackr.stack.testenv.blueprint import Blueprint
from stackr.stack.testenv.files import COMMAND_FOLDER, write_whole
from stackr.stack.testenv.variables import (
    Address,
    Member,
    dotenv,
    reached_from,
    services_json,
    variables,
)

__all__ = ["as_json", "environment_of", "member_of", "tell_environment"]

_DETAILS = ("_HOST", "_PORT", "_URL")


def member_of(
    container: ContainerState, scheme_of: Callable[[str, int], str], engine: str | None
) -> Member:
    """A container, with its ports as they are reached from here.

    scheme_of: a service's container port -> the scheme of its URL, or "".
    """
    service = container.labels.get(labels.SERVICE, "")
    number = container.labels.get(labels.CONTAINER_NUMBER, "")
    published = (
        Address(
            port.container_port,
            port.host_ip,
            port.host_port,
            port.protocol,
            scheme_of(service, port.container_port),
        )
        for port in container.ports
        if port.host_port
    )
    return Member(
        service=service,
        number=int(number) if number.isdecimal() else 0,
        name=container.name,
        id=container.id,
        state=container.state,
        health=container.health,
        addresses={e.network: e.ipv4_address or e.ipv6_address for e in container.networks},
        ports=reached_from(engine_host(engine), published),
    )


def environment_of(
    project: str, members: Sequence[Member], *, artifacts: Path | None = None
) -> tuple[dict[str, str], list[str]]:
    """The variables of the command, and the names that are left out, as they would be unclear.

    artifacts: the folder of the dossier, in which the command has one of its own.
    """
    found, unclear = variables(members)
    values = {"STACKR_PROJECT": project, **found, "STACKR_SERVICES": services_json(members)}
    if artifacts is not None:
        values["STACKR_ARTIFACTS"] = str((artifacts / COMMAND_FOLDER).absolute())
    return values, [name for name in unclear if not name.endswith(_DETAILS)]


def tell_environment(context: Context, blueprint: Blueprint, ready: EnvironmentReady) -> None:
    """Raises StackrError where the ports' file cannot be written."""
    context.report(ready)
    if blueprint.arguments.ports_file is not None:
        _write(blueprint, ready.variables)


def _write(blueprint: Blueprint, values: Mapping[str, str]) -> None:
    path = blueprint.arguments.ports_file
    assert path is not None
    try:
        write_whole(path, as_json(values) if path.suffix == ".json" else dotenv(values))
    except OSError as error:
        raise StackrError(f"cannot write {path}: {(error.strerror or '').lower()}") from error


def as_json(values: Mapping[str, str]) -> str:
    """STACKR_SERVICES as what it holds."""
    services = json.loads(values["STACKR_SERVICES"])
    return json.dumps({**values, "STACKR_SERVICES": services}, indent=2) + "\n"
