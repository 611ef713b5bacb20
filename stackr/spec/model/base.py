"""What every model of a stack file shares: frozen, no unknown fields, `x-*` kept in `extensions`.

The models hold the canonical form: each short syntax is expanded, each path absolute, each value
typed. `stackr.spec.decode` makes them from a tree that it has checked; built by hand (as tests do)
they check their own arguments. Units are those of the types in `stackr.spec.values`.

A field is the one declaration of its attribute: what stands in its `Annotated` is in the words of
`stackr.spec.attribute`. The annotations are values here, not texts, which pydantic would have to
compile.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from stackr.spec.decode import Struct


class Model(BaseModel):
    """A frozen value; its schema is only built when something validates or dumps it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    read_as: ClassVar[type[Struct]] = Struct
    """How it is read from a file and written out."""

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
