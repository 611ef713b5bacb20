"""`${VARIABLE}` in values, with all of its forms, and the casts of what comes out.

`$$` is a dollar; `${A:-b}`, `${A-b}`, `${A:?why}`, `${A?why}`, `${A:+b}`, `${A+b}` nest. As Docker
Compose does, the part after the operator is resolved even where it is not used.
Source: compose-go, template/template.go and loader/interpolate.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from stackr.spec import attribute
from stackr.spec.declared import rules
from stackr.spec.rules import ITEM, Branch, Path, table

Lookup: TypeAlias = Callable[[str], str | None]
"""A variable's value, or None if it is not set."""
OnUnset: TypeAlias = Callable[[str], None]

MAX_EXPANDED = 64 << 20
"""Characters that the values of one file may expand to, and be looked at, together."""
_MAX_NESTING = 50
_MOST_BRACES = 500
_OVERHEAD = 64
"""Characters that an expression counts for, beside its own."""
_NAME = re.compile(r"[_a-zA-Z\u017f\u212a][_a-zA-Z0-9\u017f\u212a]*")
_OPERATOR = re.compile(r":?[-+?]")
_BRACES = re.compile(r"[{}\n]")


class InvalidTemplate(ValueError):
    """A `$` that starts nothing known."""


class MissingVariable(ValueError):
    """A variable that the file requires, with the file's own reason."""


class Expression(NamedTuple):
    """`$name`, `${name}` or `${name<operator><word>}`; `end` is the index after it."""

    name: str
    operator: str
    word: str
    end: int


_DOLLAR = "$"


class Substitution:
    """Resolves the variables of strings; what they expand to, in all, is bounded.

    on_unset is told the name of each variable that is not set and has no default.
    """

    def __init__(self, lookup: Lookup, on_unset: OnUnset | None = None) -> None:
        self._lookup, self._on_unset = lookup, on_unset
        self._left = MAX_EXPANDED

    def __call__(self, text: str) -> str:
        """The string with its variables resolved. Raises InvalidTemplate or MissingVariable."""
        return self._resolve(text, 0) if _DOLLAR in text else text

    def _resolve(self, text: str, depth: int) -> str:
        if depth > _MAX_NESTING:
            raise InvalidTemplate("nested too deeply")
        parts: list[str] = []
        position = 0
        while (at := text.find(_DOLLAR, position)) >= 0:
            parts.append(text[position:at])
            expression = _expression(text, at)
            self._spend(expression.end - at + _OVERHEAD)
            parts.append(self._value(expression, depth))
            self._spend(len(parts[-1]))
            position = expression.end
        return "".join([*parts, text[position:]])

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise InvalidTemplate(f"too much to expand: more than {MAX_EXPANDED >> 20} MiB")

    def _value(self, expression: Expression, depth: int) -> str:
        name, operator = expression.name, expression.operator
        if name == _DOLLAR:
            return _DOLLAR
        value = self._lookup(name)
        if not operator:
            if value is None and self._on_unset is not None:
                self._on_unset(name)
            return value or ""
        word = self._resolve(expression.word, depth + 1)
        usable = value is not None and (value != "" or not operator.startswith(":"))
        if operator.endswith("?") and not usable:
            reason = f": {word}" if word else ""
            raise MissingVariable(f"required variable {name} is missing a value{reason}")
        if operator.endswith("+"):
            return word if usable else value or ""
        return value or "" if usable else word


def _expression(text: str, at: int) -> Expression:
    """Read what starts at a dollar; the dollar itself where it starts nothing."""
    following = text[at + 1 : at + 2]
    if following == _DOLLAR:
        return Expression(_DOLLAR, "", "", at + 2)
    if following != "{":
        named = _NAME.match(text, at + 1)
        if named is None:
            return Expression(_DOLLAR, "", "", at + 1)
        return Expression(named.group(), "", "", named.end())
    name = _NAME.match(text, at + 2)
    if name is None:
        raise InvalidTemplate("invalid template")
    if text[name.end() : name.end() + 1] == "}":
        return Expression(name.group(), "", "", name.end() + 1)
    operator = _OPERATOR.match(text, name.end())
    end = _closing_brace(text, at) if operator is not None else -1
    if operator is None or end < 0:
        raise InvalidTemplate("invalid template")
    return Expression(name.group(), operator.group(), text[operator.end() : end], end + 1)


def _closing_brace(text: str, start: int) -> int:
    """The index of the brace that ends the expression at `start`, or -1.

    It is the one that closes the first brace, or the last one of the line if none does.
    """
    depth, skip, last = 0, -1, -1
    for found in _BRACES.finditer(text, start):
        if found.group() == "\n":
            break
        if found.group() == "}":
            last = found.start()
        if found.start() == skip:
            continue
        if found.group() == "{":
            depth += 1
            skip = found.start() + 1
            if depth > _MOST_BRACES:
                raise InvalidTemplate("nested too deeply")
        else:
            depth -= 1
            if depth == 0:
                return last
    return last


def substitute(text: str, lookup: Lookup, on_unset: OnUnset | None = None) -> str:
    """Resolve the variables of one string. Raises InvalidTemplate or MissingVariable."""
    return Substitution(lookup, on_unset)(text)


Cast: TypeAlias = Callable[[str], Any]
_CASTS = table(rules(attribute.Cast, item=ITEM))


class Fault(NamedTuple):
    """A value that could not be resolved."""

    path: Path
    message: str
    hint: str | None


def interpolate(
    tree: dict[str, Any], lookup: Lookup, on_unset: OnUnset, on_boolean: OnUnset
) -> list[Fault]:
    """Resolve every string value of a tree in place, casting those that have to be numbers.

    on_boolean: told of `yes`, `on`, `no`, `off` where a boolean is needed.
    Returns what failed; the tree is only of use if that is nothing.
    """
    walker = _Walker(lookup, on_unset, on_boolean)
    walker.walk_map(tree, _CASTS, ())
    return walker.faults


class _Walker:
    def __init__(self, lookup: Lookup, on_unset: OnUnset, on_boolean: OnUnset) -> None:
        self._substitute = Substitution(lookup, on_unset)
        self._on_boolean = on_boolean
        self.faults: list[Fault] = []

    def walk_map(self, tree: dict[str, Any], casts: Branch[Cast] | None, path: Path) -> None:
        for key, value in tree.items():
            kind = type(value)
            below = casts.below(key) if casts is not None else None
            if kind is str:
                if "$" in value or (below is not None and below.rule is not None):
                    tree[key] = self._resolve(value, below, (*path, key))
            elif kind is dict:
                self.walk_map(value, below, (*path, key))
            elif kind is list:
                self._walk_list(value, below, (*path, key))

    def _walk_list(self, tree: list[Any], casts: Branch[Cast] | None, path: Path) -> None:
        below = casts.below(0) if casts is not None else None
        for index, value in enumerate(tree):
            kind = type(value)
            if kind is str:
                if "$" in value or (below is not None and below.rule is not None):
                    tree[index] = self._resolve(value, below, (*path, index))
            elif kind is dict:
                self.walk_map(value, below, (*path, index))
            elif kind is list:
                self._walk_list(value, below, (*path, index))

    def _resolve(self, text: str, casts: Branch[Cast] | None, path: Path) -> Any:
        try:
            value = self._substitute(text)
        except InvalidTemplate as error:
            reason = "" if str(error) == "invalid template" else f": {error}"
            message = f"invalid interpolation format: {_shorten(text)}{reason}"
            self.faults.append(Fault(path, message, _way_out(text)))
            return text
        except MissingVariable as error:
            self.faults.append(Fault(path, f"error while interpolating: {error}", None))
            return text
        if casts is None or casts.rule is None:
            return value
        try:
            typed = casts.rule(value)
        except ValueError as error:
            self.faults.append(Fault(path, f"failed to cast to expected type: {error}", None))
            return text
        if type(typed) is bool and value.lower() not in ("true", "false"):
            self._on_boolean(value)
        return typed


def _way_out(text: str) -> str:
    """Of text that is no template: the brace that is missing, else how a dollar is written."""
    opened = text.rfind("${")
    if opened >= 0 and "}" not in text[opened:]:
        name = _NAME.match(text, opened + 2)
        shown = f"${{{name.group()}" if name is not None else "${"
        return f'a "}}" is missing behind "{shown}"'
    return "you may need to escape any $ with another $"


def _shorten(text: str) -> str:
    line = text.splitlines()[0] if text else ""
    return repr(line if len(line) <= 80 else line[:77] + "...")


class Variable(NamedTuple):
    """A variable that a stack file speaks of."""

    name: str
    default: str
    alternate: str
    required: bool


def variables(tree: Any) -> dict[str, Variable]:
    """Every variable in the values of a tree, by name; the last mention of a name counts."""
    found: dict[str, Variable] = {}
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, str) and "$" in value:
            found |= {variable.name: variable for variable in _mentions(value, 0)}
    return found


def _mentions(text: str, depth: int) -> Iterator[Variable]:
    for name, operator, word, _ in expressions(text, depth):
        default = word if operator.endswith("-") else ""
        alternate = word if operator.endswith("+") else ""
        yield Variable(name, default, alternate, operator.endswith("?"))
        yield from _mentions(default or alternate, depth + 1)


def expressions(text: str, depth: int = 0) -> Iterator[Expression]:
    """The expressions of a string that name a variable, but those within the words of others."""
    position = 0
    while depth <= _MAX_NESTING and (at := text.find(_DOLLAR, position)) >= 0:
        try:
            expression = _expression(text, at)
        except InvalidTemplate:
            position = at + 1
            continue
        position = expression.end
        if expression.name != _DOLLAR:
            yield expression
