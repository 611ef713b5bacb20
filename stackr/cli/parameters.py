"""Parameters that take their words as they are, without Typer's conversion.

Typer converts each value with pydantic, even one that is a string and stays one; to import that
takes longer than most commands do. Other types (numbers, choices) still go through it.
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
class _Flag(RuntimeParam):
    """A flag is a boolean already, but where it comes from a variable of the environment."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        if isinstance(value, bool):
            return value
        descriptor = resolve_type_descriptor(self.annotation, self.parameter_info)
        return build_runtime_param(descriptor).coerce(value, param=param, ctx=ctx)


_KINDS: dict[Any, type[RuntimeParam]] = {str: _Word, list[str]: _Words, bool: _Flag}


def keep_words(parameters: Iterable[Parameter]) -> None:
    """Spare strings and flags the conversion."""
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        kind = _KINDS.get(descriptor.annotation) if descriptor is not None else None
        if descriptor is not None and kind is not None:
            runtime = kind(descriptor.parameter_info, descriptor.annotation)
            setattr(parameter, "_runtime_param", runtime)  # noqa: B010


class QuickCommand(TyperCommand):
    """A command whose `--help` is spared it as well."""

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        option = super().get_help_option(ctx)
        keep_words([option] if option is not None else [])
        return option
