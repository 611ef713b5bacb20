"""Where everything answers, told to the command, to files, and to the reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stackr.cli.testenv.blueprint import Blueprint, engine_host
from stackr.cli.testenv.variables import (
    Address,
    Member,
    dotenv,
    reached_from,
    services_json,
    variables,
)
from stackr.errors import StackrError
from stackr.runtime import labels
from stackr.runtime.types import ContainerState

if TYPE_CHECKING:
    from stackr.cli.session import Session

__all__ = ["environment_of", "member_of", "tell_environment"]

_DETAILS = ("_HOST", "_PORT", "_URL")


def member_of(container: ContainerState, blueprint: Blueprint) -> Member:
    """A container, with its ports as they are reached from here."""
    service = container.labels.get(labels.SERVICE, "")
    number = container.labels.get(labels.CONTAINER_NUMBER, "")
    published = (
        Address(
            port.container_port,
            port.host_ip,
            port.host_port,
            port.protocol,
            blueprint.scheme_of(service, port.container_port),
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
        ports=reached_from(engine_host(blueprint.options), published),
    )


def environment_of(project: str, members: Sequence[Member]) -> tuple[dict[str, str], list[str]]:
    """The variables of the command, and the names that are left out, as they would be unclear."""
    found, unclear = variables(members)
    values = {"STACKR_PROJECT": project, **found, "STACKR_SERVICES": services_json(members)}
    return values, [name for name in unclear if not name.endswith(_DETAILS)]


def tell_environment(
    session: Session, blueprint: Blueprint, members: Sequence[Member], values: Mapping[str, str]
) -> None:
    """Raises StackrError where the ports' file cannot be written."""
    for member in members:
        for address in member.ports:
            protocol = "" if address.protocol == "tcp" else f"/{address.protocol}"
            port = f"{member.service}:{address.container_port}{protocol}"
            session.view.message(f"  {port}  {address.text}")
    if session.is_json:
        told = {"event": "environment", "project": blueprint.name, "variables": values}
        session.out.line(json.dumps(told))
    if blueprint.arguments.ports_file is not None:
        _write(blueprint, values)
    if blueprint.arguments.print_env is not None:
        is_json = blueprint.arguments.print_env == "json"
        session.out.stream.write(_as_json(values) if is_json else dotenv(values))
        session.out.stream.flush()


def _write(blueprint: Blueprint, values: Mapping[str, str]) -> None:
    from stackr.cli.testenv.files import write_whole

    path = blueprint.arguments.ports_file
    assert path is not None
    try:
        write_whole(path, _as_json(values) if path.suffix == ".json" else dotenv(values))
    except OSError as error:
        raise StackrError(f"cannot write {path}: {(error.strerror or '').lower()}") from error


def _as_json(values: Mapping[str, str]) -> str:
    """STACKR_SERVICES as what it holds."""
    services = json.loads(values["STACKR_SERVICES"])
    return json.dumps({**values, "STACKR_SERVICES": services}, indent=2) + "\n"
