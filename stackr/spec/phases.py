"""The phases of loading that are a walk over a table of rules, which the attributes declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from stackr.spec.attribute import (
    Check,
    Default,
    Identity,
    IsPath,
    LongForm,
    Merge,
    NormalCheck,
    Unique,
)
from stackr.spec.canonical import Report, wrapped
from stackr.spec.declared import rules
from stackr.spec.merge import merged
from stackr.spec.paths import Base
from stackr.spec.problems import Problems
from stackr.spec.rules import Branch, Path, apply, table

Tree: TypeAlias = dict[str, Any]
Fault: TypeAlias = tuple[Path, str]


def merge(base: Tree, override: Tree) -> Tree:
    """Merge a stack file's tree into that of the files before it, which is used up.

    Raises CannotMerge.
    """
    result: Tree = merged(base, override, MERGE_RULES, ())
    return result


def extend_service(base: Tree, service: Tree, name: str) -> Tree:
    """Merge a service into the one that it extends, which is used up. Raises CannotMerge."""
    services = MERGE_RULES.below("services")
    below = services.below(name) if services is not None else None
    result: Tree = merged(base, service, below, ("services", name))
    return result


def enforce_unicity(tree: Tree) -> list[Fault]:
    """Keep only the last of the entries of a list that stand for the same thing, in place.

    Returns the entries that could not be read.
    """
    faults: list[Fault] = []
    apply(tree, UNIQUE_RULES, (), faults)
    return faults


def canonical(tree: Tree, report: Report) -> Tree:
    """Write every short form in its long form, in place.

    report.lenient: keep what cannot be parsed as it is, as it may hold variables.
    """
    result: Tree = apply(tree, _LONG_FORMS, (), report)
    return result


def set_defaults(tree: Tree) -> None:
    """Add the attributes that have a default value, in place."""
    apply(tree, _DEFAULTS, (), None)


def check_tree(tree: Tree, problems: Problems) -> None:
    """Check a canonical tree; what is wrong is told to `problems`."""
    apply(tree, _CHECKS, (), problems)


def check_normal(tree: Tree, problems: Problems) -> None:
    """Check that a canonical tree has a normal form."""
    apply(tree, _NORMAL_CHECKS, (), problems)


def resolve_paths(tree: Tree, base: Base) -> None:
    """Make the relative paths of a canonical tree start at base.folder, in place."""
    apply(tree, _PATHS, (), base)


def _unique(identity: Identity) -> Callable[[Any, Branch[Any], Path, list[Fault]], Any]:
    def rule(value: Any, branch: Branch[Any], path: Path, faults: list[Fault]) -> Any:
        if not isinstance(value, list):
            return value
        places: dict[Any, int] = {}
        kept: list[Any] = []
        for index, entry in enumerate(value):
            try:
                key = identity(entry)
            except ValueError as error:
                faults.append(((*path, index), str(error)))
                continue
            place = places.setdefault(key, len(kept))
            kept[place : place + 1] = [entry]
        return kept

    return rule


MERGE_RULES = table(rules(Merge))
UNIQUE_RULES = table({at: _unique(identity) for at, identity in rules(Unique).items()})
_LONG_FORMS = table({**rules(LongForm), "include.*": wrapped("path")})
_PATHS = table(rules(IsPath))
_DEFAULTS = table(rules(Default))
_CHECKS = table(rules(Check))
_NORMAL_CHECKS = table(rules(NormalCheck))
