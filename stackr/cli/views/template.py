"""The part of Go's text/template in which `--format` texts for Docker's commands are written.

Values, fields and methods (`{{.Name}}`, `{{.Label "a"}}`), pipelines, variables, `if`, `with` and
`range`, and the functions of Docker and of Go; sub-templates are refused by name.
Source: Go, text/template; docker/cli, templates/templates.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from stackr.cli.views.template_functions import FUNCTIONS, TemplateError, go_text, is_true
from stackr.errors import InvalidArgument

__all__ = ["Function", "Template"]

Function: TypeAlias = Callable[..., Any]

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<field>(?:\.[A-Za-z_]\w*)+|\.)
      | (?P<variable>\$\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>[|()])
    )""",
    re.VERBOSE,
)
_DECLARED = re.compile(r"(\$\w+)(?:\s*,\s*(\$\w+))?\s*:=(.*)", re.DOTALL)
_ASSIGNED = re.compile(r"\$\w+\s*=[^=]")
_CONSTANTS = {"true": True, "false": False, "nil": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_DEEPEST = 100
_REFUSED = ("define", "template", "block", "break", "continue")


@dataclass(frozen=True, slots=True)
class Template:
    """A text that is parsed once, and rendered with any number of values."""

    nodes: tuple[_Node, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises InvalidArgument, with Docker's words in front, for what is none."""
        try:
            return cls(tuple(_Parser(text).document()))
        except TemplateError as error:
            raise InvalidArgument(f"template parsing error: {error}") from error

    def render(self, data: Any, functions: Mapping[str, Function] | None = None) -> str:
        """The text for `data`. functions: in place of Docker's of the same names.

        A mapping's items are its fields; one that can be called is a method.
        Raises InvalidArgument for a field that `data` does not have.
        """
        try:
            return _rendered(self.nodes, data, {**FUNCTIONS, **(functions or {}), "$": data})
        except TemplateError as error:
            raise InvalidArgument(f"template parsing error: {error}") from error


# --- what a template is made of ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Field:
    """`.A.B`; no names for the value itself."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Any


@dataclass(frozen=True, slots=True)
class _Name:
    """A function."""

    name: str


@dataclass(frozen=True, slots=True)
class _Variable:
    """`$x.A.B`; `$` alone is what the template was given."""

    name: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """Commands, each a list of operands; what one gives is the last operand of the next.

    names: fields of what comes out, as in `(index .Ports 0).URL`. declares: the variables that get
    it; in `range`, of two the first gets the key.
    """

    commands: tuple[tuple[_Operand, ...], ...]
    names: tuple[str, ...] = ()
    declares: tuple[str, ...] = ()


_Operand: TypeAlias = _Field | _Constant | _Name | _Variable | _Pipeline


@dataclass(frozen=True, slots=True)
class _Output:
    pipeline: _Pipeline


@dataclass(frozen=True, slots=True)
class _Block:
    """`if`, `with` or `range`: what is shown where the pipeline gives something, and where not."""

    kind: str
    pipeline: _Pipeline
    body: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]


_Node: TypeAlias = str | _Output | _Block


# --- parsing -----------------------------------------------------------------------------------


class _Parser:
    def __init__(self, text: str) -> None:
        self._parts = list(_split(text))
        self._depth = 0

    def document(self) -> list[_Node]:
        nodes, end = self._nodes()
        if end:
            raise TemplateError(f"unexpected {{{{{end}}}}}")
        return nodes

    def _nodes(self) -> tuple[list[_Node], str]:
        """Nodes up to the `end` or `else` that closes them, which is returned as well."""
        nodes: list[_Node] = []
        while self._parts:
            is_action, text = self._parts.pop(0)
            if not is_action:
                nodes.append(text)
                continue
            word, _, rest = text.partition(" ")
            if word in ("end", "else"):
                return nodes, text
            if word in ("if", "with", "range"):
                nodes.append(self._block(word, rest))
            elif word in _REFUSED:
                raise TemplateError(f'"{word}" is not supported')
            else:
                nodes.append(_Output(_pipeline(text)))
        return nodes, ""

    def _block(self, kind: str, condition: str) -> _Block:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TemplateError("too many blocks")
        body, end = self._nodes()
        otherwise: list[_Node] = []
        if end.startswith("else "):
            word, _, rest = end.removeprefix("else ").strip().partition(" ")
            if word not in ("if", "with"):
                raise TemplateError(f"unexpected {{{{{end}}}}}")
            otherwise = [self._block(word, rest)]
        elif end == "else":
            otherwise, end = self._nodes()
            if end != "end":
                raise TemplateError(f"unclosed {{{{{kind}}}}}")
        elif end != "end":
            raise TemplateError(f"unclosed {{{{{kind}}}}}")
        return _Block(kind, _pipeline(condition), tuple(body), tuple(otherwise))


def _split(text: str) -> Iterator[tuple[bool, str]]:
    """(is it an action, its text), with the space that `{{-` and `-}}` take away taken away."""
    position, trim = 0, False
    for match in _ACTION.finditer(text):
        literal = text[position : match.start()]
        literal = literal.lstrip() if trim else literal
        literal = literal.rstrip() if match[1] else literal
        if literal:
            yield False, literal
        action = match[2].strip()
        if not action.startswith("/*"):
            if not action:
                raise TemplateError("missing value for command")
            yield True, action
        position, trim = match.end(), bool(match[3])
    rest = text[position:]
    if "{{" in rest:
        raise TemplateError("unclosed action")
    if rest:
        yield False, rest.lstrip() if trim else rest


def _pipeline(text: str) -> _Pipeline:
    if _ASSIGNED.match(text):
        raise TemplateError(f"assignment is not supported: {text}")
    declared = _DECLARED.fullmatch(text)
    if declared:
        found = _pipeline(declared[3].strip())
        names = tuple(name for name in declared.groups()[:2] if name)
        return _Pipeline(found.commands, found.names, names)
    tokens = list(_tokens(text))
    if sum(token == ("sign", "(") for token in tokens) > _DEEPEST:
        raise TemplateError("too many parentheses")
    pipeline, left = _read_pipeline(tokens)
    if left:
        raise TemplateError(f'unexpected "{left[0][1]}" in {{{{{text}}}}}')
    return pipeline


_Token = tuple[str, str]


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].strip()
            raise TemplateError(f'unexpected "{rest[0]}" in {{{{{text}}}}}')
        kind, word = str(match.lastgroup), match[match.lastgroup or 0]
        follows_paren = position and text[position - 1 : position + 1] == ")."
        yield "chain" if follows_paren else kind, word
        position = match.end()


def _read_pipeline(tokens: list[_Token]) -> tuple[_Pipeline, list[_Token]]:
    commands: list[tuple[_Operand, ...]] = []
    operands: list[_Operand] = []
    while tokens and tokens[0] != ("sign", ")"):
        if tokens[0] == ("sign", "|"):
            commands.append(_command(operands))
            operands, tokens = [], tokens[1:]
            continue
        operand, tokens = _operand(tokens)
        operands.append(operand)
    commands.append(_command(operands))
    return _Pipeline(tuple(commands)), tokens


def _command(operands: list[_Operand]) -> tuple[_Operand, ...]:
    if not operands:
        raise TemplateError("missing value for command")
    return tuple(operands)


def _operand(tokens: list[_Token]) -> tuple[_Operand, list[_Token]]:
    (kind, text), rest = tokens[0], tokens[1:]
    match kind:
        case "text":
            return _Constant(text[1:-1] if text[0] == "`" else _unquoted(text)), rest
        case "number":
            return _Constant(float(text) if "." in text else int(text)), rest
        case "field":
            return _Field(_names(text)), rest
        case "variable":
            name, _, fields = text.partition(".")
            return _Variable(name, _names(fields)), rest
        case "word" if text in _CONSTANTS:
            return _Constant(_CONSTANTS[text]), rest
        case "word":
            return _Name(text), rest
        case _:
            return _parenthesized(rest)


def _parenthesized(tokens: list[_Token]) -> tuple[_Operand, list[_Token]]:
    pipeline, rest = _read_pipeline(tokens)
    if not rest:
        raise TemplateError("unclosed left paren")
    rest = rest[1:]
    if rest and rest[0][0] == "chain":
        return _Pipeline(pipeline.commands, _names(rest[0][1])), rest[1:]
    return pipeline, rest


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(".") if name)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])


# --- rendering ---------------------------------------------------------------------------------


def _rendered(nodes: Sequence[_Node], data: Any, known: Mapping[str, Any]) -> str:
    """known: functions, and variables by their names, which begin with $."""
    known, parts = dict(known), []
    for node in nodes:
        match node:
            case str():
                parts.append(node)
            case _Output(pipeline):
                value = _value(pipeline, data, known)
                if pipeline.declares:
                    known[pipeline.declares[0]] = value
                else:
                    parts.append(go_text(value))
            case _Block():
                parts.append(_rendered_block(node, data, known))
    return "".join(parts)


def _rendered_block(block: _Block, data: Any, known: Mapping[str, Any]) -> str:
    value = _value(block.pipeline, data, known)
    declares = block.pipeline.declares
    if not is_true(value):
        return _rendered(block.otherwise, data, known)
    if block.kind == "range":
        return "".join(
            _rendered(block.body, item, {**known, **_of_item(declares, key, item)})
            for key, item in _items(value)
        )
    inner = {**known, declares[0]: value} if declares else known
    return _rendered(block.body, data if block.kind == "if" else value, inner)


def _items(value: Any) -> list[tuple[Any, Any]]:
    """(key, value) of a mapping, by its keys, or of a list."""
    if isinstance(value, Mapping):
        return [(key, value[key]) for key in sorted(value)]
    if not isinstance(value, list | tuple):
        raise TemplateError(f"range can't iterate over {go_text(value)}")
    return list(enumerate(value))


def _of_item(declares: Sequence[str], key: Any, item: Any) -> Mapping[str, Any]:
    if len(declares) > 1:
        return {declares[0]: key, declares[1]: item}
    return {declares[0]: item} if declares else {}


def _value(pipeline: _Pipeline, data: Any, functions: Mapping[str, Function]) -> Any:
    passed_on: list[Any] = []
    for command in pipeline.commands:
        first, rest = command[0], command[1:]
        arguments = [_single(operand, data, functions) for operand in rest] + passed_on
        if isinstance(first, _Name):
            passed_on = [_called(first.name, functions, arguments)]
            continue
        value = _single(first, data, functions) if not arguments else _method(first, data)
        if arguments:
            if not callable(value):
                raise TemplateError("can't give argument to what is no function")
            value = _invoked("a method", value, arguments)
        passed_on = [value]
    return _field(passed_on[0], pipeline.names)


def _single(operand: _Operand, data: Any, functions: Mapping[str, Function]) -> Any:
    match operand:
        case _Constant(value):
            return value
        case _Field(names):
            value = _field(data, names)
            return _invoked(f".{'.'.join(names)}", value, []) if callable(value) else value
        case _Name(name):
            return _called(name, functions, [])
        case _Variable(name, names):
            if name not in functions:
                raise TemplateError(f'undefined variable "{name}"')
            return _field(functions[name], names)
        case _Pipeline():
            return _value(operand, data, functions)


def _method(operand: _Operand, data: Any) -> Any:
    return _field(data, operand.names) if isinstance(operand, _Field) else None


def _field(data: Any, names: Sequence[str]) -> Any:
    for name in names:
        if not isinstance(data, Mapping) or name not in data:
            known = f": known are {', '.join(sorted(data))}" if isinstance(data, Mapping) else ""
            raise TemplateError(f"can't evaluate field {name}{known}")
        data = data[name]
    return data


def _called(name: str, functions: Mapping[str, Function], arguments: list[Any]) -> Any:
    if name not in functions:
        raise TemplateError(f'function "{name}" not defined')
    return _invoked(name, functions[name], arguments)


def _invoked(name: str, function: Function, arguments: list[Any]) -> Any:
    try:
        return function(*arguments)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise TemplateError(f"error calling {name}: {error}") from error
