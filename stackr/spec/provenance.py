"""Where the values of a project come from: what counts, and what it overrides.

Nothing is kept for this while a project is loaded but who reads whom; the files' own texts are
looked at again when somebody asks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from stackr.spec.canonical import Report
from stackr.spec.discover import PROJECT_NAME
from stackr.spec.interpolate import Substitution, expressions
from stackr.spec.layers import Layer
from stackr.spec.loaded import Loaded
from stackr.spec.merge import is_replaced
from stackr.spec.phases import MERGE_RULES, canonical, enforce_unicity
from stackr.spec.positions import Node
from stackr.spec.rules import Path
from stackr.spec.value_source import Provenance, VariableSource, Via
from stackr.spec.variables import (
    assignments,
    environment_of,
    sources_or_unset,
    used_sources,
    variable_sources,
)

__all__ = ["Provenance", "Via", "trace"]


def trace(loaded: Loaded, path: Path) -> tuple[Provenance, ...]:
    """What gives a value of the canonical tree: that which counts first, then what it overrides.

    There is always one; `default` for what no file says.
    """
    if path == ("name",):
        return _of_name(loaded)
    path = _whole(path)
    counting, dropped = _nodes(loaded, path)
    found = [_provenance(loaded, layer, node) for layer, node in counting]
    found += _of_env_files(loaded, path)
    found = found or [Provenance("default")]
    return (*found, *(_provenance(loaded, layer, node) for layer, node in dropped))


def _whole(path: Path) -> Path:
    """The value that is replaced as one: a command, not a word of it."""
    branch = MERGE_RULES
    for length, part in enumerate(path):
        below = branch.below(part)
        if below is None:
            return path
        if is_replaced(below):
            return path[: length + 1]
        branch = below
    return path


_Found: TypeAlias = list[tuple[Layer, Node]]


def _nodes(loaded: Loaded, path: Path) -> tuple[_Found, _Found]:
    """The nodes of the files that give a value, the one that counts first; those that are reset."""
    index = next((at for at, part in enumerate(path) if isinstance(part, int)), None)
    if index is None:
        return _own_nodes(loaded, path)
    items = _items(loaded, path[:index])
    number = path[index]
    assert isinstance(number, int)
    if number >= len(items):
        return _own_nodes(loaded, path[:index])
    found: _Found = []
    for layer in reversed(items[number]):
        inner = layer._replace(path=(*layer.path, *path[index + 1 :]))
        found += [(inner, node) for node in _in_layer(loaded, inner, path)]
    return found, []


def _own_nodes(loaded: Loaded, path: Path) -> tuple[_Found, _Found]:
    found: _Found = []
    empty: _Found = []
    dropped: _Found = []
    is_reset = False
    for layer in loaded.session.sources.layers.of(path):
        for node in _in_layer(loaded, layer, path):
            without_effect = node.is_null and not _is_variable(path) and not _replaces(path)
            (dropped if is_reset else empty if without_effect else found).append((layer, node))
        is_reset = is_reset or loaded.session.sources.layers.is_reset(layer)
    return found or empty, dropped


def _in_layer(loaded: Loaded, layer: Layer, path: Path) -> Iterator[Node]:
    """What a file says of a path, in its own documents: itself, or in a short form."""
    for depth, node in loaded.session.sources.nodes(layer.file, layer.path):
        if depth == len(layer.path):
            yield node
        elif depth > 1 and node.is_scalar and not node.is_null:
            missing = len(layer.path) - depth
            if _expands(loaded, layer, node, path, missing):
                yield node


def _expands(loaded: Loaded, layer: Layer, node: Node, path: Path, missing: int) -> bool:
    """Whether a short form has, in its long form, the last `missing` keys of a path."""
    outer = path[: len(path) - missing]
    value = _interpolated(node.value(), environment_of(loaded, layer.scope))
    if outer and isinstance(outer[-1], str) and outer[-1] == value:
        outer, value = outer[:-1], [value]
    if outer and isinstance(outer[-1], int):
        outer, value = outer[:-1], [value]
    long: Any = _canonical_at(outer, value)
    if isinstance(long, list):
        long = long[0] if long else None
    elif isinstance(value, list) and isinstance(long, dict):
        long = long.get(value[0])
    for part in path[len(path) - missing :]:
        long = long.get(part) if isinstance(long, dict) else None
    return long is not None


def _canonical_at(path: Path, value: Any) -> Any:
    """The long form of a value that stands at a path."""
    tree: Any = value
    for part in reversed(path):
        tree = {part: tree}
    tree = canonical(tree, Report(lenient=True))
    for part in path:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _items(loaded: Loaded, path: Path) -> list[list[Layer]]:
    """For each item of a merged list, the layers that have it, from the overridden to the last."""
    merged: list[Any] = []
    owners: list[list[Layer]] = []
    for layer, node in reversed(_own_nodes(loaded, path)[0]):
        environment = environment_of(loaded, layer.scope)
        for number, item in [((), node)] if node.is_scalar else _numbered(node):
            where = layer._replace(path=(*layer.path, *number))
            for long in _as_list(_canonical_at(path, [_interpolated(item.value(), environment)])):
                _append(merged, owners, long, where, path)
    return owners


def _numbered(node: Node) -> list[tuple[tuple[int], Node]]:
    return [((key,), child) for key, child in node.children.items() if isinstance(key, int)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _append(
    merged: list[Any], owners: list[list[Layer]], item: Any, layer: Layer, path: Path
) -> None:
    """Add an item to a list, in the place of the one that stands for the same thing."""
    tree: Any = [*merged, item]
    for part in reversed(path):
        tree = {part: tree}
    enforce_unicity(tree)
    for part in path:
        tree = tree[part]
    at = next((index for index, entry in enumerate(tree) if entry is item), len(tree) - 1)
    if at < len(merged):
        merged[at] = item
        owners[at].append(layer)
    else:
        merged.append(item)
        owners.append([layer])


def _interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(entry, environment) for key, entry in value.items()}
    if isinstance(value, list):
        return [_interpolated(entry, environment) for entry in value]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return Substitution(environment.get)(value)
    return value


def _provenance(loaded: Loaded, layer: Layer, node: Node) -> Provenance:
    text = node.text if node.is_scalar else None
    bare = _bare_name(layer.path, node)
    if bare is not None:
        variables: list[tuple[VariableSource, ...]] = [sources_or_unset(loaded, bare, layer.scope)]
    else:
        variables = list(_in_text(loaded, text or "", layer, node))
    return Provenance(
        "variable" if bare is not None else layer.via,
        layer.file,
        node.line + 1,
        node.column + 1,
        text,
        tuple(variables),
    )


def _in_text(
    loaded: Loaded, text: str, layer: Layer, node: Node, depth: int = 0
) -> Iterator[tuple[VariableSource, ...]]:
    """The sources of each variable of a text, and of those in words that count."""
    for expression in expressions(text, depth):
        sources = used_sources(loaded, expression, layer, node)
        yield sources
        if sources[0].via in ("default", "alternate"):
            yield from _in_text(loaded, expression.word, layer, node, depth + 1)


def _is_variable(path: Path) -> bool:
    """Whether a path is that of an environment variable or a build argument."""
    return path[0] == "services" and path[2:-1] in (("environment",), ("build", "args"))


def _replaces(path: Path) -> bool:
    return _whole(path) == path and path[:1] == ("services",) and len(path) > 2 and _is_rule(path)


def _is_rule(path: Path) -> bool:
    branch = MERGE_RULES
    for part in path:
        below = branch.below(part)
        if below is None:
            return False
        branch = below
    return is_replaced(branch)


def _bare_name(path: Path, node: Node) -> str | None:
    """The name of an entry of `environment` that has no value of its own."""
    if not _is_variable(path):
        return None
    name = str(path[-1])
    return name if node.is_null or node.text == name else None


def _of_env_files(loaded: Loaded, path: Path) -> list[Provenance]:
    if len(path) != 4 or path[0] != "services":
        return []
    service = (loaded.tree.get("services") or {}).get(path[1]) or {}
    name, found = str(path[3]), []
    if path[2] == "environment":
        for entry in reversed(service.get("env_file") or ()):
            found += _lines(loaded, str((entry or {}).get("path", "")), name, "env_file")
    elif path[2] == "labels":
        for file in reversed(service.get("label_file") or ()):
            found += _lines(loaded, str(file), name, "label_file")
    return found


def _lines(loaded: Loaded, file: str, name: str, via: Via) -> list[Provenance]:
    return [
        Provenance(via, file, line, column, text)
        for line, column, text in assignments(loaded, file, name)
    ]


def _of_name(loaded: Loaded) -> tuple[Provenance, ...]:
    session = loaded.session
    found = []
    if session.options.project_name:
        found.append(Provenance("option", text=session.options.project_name))
    given = variable_sources(loaded, PROJECT_NAME, own=False)
    if given:
        found.append(Provenance("variable", variables=(given,)))
    nodes, _ = _own_nodes(loaded, ("name",))
    found += [_provenance(loaded, layer, node) for layer, node in nodes if layer.via != "include"]
    return (*found, Provenance("default", text=loaded.found.working_dir.rpartition("/")[2]))
