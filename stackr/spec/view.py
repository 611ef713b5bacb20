"""Stands in for the models of a stack file until pydantic is really needed.

To import pydantic and define the models takes longer than to read a stack file and find that
nothing has changed. A view has the attributes of its model and makes each one from the typed tree
when it is asked for; anything else (methods, `isinstance`, equality, a dump) goes to the model
itself, which is made then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from stackr.spec.decode import EXTENSIONS, Struct

__all__ = ["View", "construct", "given", "value_of", "view"]


class View:
    """One struct's typed value, seen as its model.

    own: attributes that are not from the tree, such as a service's name. methods: those of the
    model's methods that work without it. finish: what is to be done to the model when it is made.
    """

    __slots__ = ("_finish", "_held", "_model", "_own", "_struct", "_value")

    def __init__(
        self,
        struct: Struct,
        value: Mapping[str, Any],
        own: Mapping[str, Any] = MappingProxyType({}),
        methods: Mapping[str, Any] = MappingProxyType({}),
        finish: Callable[[Any], None] | None = None,
    ) -> None:
        self._struct, self._value, self._own, self._finish = struct, value, own, finish
        self._held: dict[str, Any] = {"extensions": value.get(EXTENSIONS, {}), **own, **methods}
        self._model: Any = None

    def __getattr__(self, name: str) -> Any:
        held = self._held
        if name in held:
            return held[name]
        field = self._struct.fields.get(name)
        if field is None:
            return getattr(self._real(), name)
        value = self._value.get(name)
        held[name] = field.kind.absent(view) if value is None else field.kind.hold(value, view)
        return held[name]

    def _real(self) -> Any:
        """The pydantic model itself."""
        if self._model is None:
            own = {name: _solid(value) for name, value in self._own.items()}
            self._model = construct(self._struct, self._value, own)
            if self._finish is not None:
                self._finish(self._model)
        return self._model

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """So that `isinstance` sees the model."""
        return self._struct.model_class()

    def __eq__(self, other: object) -> bool:
        if other is None:
            return False
        return bool(self._real() == (other._real() if type(other) is View else other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._real())


def value_of(model: Any) -> Mapping[str, Any]:
    """The typed value behind a view. Raises TypeError for a model that is none."""
    if type(model) is not View:
        raise TypeError(f"{type(model).__name__} has no typed value behind it")
    return model._value


def view(struct: Struct, value: Mapping[str, Any]) -> Any:
    """A struct's typed value as a view of its model."""
    return View(struct, value)


def construct(
    struct: Struct, value: Mapping[str, Any], own: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """A struct's typed value as its pydantic model, unchecked: the tree has been."""
    arguments = {
        key: struct.fields[key].kind.hold(entry, construct)
        for key, entry in value.items()
        if key in struct.fields and key not in own
    }
    if EXTENSIONS in value and "extensions" not in own:
        arguments["extensions"] = value[EXTENSIONS]
    return struct.model_class().model_construct(**arguments, **own)


def given(model: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of a model, or a view of one, that differ from what they are when left out.

    `extensions` are not among them, nor what a view has of its own.
    """
    if type(model) is not View:
        fields = type(model).model_fields
        for name, value in model.__dict__.items():
            if name != "extensions" and value != fields[name].default:
                yield name, value
        return
    for name in model._value:
        field = model._struct.fields.get(name)
        if field is not None:
            value = getattr(model, name)
            if _differs(value, field.kind.absent(view)):
                yield name, value


def _differs(value: Any, absent: Any) -> bool:
    if type(value) is View:
        return absent is None or any(True for _ in given(value))
    return bool(value != absent)


def _solid(value: Any) -> Any:
    """Models where there are views."""
    if type(value) is View:
        return value._real()
    if isinstance(value, Mapping):
        return {key: _solid(entry) for key, entry in value.items()}
    return value
