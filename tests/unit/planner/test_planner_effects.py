"""What a change of each attribute does: the table is whole, true of each case, and in the docs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from service_attributes import CASES, PORTS, Case, Side, environ, stack_file, write_files

from stackr.planner.change.effects import Effect, rows, table
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.project import desired
from stackr.planner.plan.model import Change, Kind
from stackr.planner.review.compare import imagined
from stackr.runtime.types import Capabilities
from stackr.spec.declared import SERVICE
from stackr.spec.model.project import Project
from stackr.spec.session import LoadOptions
from stackr.stack.source import Source

ROOT = Path(__file__).parents[3]
_ROWS = {row.path: row for row in rows()}
_KINDS = {Effect.IN_PLACE: "update", Effect.SCALE: "create", Effect.NONE: None}
_ENGINES = {
    "embedded": Capabilities(
        probes=True, restart_unhealthy=True, update_labels=True, update_lifts=True
    ),
    "docker": Capabilities(probes=True, restart_unhealthy=True),
}


def test_every_attribute_has_a_row() -> None:
    for name in SERVICE.fields:
        assert any(path == name or path.startswith(f"{name}.") for path in _ROWS), name


def test_every_row_has_a_case_and_every_case_a_row() -> None:
    proved = {path for path, row in _ROWS.items() if row.embedded is not Effect.REFUSED}
    cases = {case.path for case in CASES}
    assert proved <= cases
    assert cases <= _ROWS.keys()


def test_the_documentation_has_the_table() -> None:
    assert table() in (ROOT / "docs" / "diff.md").read_text(encoding="utf-8")


Changes = dict[str, dict[str, list[Change]]]
"""By engine and service."""


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Changes:
    """Of the plans that change everything at once."""
    folder = tmp_path_factory.mktemp("effects")
    write_files(folder)
    file = folder / "compose.yaml"
    names = ("IMAGE", "OTHER_IMAGE", "PROJECT", "DISK", "CGROUP", "ARCH")
    values = {name: name.lower() for name in names}
    variables = environ(range(9000, 9000 + PORTS), **values, COMPOSE_PROFILES="on")
    options = LoadOptions(files=(str(file),), project_name="demo")

    def load(side: Side) -> Project:
        file.write_text(stack_file(CASES, side))
        return Source(options, {**variables, "PATH": os.environ["PATH"]}).load()

    before, after = desired(load("before")), desired(load("after"))
    seen = imagined(before, after)
    found: Changes = {name: {} for name in _ENGINES}
    for name, engine in _ENGINES.items():
        for change in reconcile(after, replace(seen, engine=engine)).changes:
            if change.kind is Kind.RUN:
                continue  # a step, beside the container that it is for
            found[name].setdefault(change.resource.service, []).append(change)
    return found


@pytest.mark.parametrize("engine", _ENGINES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.service)
def test_the_plan_is_what_the_table_says(changes: Changes, case: Case, engine: str) -> None:
    effect = getattr(_ROWS[case.path], engine)
    found = changes[engine].get(case.service, [])
    kind = _KINDS.get(effect, "recreate")
    assert [change.kind.value for change in found] == ([] if kind is None else [kind])
    if found and effect is not Effect.SCALE:
        assert sorted(each.path for each in found[0].fields) == sorted(case.fields)
        assert all(each.forces_recreate for each in found[0].fields) == (kind == "recreate")
