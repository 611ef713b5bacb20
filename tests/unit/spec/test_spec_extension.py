"""`x-stackr`: what it may hold, how it is typed, and the schema that editors get."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from yaml import safe_load

from stackr.errors import InvalidProject
from stackr.spec.decode import Struct
from stackr.spec.extension import PROJECT, SERVICE
from stackr.spec.load import LoadOptions, load_tree
from stackr.spec.model.extension import (
    Probe,
    ProjectExtension,
    RestartUnhealthy,
    ServiceExtension,
)
from stackr.spec.model.project import Project
from stackr.spec.render import project_tree
from stackr.spec.schema.extension import extension_schema, stack_schema
from stackr.spec.structs import struct_of

ROOT = Path(__file__).parents[3]
Load = Callable[..., Project]
Refused = Callable[..., list[str]]


def _service(extension: str, more: str = "") -> str:
    return f"services:\n  a:\n    image: i\n    x-stackr: {extension}\n{more}"


def test_a_service_has_its_extension_typed(project: Load) -> None:
    text = _service(
        "{probe: {http: 'http://localhost/h', status: '200,300-399', interval: 1m30s, timeout: 2s,"
        " retries: 4, start_period: 0s, start_interval: 500ms}, ready_timeout: 2m, stateful: true}"
    )
    loaded = project(text).services["a"]
    assert loaded.stackr == ServiceExtension.model_construct(
        probe=Probe.model_construct(
            http="http://localhost/h",
            status=((200, 200), (300, 399)),
            interval=90.0,
            timeout=2.0,
            retries=4,
            start_period=0.0,
            start_interval=0.5,
        ),
        ready_timeout=120.0,
        stateful=True,
    )
    assert loaded.stackr.probe is not None
    assert loaded.stackr.probe.kind == "http"


def test_without_an_extension_everything_has_its_default(project: Load) -> None:
    loaded = project("services: {a: {image: i}}")
    assert loaded.stackr == ProjectExtension()
    assert loaded.services["a"].stackr == ServiceExtension()
    assert Probe(tcp=1).status == ((200, 399),)


def test_the_extension_is_interpolated_merged_and_extended(project: Load) -> None:
    files = {
        "compose.yaml": "x-stackr: {policy: {a: warn, b: error}}\nservices:\n  a:\n"
        "    extends: {file: base.yaml, service: b}\n    x-stackr: {probe: {interval: '${I}'}}\n",
        "compose.override.yaml": "x-stackr: {policy: {b: '${L}'}}\n"
        "services: {a: {x-stackr: {stateful: '${S}', probe: {retries: '${N}'}}}}\n",
        "base.yaml": "services: {b: {image: i, x-stackr: {probe: {tcp: '${P}', interval: 9s}}}}",
    }
    loaded = project(files, {"P": "80", "I": "3s", "N": "2", "S": "no", "L": "ignore"})
    extension = loaded.services["a"].stackr
    probe = extension.probe
    assert probe is not None
    assert (probe.tcp, probe.interval, probe.retries) == (80, 3.0, 2)
    assert extension.stateful is False
    assert loaded.stackr.policy == {"a": "warn", "b": "ignore"}


def test_a_probe_is_replaced_where_the_file_says_so(project: Load) -> None:
    files = {
        "compose.yaml": _service("{probe: {tcp: 80}}"),
        "compose.override.yaml": "services: {a: {x-stackr: {probe: !override {file: /ready}}}}",
    }
    assert project(files).services["a"].stackr.probe == Probe(file="/ready")


def test_it_is_printed_as_it_is_written(typed: Callable[..., dict[str, Any]]) -> None:
    text = _service("{probe: {tcp: '80', interval: 1m30s}}", "x-stackr: {policy: {a: warn}}\n")
    tree = project_tree("x", typed(text), yaml=True)
    assert tree["services"]["a"]["x-stackr"] == {"probe": {"interval": "1m30s", "tcp": "80"}}
    assert tree["x-stackr"] == {"policy": {"a": "warn"}}


def test_a_policy_may_be_a_file(project: Load) -> None:
    files = {"compose.yaml": "x-stackr: {policy: p/o.yaml}\nservices: {a: {image: i}}"}
    assert project({**files, "p/o.yaml": "a: warn\n"}).stackr.policy == {"a": "warn"}
    assert project({**files, "p/o.yaml": "# none"}).stackr.policy == {}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("a: eror", "policy.yaml:1:4: a: must be one of error, warn, ignore"),
        ("- a", "policy.yaml:1:1: must be a mapping from risks"),
        ("a: [", "policy.yaml:2:1: while parsing a flow node"),
        (None, "policy.yaml: no such file or directory"),
    ],
)
def test_policy_files_that_are_none(problems: Refused, policy: str | None, message: str) -> None:
    files = {"compose.yaml": "x-stackr: {policy: policy.yaml}\nservices: {a: {image: i}}"}
    if policy is not None:
        files["policy.yaml"] = policy
    assert message in problems(files)[0]


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        ("[]", "4:15: services.a.x-stackr: must be a mapping, not []"),
        ("{prob: {}}", '4:16: services.a.x-stackr.prob: unknown key "prob"'),
        ("{probe: {}}", "4:23: services.a.x-stackr.probe: needs one of tcp, http, log, file"),
        ("{probe: {tcp: 1, log: x}}", "takes one of tcp, http, log, file, not tcp and log"),
        ("{probe: {tcp: 70000}}", "probe.tcp: must be a port from 1 to 65535, not 70000"),
        ("{probe: {tcp: a}}", 'probe.tcp: strconv.ParseInt: parsing "a": invalid syntax'),
        ("{probe: {http: x}}", 'probe.http: must be a URL as "http://localhost:8080/health"'),
        ("{probe: {http: 'http://x', status: 2xx}}", "probe.status: must be codes or ranges"),
        ("{probe: {http: 'http://x', status: 300-200}}", "probe.status: must be codes or ranges"),
        ("{probe: {tcp: 1, status: 200}}", "probe.status: is for http, not for tcp"),
        ("{probe: {log: '('}}", "probe.log: is no regular expression: missing )"),
        ("{probe: {log: '%s'}}" % ("(" * 5000), "probe.log: is no regular expression"),
        ("{probe: {file: x}}", "probe.file: must be an absolute path in the container"),
        ("{probe: {tcp: 1, interval: 0s}}", "probe.interval: must be longer than 0, not 0s"),
        ("{probe: {tcp: 1, start_period: -1s}}", "start_period: must not be negative, as -1s is"),
        ("{probe: {tcp: 1, retries: 0}}", "probe.retries: must be 1 or more, not 0"),
        ("{ready_timeout: 5}", "ready_timeout: time: missing unit in duration"),
        ("{stateful: maybe}", "stateful: invalid boolean: maybe"),
        ("{restart_unhealthy: 3}", "restart_unhealthy: must be true, false or a mapping, not 3"),
        ("{restart_unhealthy: {max_attempts: -1}}", "max_attempts: must be 0 (no limit) or more"),
        ("{restart_unhealthy: {delay: -1s}}", "delay: must not be negative, as -1s is"),
        ("{restart_unhealthy: {retries: 1}}", 'restart_unhealthy.retries: unknown key "retries"'),
    ],
)
def test_what_is_wrong_in_a_service_is_told(
    problems: Refused, extension: str, message: str
) -> None:
    (problem,) = problems(_service(extension))
    assert problem.startswith("compose.yaml:")
    assert message in problem


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        ("1", "1:11: x-stackr: must be a mapping, not 1"),
        ("{polcy: {}}", 'x-stackr.polcy: unknown key "polcy"'),
        ("{policy: []}", "x-stackr.policy: must be a mapping of risks, or the path"),
        ("{policy: ''}", "x-stackr.policy: must be a mapping of risks, or the path"),
        ("{policy: {a: never}}", "x-stackr.policy.a: must be one of error, warn, ignore"),
        ("{policy: {a: [warn]}}", "x-stackr.policy.a: must be one of error, warn, ignore"),
    ],
)
def test_what_is_wrong_at_the_top_is_told(problems: Refused, extension: str, message: str) -> None:
    (problem,) = problems(f"x-stackr: {extension}\nservices: {{a: {{image: i}}}}")
    assert message in problem


def test_the_nearest_spelling_is_a_hint(project: Load) -> None:
    for text, hint in (
        (_service("{probe: {tcp: 1, intervall: 1s}}"), "interval"),
        (_service("{}", "x-stackr: {policy: {a: eror}}\n"), "error"),
    ):
        with pytest.raises(InvalidProject) as caught:
            project(text)
        (problem,) = caught.value.problems
        assert getattr(problem, "hint", None) == f'did you mean "{hint}"?'


def test_a_probe_and_a_healthcheck_exclude_each_other(problems: Refused, project: Load) -> None:
    text = _service("{probe: {tcp: 1}}", "    healthcheck: {%s}\n")
    (problem,) = problems(text % "test: [CMD, x]")
    assert problem == (
        "compose.yaml:4:16: services.a.x-stackr.probe: stands beside"
        " services.a.healthcheck.test: only one of them can be"
    )
    assert project(text % "disable: true").services["a"].stackr.probe == Probe(tcp=1)


def test_what_is_never_checked_cannot_become_unhealthy(problems: Refused, project: Load) -> None:
    text = "    healthcheck: {%s}\n"
    for disabled in ("disable: true", "test: [NONE]"):
        (problem,) = problems(_service("{restart_unhealthy: true}", text % disabled))
        assert "restart_unhealthy: no effect: services.a.healthcheck disables the" in problem
        project(_service("{restart_unhealthy: false}", text % disabled))
        project(_service("{restart_unhealthy: true, probe: {tcp: 1}}", text % "disable: true"))


def test_disabled_services_are_checked_too(problems: Refused) -> None:
    text = "services: {a: {image: i}, b: {image: i, profiles: [p], x-stackr: {x: 1}}}"
    assert "services.b.x-stackr.x: unknown key" in problems(text)[0]


def test_what_is_not_interpolated_is_not_judged(write: Callable[..., Path]) -> None:
    folder = write({"compose.yaml": _service("{probe: {tcp: '${P}'}}")})
    tree = load_tree(LoadOptions(interpolate=False), {}, folder).tree
    assert tree["services"]["a"]["x-stackr"]["probe"]["tcp"] == "${P}"


@pytest.mark.parametrize("made", [extension_schema(), stack_schema()], ids=lambda made: made["$id"])
def test_the_committed_schemas_are_current(made: dict[str, Any]) -> None:
    path = ROOT / "docs" / "schema" / made["$id"]
    assert json.loads(path.read_text(encoding="utf-8")) == made
    jsonschema.Draft7Validator.check_schema(made)


@pytest.mark.parametrize(
    "struct", [PROJECT, SERVICE, struct_of(Probe, closed=True)], ids=lambda s: s.model.__name__
)
def test_each_struct_has_the_fields_of_its_model(struct: Struct) -> None:
    assert set(struct.model.model_fields) - {"extensions"} == set(struct.fields)


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "x-stackr.md").read_text(encoding="utf-8")
    for model in (ProjectExtension, ServiceExtension, Probe, RestartUnhealthy):
        for name in set(model.model_fields) - {"extensions"}:
            assert f"`{name}`" in text, name


@pytest.mark.parametrize(
    ("extension", "valid"),
    [
        ("{probe: {tcp: 80, interval: 5s}, ready_timeout: 1m, stateful: false}", True),
        ("{probe: {tcp: '${PORT}'}, stateful: '${S}'}", True),
        ("{restart_unhealthy: {max_attempts: 0, window: 1h}}", True),
        ("{restart_unhealthy: true}", True),
        ("{restart_unhealthy: {after: 1h}}", False),
        ("{probe: {interval: 5s}}", True),
        ("{probe: {http: 'http://x/', status: 204}, x-own: 1}", True),
        ("{probe: {http: '${URL}'}}", True),
        ("{probe: {tcp: 80, http: 'http://x/'}}", False),
        ("{probe: {tcp: 80, status: '200'}}", False),
        ("{probe: {tcp: 0}}", False),
        ("{probe: {file: ready}}", False),
        ("{prob: {tcp: 80}}", False),
    ],
)
def test_an_editor_validates_a_whole_file(extension: str, valid: bool) -> None:
    tree = safe_load(_service(extension, "x-stackr: {policy: {a: warn}}\n"))
    assert jsonschema.Draft7Validator(stack_schema()).is_valid(tree) is valid


def test_the_examples_are_valid_for_an_editor() -> None:
    found = list(ROOT.glob("examples/stacks/*/compose.yaml"))
    for file in found:
        tree = safe_load(file.read_text(encoding="utf-8"))
        jsonschema.Draft7Validator(stack_schema()).validate(tree)
    assert found
