"""Where variables get their values, and where the project's files use them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stackr.errors import InvalidArgument
from stackr.spec import dotenv
from stackr.spec.discover import PROJECT_NAME
from stackr.spec.interpolate import Expression, expressions
from stackr.spec.layers import Inclusion, Layer
from stackr.spec.loaded import Loaded
from stackr.spec.positions import Node
from stackr.spec.rules import Path
from stackr.spec.value_source import VariableSource, VariableVia
from stackr.text import decode

__all__ = [
    "Mention",
    "VariableSource",
    "assignments",
    "environment_of",
    "mentions",
    "sources_or_unset",
    "used_sources",
    "variable_sources",
]

_MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class Mention:
    """A value that a variable is used in, and the words that it has for the variable."""

    path: Path
    file: str
    line: int
    column: int
    words: tuple[VariableSource, ...] = ()


def assignments(loaded: Loaded, file: str, name: str) -> list[tuple[int, int, str]]:
    """Where an env file assigns a variable, the last line first: line, column, the line's text."""
    session = loaded.session
    try:
        data = session.files.read(session.absolute(file), dotenv.MAX_BYTES)
    except OSError:
        return []
    text = decode(data)
    lines = text.split("\n")
    places = dotenv.places(text).get(name, ())
    return [(line, column, lines[line - 1].strip()) for line, column in reversed(places)]


def variable_sources(
    loaded: Loaded, name: str, scope: str = "", *, own: bool = True
) -> tuple[VariableSource, ...]:
    """What could give a variable its value, that which counts first; () if nothing does.

    scope: the file of an included project, whose env files count as well.
    own: whether the project's name, which is a variable too, counts.
    """
    session = loaded.session
    environment = environment_of(loaded, scope)
    found: list[VariableSource] = []
    if own and name == PROJECT_NAME:
        return (VariableSource(name, "project", loaded.found.name),)
    if name in session.environ or name == "PWD":
        found.append(VariableSource(name, "shell", environment.get(name)))
    groups = [*session.env_files]
    groups += [list(inclusion.env_files) for _, inclusion in reversed(_inclusions(loaded, scope))]
    seen: set[str] = set()
    for file in (file for group in groups for file in reversed(group)):
        for line, column, text in assignments(loaded, file, name) if file not in seen else ():
            value = environment.get(name) if not found else None
            found.append(VariableSource(name, "env_file", value, file, line, column, text))
        seen.add(file)
    return tuple(found)


def _inclusions(loaded: Loaded, scope: str) -> list[tuple[str, Inclusion]]:
    return loaded.session.sources.layers.inclusions(scope) if scope else []


def environment_of(loaded: Loaded, scope: str) -> Mapping[str, str]:
    """What variables are resolved with in a file: the project's, and those of its inclusion."""
    environment = loaded.found.environment
    session = loaded.session
    for _, inclusion in reversed(_inclusions(loaded, scope)):
        with contextlib.suppress(InvalidArgument):
            files = list(inclusion.env_files)
            own = dotenv.read_all(session.files, files, environment, lambda name: None)
            environment = {**own, **environment}
    return environment


def sources_or_unset(loaded: Loaded, name: str, scope: str) -> tuple[VariableSource, ...]:
    return variable_sources(loaded, name, scope) or (VariableSource(name, "unset", None),)


def used_sources(
    loaded: Loaded, expression: Expression, layer: Layer, node: Node
) -> tuple[VariableSource, ...]:
    """The sources of a variable where a value mentions it, with the word beside it."""
    name, operator = expression.name, expression.operator
    given = variable_sources(loaded, name, layer.scope)
    if not operator or operator.endswith("?"):
        return given or (VariableSource(name, "unset", None),)
    value = environment_of(loaded, layer.scope).get(name)
    is_usable = value is not None and (value != "" or not operator.startswith(":"))
    own = _word(loaded, expression, layer.file, node.line + 1, node.column + 1)
    counts = is_usable if own.via == "alternate" else not is_usable
    return (own, *given) if counts else (*given, own)


def _word(
    loaded: Loaded, expression: Expression, file: str, line: int, column: int
) -> VariableSource:
    """The word of an expression, placed within the scalar that begins at a line and column."""
    via: VariableVia = "default" if expression.operator.endswith("-") else "alternate"
    written = f"${{{expression.name}{expression.operator}"
    lines = loaded.session.sources.lines(file)
    for number in range(line, min(line + _MOST_LINES, len(lines) + 1)):
        found = lines[number - 1].find(written, column - 1 if number == line else 0)
        if found >= 0:
            line, column = number, found + 1
            break
    return VariableSource(expression.name, via, expression.word, file, line, column)


def mentions(loaded: Loaded, name: str) -> list[Mention]:
    """Every value of the project's files that mentions a variable, in the files' order."""
    found = []
    for file, scalars in loaded.session.sources.scalars():
        for scalar in scalars:
            if "$" not in scalar.text:
                continue
            named = [each for each in _nested(scalar.text) if each.name == name]
            place = (file, scalar.line, scalar.column)
            words = (
                _word(loaded, each, *place) for each in named if each.operator.endswith(("-", "+"))
            )
            if named:
                found.append(Mention(scalar.path, *place, tuple(words)))
    return sorted(found, key=lambda each: (each.file, each.line, each.column))


def _nested(text: str, depth: int = 0) -> Iterator[Expression]:
    for expression in expressions(text, depth):
        yield expression
        yield from _nested(expression.word, depth + 1)
