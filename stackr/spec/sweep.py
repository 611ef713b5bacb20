"""What else is wrong with a tree that has been found wrong already, so that all is told at once.

The phases stop where one has found anything, since the next ones rely on it. Here they go on over a
copy without the parts that are wrong; what they find only because of that is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stackr.spec.canonical import Report
from stackr.spec.declared import SECTIONS
from stackr.spec.decode import Faults
from stackr.spec.phases import canonical, check_tree, set_defaults
from stackr.spec.positions import Sources
from stackr.spec.problems import Finding, Problems, nearest
from stackr.spec.rules import Path
from stackr.spec.schema.validate import Violation, violations
from stackr.spec.source import clone

__all__ = ["further", "told"]

Tree = dict[str, Any]


def told(found: Iterable[Violation]) -> list[Finding]:
    """What the schema does not allow, as problems: with the nearest name that it knows."""
    return [
        Finding(
            each.path,
            each.message,
            nearest(each.name, each.known) if each.name is not None else None,
            each.at_key,
        )
        for each in found
    ]


def further(tree: Tree, known: Iterable[Path], *, schema: bool = True) -> list[Finding]:
    """The problems of the later phases in a tree, of which these paths are known to be wrong.

    schema: whether what the schema does not allow is looked for as well. The tree stays as it is.
    """
    rest, wrong = clone(tree), set(known)
    _drop(rest, wrong)
    found = told(violations(rest)) if schema else []
    wrong |= {each.path for each in found}
    _drop(rest, wrong)
    report, faults = Report(), Faults()
    problems = Problems(Sources("/"))
    try:
        rest = canonical(rest, report)
        for section, kind in SECTIONS.items():
            if rest.get(section) is not None:
                kind.decode(clone(rest[section]), (section,), faults)
        set_defaults(rest)
        check_tree(rest, problems)
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # what is wrong is told already: what follows cannot be judged without it
    later = [*(Finding(*each) for each in report.faults), *faults.found, *problems.findings]
    found += [
        each for each in later if not any(bad[: len(each.path)] == each.path for bad in wrong)
    ]
    return found


def _drop(tree: Tree, paths: Iterable[Path]) -> None:
    """Take parts out; of a list, the whole of it, as its other items would move."""
    for path in paths:
        whole = next((path[:n] for n, part in enumerate(path) if isinstance(part, int)), path)
        parent: Any = tree
        for part in whole[:-1]:
            parent = parent.get(part) if isinstance(parent, dict) else None
        if whole and isinstance(parent, dict):
            parent.pop(whole[-1], None)
