"""The options of an engine's start, and the keys of its configuration file that they stand for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from stackr.errors import InvalidArgument
from stackr.options import Option, declared
from stackr.runtime.engine.config import EngineConfig

__all__ = ["EngineArguments"]

_PLURAL = {"host": "hosts", "insecure_registry": "insecure-registries"}
_NO_OPTIONS = ("config_file", "foreground")


@dataclass(frozen=True, slots=True)
class EngineArguments:
    """As dockerd has them; what is not given is as the configuration file says."""

    data_root: Annotated[
        str | None,
        Option("--data-root", metavar="DIR", help="Where images, volumes and records are kept"),
    ] = None
    exec_root: Annotated[
        str | None, Option("--exec-root", metavar="DIR", help="Where the socket and the log are")
    ] = None
    config_file: Annotated[
        str | None,
        Option("--config-file", metavar="FILE", help="Options as JSON (/etc/stackr/engine.json)"),
    ] = None
    foreground: Annotated[
        bool, Option("--foreground", help="Stay in front until SIGTERM or Ctrl-C; for systemd")
    ] = False
    host: Annotated[
        tuple[str, ...],
        Option(
            "--host",
            "-H",
            metavar="ADDRESS",
            help="Listen there, too: unix://PATH, tcp://ADDRESS:PORT, fd://",
        ),
    ] = ()
    group: Annotated[
        str | None,
        Option("--group", "-G", metavar="NAME", help="Who may use the socket without being root"),
    ] = None
    tls: Annotated[bool, Option("--tls", help="Speak TLS at tcp:// addresses")] = False
    tlsverify: Annotated[
        bool, Option("--tlsverify", help="The same, and ask clients for a certificate")
    ] = False
    tlscacert: Annotated[
        str | None, Option("--tlscacert", metavar="FILE", help="Who signs clients' certificates")
    ] = None
    tlscert: Annotated[
        str | None, Option("--tlscert", metavar="FILE", help="The engine's certificate")
    ] = None
    tlskey: Annotated[
        str | None, Option("--tlskey", metavar="FILE", help="The engine's private key")
    ] = None
    allow_unauthenticated_tcp: Annotated[
        bool,
        Option(
            "--allow-unauthenticated-tcp",
            help="Let whoever reaches a tcp:// address be root here",
        ),
    ] = False
    insecure_registry: Annotated[
        tuple[str, ...],
        Option(
            "--insecure-registry", metavar="HOST[:PORT]", help="Use plain HTTP with this registry"
        ),
    ] = ()

    def flags(self) -> dict[str, Any]:
        """What is given, by the keys of the configuration file."""
        found = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name not in _NO_OPTIONS and value != each.default:
                key = _PLURAL.get(each.name, each.name.replace("_", "-"))
                found[key] = list(value) if isinstance(value, tuple) else value
        return found

    def config(self) -> EngineConfig:
        """Raises InvalidArgument for options that are none, in the file or given."""
        file = Path(self.config_file) if self.config_file is not None else None
        config = EngineConfig.from_environment(file=file, flags=self.flags())
        try:
            config.live.options = config.read_options()
        except InvalidArgument as error:
            raise InvalidArgument(self._in_flags(error.message), hint=error.hint) from error
        return config

    def _in_flags(self, message: str) -> str:
        """The option as it was typed, for an error in one of the flags."""
        if not message.startswith("flags: "):
            return message
        key, _, why = message.removeprefix("flags: ").partition(": ")
        names = {_PLURAL.get(name, name.replace("_", "-")): name for name in declared(type(self))}
        _, option = declared(type(self))[names[key]]
        return f"{option.spellings[0]}: {why}"
