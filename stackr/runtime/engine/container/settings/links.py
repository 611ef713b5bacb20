"""Links, by which containers of the default bridge knew each other before networks had names; pure.

A link is stored as "ID:alias": the other container may be renamed. Source: Docker's "Legacy
container links"; moby's daemon/links, which says what goes into the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.settings.spec import Config

__all__ = ["Link", "link_environment", "link_hosts", "parse_link"]

_OWN = ("HOME", "PATH")


@dataclass(frozen=True, slots=True)
class Link:
    """Another container as one knows it.

    address: on the default bridge. path: "/web/db", of the one that knows it, and the alias.
    """

    name: str
    hostname: str
    path: str
    address: str
    config: Config

    @property
    def alias(self) -> str:
        return self.path.rpartition("/")[2]


def parse_link(text: str) -> tuple[str, str]:
    """ "db:database" or "db": the container, and its alias. Raises InvalidArgument."""
    name, *rest = text.split(":")
    if not name or len(rest) > 1 or (rest and not rest[0]):
        raise InvalidArgument(f"bad format for links: {text}")
    alias = rest[0] if rest else name
    return name.removeprefix("/"), alias.rpartition("/")[2]


def link_hosts(links: Iterable[Link]) -> list[tuple[str, str]]:
    """Address and names, for the hosts file."""
    return [
        (link.address, " ".join(dict.fromkeys((link.alias, link.hostname, link.name))))
        for link in links
        if link.address
    ]


def link_environment(links: Iterable[Link]) -> list[str]:
    """NAME=value, for each port and variable of the other container."""
    return [entry for link in links for entry in _entries(link)]


def _entries(link: Link) -> Iterator[str]:
    prefix = link.alias.upper().replace("-", "_")
    ports = sorted(link.config.exposed_numbers, key=lambda port: (port[1] != "tcp", port))
    for number, (port, protocol) in enumerate(ports):
        url = f"{protocol}://{link.address}:{port}"
        if number == 0:
            yield f"{prefix}_PORT={url}"
        name = f"{prefix}_PORT_{port}_{protocol.upper()}"
        yield f"{name}={url}"
        yield f"{name}_ADDR={link.address}"
        yield f"{name}_PORT={port}"
        yield f"{name}_PROTO={protocol}"
    yield f"{prefix}_NAME={link.path}"
    for entry in link.config.env:
        name, is_set, value = entry.partition("=")
        if is_set and name not in _OWN:
            yield f"{prefix}_ENV_{name}={value}"
