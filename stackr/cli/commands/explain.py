"""`stackr explain`: where a value of the stack comes from, and what it overrides.

What is printed is the value as `config` shows it, the place that counts (`from`), and those that it
overrides (`over`), each with how it came to be read. Values that look secret are masked.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from stackr.cli.arguments import check_choice
from stackr.cli.options import GlobalOptions, options_of
from stackr.errors import InvalidArgument, NotFound
from stackr.spec.key_order import in_order
from stackr.spec.load import Loaded, LoadOptions, load_tree, resolve
from stackr.spec.mask import MASK, is_secret_name, masked
from stackr.spec.positions import Place
from stackr.spec.problems import nearest
from stackr.spec.provenance import Provenance, trace
from stackr.spec.render import project_tree
from stackr.spec.rules import Path, find, parse, show
from stackr.spec.variables import VariableSource, mentions, variable_sources
from stackr.stack.source import current_folder
from stackr.text import visible

__all__ = ["explain", "run_explain"]

_SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")
_REFERENCE = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})", re.ASCII)
_WAYS = {
    "file": "",
    "override": "override file",
    "extends": "extended",
    "include": "included",
    "env_file": "env file",
    "label_file": "label file",
    "variable": "variable",
    "option": "--project-name",
    "default": "default",
    "shell": "shell",
    "alternate": "alternative",
    "project": "the project's name",
    "unset": "not set",
}


class Source(NamedTuple):
    """One place, ready to be shown: `via` as in `Provenance` and `VariableSource`.

    place: line and column are 0 where it is not in the text of a file.
    """

    via: str
    place: Place | None
    text: str | None
    variables: tuple[Explanation, ...] = ()


class Explanation(NamedTuple):
    """A value and its places, the one that counts first. used: where a variable is."""

    subject: str
    value: Any
    is_secret: bool
    sources: tuple[Source, ...]
    used: tuple[tuple[Path, Place], ...] = ()


def run_explain(
    targets: Sequence[str], format_: str, shared: GlobalOptions, write: Callable[[str], object]
) -> int:
    """Do what `stackr explain` does; the text for stdout goes to `write`. Returns the exit code."""
    if not targets:
        raise InvalidArgument("explain: name a value, as web.environment.LOG_LEVEL, or a '$VAR'")
    loaded = load_tree(_load_options(shared), os.environ, current_folder())
    explained = list(_explain_all(loaded, targets))
    if format_ == "json":
        tree = [_as_json(each) for each in explained]
        write(json.dumps(tree, indent=2, ensure_ascii=False) + "\n")
    else:
        write("\n".join("".join(f"{line}\n" for line in _lines(each)) for each in explained))
    return 0


def _load_options(shared: GlobalOptions) -> LoadOptions:
    """All services and resources, whatever the profiles, and whether they fit together or not."""
    return LoadOptions(
        files=tuple(shared.files),
        project_directory=shared.project_directory,
        project_name=shared.project_name,
        profiles=("*",),
        env_files=tuple(shared.env_files),
        check_consistency=False,
        all_resources=True,
    )


def _explain_all(loaded: Loaded, targets: Sequence[str]) -> Iterator[Explanation]:
    tree: dict[str, Any] = {}
    for target in targets:
        if target.startswith("$"):
            yield _explain_variable(loaded, target[1:].strip("{}"))
            continue
        tree = tree or project_tree(loaded.found.name, resolve(loaded), yaml=True)
        path = _find(tree, loaded, target)
        for leaf, value in _leaves(path, _at(tree, path, _at(loaded.tree, path))):
            yield _explain_value(loaded, leaf, value)


def _find(tree: dict[str, Any], loaded: Loaded, target: str) -> Path:
    """The path that a text means; keys may have dots in them, and `services.` may be left out."""
    starts: list[tuple[Path, str]] = [((), target)]
    if target.partition(".")[0] not in _SECTIONS:
        starts.insert(0, (("services",), target))
    for start, text in starts:
        for candidate in (tree, loaded.tree):
            path = find(_at(candidate, start), text)
            if path is not None:
                return (*start, *path)
        dropped = (*start, *parse(text))
        if _is_dropped(loaded, dropped):
            return dropped
    known, name = _nearest_level(tree, starts[0])
    raise NotFound(f"{target}: the stack has no such value", hint=nearest(name, known))


def _is_dropped(loaded: Loaded, path: Path) -> bool:
    """Whether a file gives a value that the stack does not have in the end."""
    in_a_list = any(isinstance(part, int) for part in path)
    return not in_a_list and trace(loaded, path)[-1].via != "default"


def _nearest_level(tree: dict[str, Any], start: tuple[Path, str]) -> tuple[list[str], str]:
    """The keys beside the part of a text that is not found, and that part."""
    value, names = _at(tree, start[0]), start[1].split(".")
    for index, name in enumerate(names):
        if not isinstance(value, dict) or name not in value:
            return list(value) if isinstance(value, dict) else [], name
        value = value[names[index]]
    return [], names[-1]


def _at(tree: Any, path: Path, missing: Any = None) -> Any:
    for part in path:
        if isinstance(part, int):
            tree = tree[part] if isinstance(tree, list) and part < len(tree) else None
        else:
            tree = tree.get(part) if isinstance(tree, dict) else None
    return missing if tree is None else tree


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """The values below a path that have a place of their own."""
    is_command = path[-1:] in (("command",), ("entrypoint",), ("test",))
    if isinstance(value, dict) and value and not any(isinstance(part, int) for part in path):
        for key, below in in_order(value).items():
            yield from _leaves((*path, key), below)
    elif isinstance(value, list) and value and not is_command:
        yield from (((*path, index), below) for index, below in enumerate(value))
    else:
        yield path, value


def _explain_value(loaded: Loaded, path: Path, value: Any) -> Explanation:
    found = trace(loaded, path)
    secret_variable = any(
        is_secret_name(sources[0].name) for each in found[:1] for sources in each.variables
    )
    shown, is_secret = masked(show(path[2:]), value)
    hidden = shown == MASK or is_secret_name(str(path[-1]))
    if secret_variable and isinstance(value, str):
        shown, is_secret = MASK, True
    sources = tuple(_shown(loaded, each, path, hidden=hidden) for each in found)
    return Explanation(show(path), shown, is_secret, sources)


def _shown(loaded: Loaded, found: Provenance, path: Path, *, hidden: bool) -> Source:
    text = found.text
    if text is not None and found.via in ("env_file", "label_file"):
        text = _line_text(text, hidden=hidden)
    elif text is not None:
        text = _text(text, path, hidden=hidden)
    place = _place(loaded, found.file, found.line, found.column)
    variables = tuple(_variable(loaded, sources) for sources in found.variables)
    return Source(found.via, place, text, variables)


def _text(text: str, path: Path, *, hidden: bool) -> str:
    if not hidden or _REFERENCE.fullmatch(text):
        return str(masked(show(path[2:]), text)[0]) if not hidden else text
    return MASK


def _line_text(text: str, *, hidden: bool) -> str:
    name, equals, _ = text.partition("=")
    return f"{name}{equals}{MASK}" if hidden and equals else str(masked("", text)[0])


def _variable(
    loaded: Loaded,
    sources: Sequence[VariableSource],
    used: tuple[tuple[Path, Place], ...] = (),
) -> Explanation:
    name, value = sources[0].name, sources[0].value
    is_secret = is_secret_name(name)
    shown = MASK if is_secret and value else masked("", value)[0]
    return Explanation(
        f"${name}",
        shown,
        is_secret,
        tuple(_variable_source(loaded, each, hidden=is_secret) for each in sources),
        used,
    )


def _variable_source(loaded: Loaded, source: VariableSource, *, hidden: bool) -> Source:
    text: str | None = None
    if source.via == "env_file":
        text = _line_text(source.text, hidden=hidden)
    elif source.via in ("default", "alternate"):
        text = MASK if hidden and source.value else masked("", source.value)[0]
    return Source(source.via, _place(loaded, source.file, source.line, source.column), text)


def _explain_variable(loaded: Loaded, name: str) -> Explanation:
    found = mentions(loaded, name)
    sources = list(variable_sources(loaded, name))
    for mention in found:
        sources += mention.words
    if not sources and not found:
        known = (*loaded.found.environment,)
        raise NotFound(
            f"${name}: not set, and the stack does not use it", hint=nearest(name, known)
        )
    shown = loaded.session.sources.relative
    used = tuple((each.path, shown(Place(each.file, each.line, each.column))) for each in found)
    return _variable(loaded, sources or [VariableSource(name, "unset", None)], used)


def _place(loaded: Loaded, file: str, line: int, column: int) -> Place | None:
    return loaded.session.sources.relative(Place(file, line, column)) if file else None


def _as_json(each: Explanation) -> dict[str, Any]:
    sources = [_source_json(source) for source in each.sources]
    tree = {
        "subject": each.subject,
        "value": each.value,
        "secret": each.is_secret,
        "from": sources[0] if sources else None,
        "over": sources[1:],
    }
    if each.used:
        tree["used"] = [{"path": show(path), **place._asdict()} for path, place in each.used]
    return tree


def _source_json(source: Source) -> dict[str, Any]:
    place = source.place._asdict() if source.place is not None else {}
    return {
        "via": source.via,
        "file": place.get("file"),
        "line": place.get("line") or None,
        "column": place.get("column") or None,
        "text": source.text,
        "variables": [_as_json(variable) for variable in source.variables],
    }


def _lines(each: Explanation, indent: str = "") -> Iterator[str]:
    yield f"{indent}{each.subject}: {_value_text(each.value)}"
    places = [_place_text(source.place) for source in each.sources]
    width = max(map(len, places), default=0)
    for index, source in enumerate(each.sources):
        parts = (places[index].ljust(width), _WAYS[source.via], _one_line(source.text))
        text = "  ".join(part for part in parts if part.strip())
        yield f"{indent}  {'over' if index else 'from'}  {text}".rstrip()
        for variable in source.variables:
            yield from _lines(variable, f"{indent}        ")
    for path, place in each.used:
        yield f"{indent}  used  {place}  {show(path)}"


def _place_text(place: Place | None) -> str:
    return "" if place is None else str(place) if place.line else place.file


def _value_text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, str):
        return _one_line(value) or '""'
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split("\n"))


def explain(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="SERVICE.KEY|SECTION.NAME.KEY|'$VAR'...", show_default=False),
    ] = None,
    format_: Annotated[str, typer.Option("--format", metavar="KIND", help="text or json")] = "text",
) -> int:
    """Show where a value of the stack comes from, and what it overrides."""
    options = options_of(ctx)
    kind = check_choice("--format", "json" if options.json else format_, ("text", "json"))
    return run_explain(targets or (), kind, options, _write)


def _write(text: str) -> None:
    sys.stdout.buffer.write(visible(text).encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
