"""`stackr container` and its kin: a group that imports a command's module when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from stackr.cli.objects.command import (
    ObjectCommand,
    engine_options,
    parser_of,
    refuse_stack_options,
)
from stackr.cli.parameters import CommandGroup
from stackr.errors import NotSupported

__all__ = ["ObjectGroup", "Sub"]

_HELP = ("-h", "--help")


@dataclass(frozen=True, slots=True)
class Sub:
    """One command of a group: its module in `stackr.cli.objects`, the function, its help line."""

    module: str
    attribute: str
    help: str
    aliases: tuple[str, ...] = ()
    hidden: bool = False
    takes_json: bool = False


class ObjectGroup(CommandGroup):
    """`stackr NAME COMMAND`, where the commands are rows of a table.

    absent: why there is none, by the names of docker's that are no rows.
    """

    def __init__(
        self, name: str, help: str, subs: Mapping[str, Sub], absent: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            name=name,
            help=help,
            params=engine_options(),
            no_args_is_help=True,
            context_settings={"help_option_names": list(_HELP)},
            rich_markup_mode=None,
        )
        self._subs = dict(subs)
        self._absent = dict(absent or {})
        self._names = {alias: name for name, sub in subs.items() for alias in (name, *sub.aliases)}

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, sub in self._subs.items() if not sub.hidden]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        name = self._names.get(cmd_name)
        return None if name is None else _loaded(name, self._subs[name])

    def parsers(self) -> Mapping[str, ObjectCommand]:
        """Those of all its commands, which are imported for it."""
        return {name: _loaded(name, sub) for name, sub in self._subs.items() if not sub.hidden}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name = self._names.get(args[0])
        if name is not None:
            taken = ("json",) if self._subs[name].takes_json else ()
            refuse_stack_options(self.name or "", ctx.find_root().obj, taken)
            return name, self.get_command(ctx, name), args[1:]
        if args[0] in self._absent:
            raise NotSupported(f"{self.name} {args[0]}: not supported: {self._absent[args[0]]}")
        near = difflib.get_close_matches(args[0], self._subs, n=1)
        hint = f', did you mean "{near[0]}"?' if near else ""
        return ctx.fail(f'unknown command "{self.name} {args[0]}"{hint}')  # type: ignore[no-any-return]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            refuse_stack_options(self.name or "", ctx.find_root().obj)
        return super().parse_args(ctx, args)

    def sections(self) -> Mapping[str, list[tuple[str, str]]]:
        """The commands with their help lines, none of which is imported for it."""
        shown = [(name, sub.help) for name, sub in self._subs.items() if not sub.hidden]
        return {"Commands": shown}


@cache
def _loaded(name: str, sub: Sub) -> ObjectCommand:
    module = import_module(f"stackr.cli.objects.{sub.module}")
    settings = getattr(module, "CONTEXT_SETTINGS", {}).get(name, {})
    return parser_of(name, getattr(module, sub.attribute), sub.help, settings)
