"""What every model of a stack file shares: frozen, no unknown fields, `x-*` kept in `extensions`.

The models hold the canonical form: each short syntax is expanded, each path absolute, each value
typed. `stackr.spec.decode` makes them from a tree that it has checked; built by hand (as tests do)
they check their own arguments. Units are those of the names in `Duration` and `Bytes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict

Duration: TypeAlias = float
"""Seconds."""
Bytes: TypeAlias = int
"""A size in bytes."""


class Model(BaseModel):
    """A frozen value; its schema is only built when something validates or dumps it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    extensions: dict[str, Any] = {}


def given(model: Model) -> Iterator[tuple[str, Any]]:
    """The attributes of a model that differ from what they are when left out, in their order.

    `extensions` are not among them.
    """
    was_set = model.model_fields_set
    for name, field in type(model).model_fields.items():
        if name in was_set and name != "extensions":
            value = getattr(model, name)
            if value != field.default:
                yield name, value
