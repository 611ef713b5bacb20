"""The tables agree with each other: schema, fields, models, support, documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stackr.spec.declared import SECTIONS, SERVICE
from stackr.spec.decode import Kind, ListOf, MapOf, Struct
from stackr.spec.load import load
from stackr.spec.model.base import Model, given
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.spec.schema.validate import schema
from stackr.spec.session import LoadOptions
from stackr.spec.support import SUPPORT, State, table, unsupported

ROOT = Path(__file__).parents[3]


def _structs(kind: Kind, seen: dict[type[BaseModel], Struct]) -> dict[type[BaseModel], Struct]:
    if isinstance(kind, Struct) and kind.model not in seen:
        seen[kind.model] = kind
        for field in kind.fields.values():
            _structs(field.kind, seen)
    elif isinstance(kind, (ListOf, MapOf)):
        _structs(kind.entry, seen)
    return seen


def _all_structs() -> list[Struct]:
    seen: dict[type[BaseModel], Struct] = {}
    for kind in SECTIONS.values():
        _structs(kind, seen)
    return list(seen.values())


@pytest.mark.parametrize("struct", _all_structs(), ids=lambda struct: struct.model.__name__)
def test_each_struct_has_the_fields_of_its_model(struct: Struct) -> None:
    model: Model = struct.model_of({})
    names = set(type(model).model_fields) - {"extensions"}
    assert names - ({"name"} if isinstance(model, Service) else set()) == set(struct.fields)


@pytest.mark.parametrize("struct", _all_structs(), ids=lambda struct: struct.model.__name__)
def test_what_is_left_out_is_the_models_default(struct: Struct) -> None:
    """A struct without values is the model without arguments, and nothing of it is given."""
    required = {n for n, f in struct.model.model_fields.items() if f.is_required()}
    if not required:
        assert struct.model_of({}) == struct.model()
    assert list(given(struct.model_of({}))) == []


def test_every_attribute_of_a_service_is_in_the_tables() -> None:
    known = set(schema()["$defs"]["service"]["properties"])
    assert known - set(SERVICE.fields) == {"pull_refresh_after"}
    assert {f"services.*.{name}" for name in known} <= set(SUPPORT)
    assert set(schema()["properties"]) <= set(SUPPORT)


def test_every_row_names_an_attribute() -> None:
    properties = schema()["$defs"]["service"]["properties"]
    for pattern in SUPPORT:
        parts = pattern.split(".")
        if parts[0] == "services" and len(parts) == 3:
            assert parts[2] in properties


def test_every_model_builds_its_schema() -> None:
    assert Project(name="x", services={"a": Service(image="i")}).model_dump()["name"] == "x"


def test_the_documentation_has_the_table() -> None:
    assert table() in (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("attribute", "path"),
    [
        ("logging: {driver: awslogs}", "logging.driver"),
        ("volumes: [{type: npipe, source: i, target: /x}]", "volumes[0].type"),
        ("userns_mode: keep", "userns_mode"),
        ("storage_opt: {inodes: 9}", "storage_opt"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    project: Callable[..., Project], attribute: str, path: str
) -> None:
    loaded = project(f"services:\n  a:\n    image: i\n    {attribute}\n")
    (problem,) = unsupported(loaded)
    assert f"services.a.{path}: not supported by the embedded engine" in problem
    assert problem.startswith("compose.yaml:4:")


def test_what_no_engine_honours_is_refused_everywhere(project: Callable[..., Project]) -> None:
    loaded = project("services: {a: {image: i, provider: {type: x}, storage_opt: {inodes: 9}}}")
    (problem,) = unsupported(loaded, embedded=False)
    assert "services.a.provider: not supported: services that other programs run" in problem
    assert len(unsupported(loaded)) == 2


def test_problems_are_told_by_the_row_then_by_the_service(project: Callable[..., Project]) -> None:
    refused = "{image: i, storage_opt: {inodes: 9}, userns_mode: keep}"
    loaded = project(f"services: {{b: {refused}, a: {refused}}}")
    paths = [problem.split(": ")[1] for problem in unsupported(loaded)]
    assert [path.rpartition(".")[0] for path in paths] == [*("services.b", "services.a")] * 2
    assert [path.rpartition(".")[2] for path in paths] in (
        ["storage_opt", "storage_opt", "userns_mode", "userns_mode"],
        ["userns_mode", "userns_mode", "storage_opt", "storage_opt"],
    )


def test_a_loaded_service_is_one_that_says_the_same(project: Callable[..., Project]) -> None:
    service = project("services: {a: {image: i, ports: ['80']}}").services["a"]
    said = {name: getattr(service, name) for name in service.model_fields_set}
    assert {"image", "ports"} <= said.keys()
    assert service == Service(**said)


def test_what_is_supported_is_not_refused(project: Callable[..., Project]) -> None:
    loaded = project(
        "services: {a: {image: i, build: ., logging: {driver: none}, userns_mode: host,"
        " volumes: ['v:/v'], deploy: {placement: {constraints: [x]}}}}\nvolumes: {v: {}}\n"
    )
    assert unsupported(loaded) == []


@pytest.mark.parametrize(
    "attribute",
    [
        *("privileged: true", "entitlements: [network.host]", "cache_to: ['type=gha']"),
        *("cache_from: ['type=s3,bucket=x']",),
        *("provenance: true", "sbom: true", "isolation: hyperv"),
    ],
)
def test_what_no_build_honours_is_refused_with_its_place(
    project: Callable[..., Project], attribute: str
) -> None:
    loaded = project(f"services:\n  a:\n    build:\n      context: .\n      {attribute}\n")
    (problem,) = unsupported(loaded)
    assert "compose.yaml:5:" in problem
    assert f"services.a.build.{attribute.partition(':')[0]}" in problem


def test_a_build_is_honoured(project: Callable[..., Project]) -> None:
    plain = "services: {a: {build: {context: ., provenance: false, sbom: false, pull: true}}}"
    assert unsupported(project(plain)) == []


def test_states_have_their_rules() -> None:
    partly: list[Any] = [row for row in SUPPORT.values() if row.state is State.PARTLY]
    assert all(row.note for row in partly)


def test_a_secret_of_a_variable_is_honoured(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {a: {image: a, secrets: [s]}}\nsecrets: {s: {environment: SECRET}}\n"
    )
    assert unsupported(load(LoadOptions(), {"SECRET": "x"}, tmp_path)) == []
