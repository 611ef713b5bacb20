"""Parameters that take their words as they are, without Typer's conversion.

Typer converts each value with pydantic, even one that is a string and stays one; to import that
takes longer than most commands do. Other types (numbers, choices) go through it when a value is
given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typer._coercion import RuntimeParam, build_runtime_param, resolve_type_descriptor
from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context, Parameter
    from typer.core import TyperOption

__all__ = ["QuickCommand", "keep_words"]


@dataclass(frozen=True)
class _Word(RuntimeParam):
    """A string stays the string that was given."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        return value


@dataclass(frozen=True)
class _Words(RuntimeParam):
    """Several strings become a list of them."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        return list(value)


@dataclass(frozen=True)
class _Late(RuntimeParam):
    """Typer's own conversion, prepared once there is a value."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        descriptor = resolve_type_descriptor(self.annotation, self.parameter_info)
        return build_runtime_param(descriptor).coerce(value, param=param, ctx=ctx)


@dataclass(frozen=True)
class _Flag(_Late):
    """A flag is a boolean already, but where it comes from a variable of the environment."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        if isinstance(value, bool):
            return value
        return super()._coerce_value(value, param, ctx)


_KINDS: dict[Any, type[RuntimeParam]] = {str: _Word, list[str]: _Words, bool: _Flag}


def keep_words(parameters: Iterable[Parameter]) -> None:
    """Spare strings and flags the conversion, and the others until they are given."""
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        if descriptor is not None:
            kind = _KINDS.get(descriptor.annotation, _Late)
            runtime = kind(descriptor.parameter_info, descriptor.annotation)
            setattr(parameter, "_runtime_param", runtime)  # noqa: B010


class QuickCommand(TyperCommand):
    """A command whose `--help` is spared it as well."""

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        option = super().get_help_option(ctx)
        keep_words([option] if option is not None else [])
        return option
