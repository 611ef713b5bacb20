"""Which service began it, and how it is shown: on a screen, as JUnit, to GitHub, as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xmlschema

from stackr.cli.views.findings_github import error_commands, without_commands
from stackr.errors import Conflict
from stackr.executor.events import OperationFailed, OperationFinished
from stackr.planner.plan.model import Action, Operation, Resource
from stackr.planner.plan.payloads import PullImage, WaitFor
from stackr.runtime import labels
from stackr.runtime.types import ContainerState, EngineEvent
from stackr.spec.model.parts import Healthcheck
from stackr.spec.model.service import Service
from stackr.stack.health_hint import start_period_hint
from stackr.stack.testenv.command import CannotRun, CommandNotFound, check_command
from stackr.stack.testenv.findings import (
    CommandResult,
    Findings,
    Place,
    Readiness,
    Spoken,
    Suspect,
    has_failed,
    in_order,
    last_check,
    problem_of,
)
from stackr.stack.testenv.junit import junit_xml
from stackr.stack.testenv.summary import findings_json, findings_lines
from stackr.stack.testenv.timeline import Moment, Timeline


@pytest.mark.parametrize(
    ("state", "problem", "fails"),
    [
        ({"state": "running"}, "", False),
        ({"state": "running", "health": "healthy"}, "", False),
        ({"state": "exited", "exit_code": 0}, "", False),
        ({"state": "exited", "exit_code": 3}, "exited with code 3", True),
        ({"state": "dead", "exit_code": 1, "error": "no"}, "exited with code 1: no", True),
        (
            {"state": "exited", "exit_code": 137, "oom_killed": True},
            "ran out of memory (exit code 137)",
            True,
        ),
        ({"state": "running", "health": "unhealthy"}, "is unhealthy", True),
        ({"state": "created", "error": "port"}, "could not be started: port", False),
        (
            {"state": "restarting", "exit_code": 2, "restart_count": 1},
            "ends and is restarted (exit code 2, 1 time)",
            True,
        ),
        ({"state": "running", "restart_count": 2}, "was restarted (2 times)", False),
    ],
)
def test_what_is_wrong_with_a_container(state: dict[str, Any], problem: str, fails: bool) -> None:
    container = ContainerState("id", "name", **state)
    assert problem_of(container) == problem
    assert has_failed(container) is fails


def test_the_last_check() -> None:
    state = ContainerState("id", "name", health="unhealthy")
    assert last_check(state) == ""
    assert last_check(replace(state, health_exit_code=0, health_output="fine")) == ""
    assert last_check(replace(state, health_exit_code=1)) == "exited 1, with no output"
    told = last_check(replace(state, health_exit_code=7, health_output="a\n  b"))
    assert told == 'exited 7: "a b"'
    assert len(last_check(replace(state, health_exit_code=7, health_output="x" * 5000))) < 500


def _suspect(service: str) -> Suspect:
    return Suspect(service, f"demo-{service}-1", "exited with code 1")


def test_the_root_cause_is_what_others_depend_on() -> None:
    suspects = [_suspect("web"), _suspect("api"), _suspect("db")]
    needs = {"web": ["api"], "api": ["cache"], "cache": ["db"], "db": []}
    timeline = [Moment(1, "", "web", True), Moment(2, "", "api", True), Moment(3, "", "db", True)]
    assert [s.service for s in in_order(suspects, needs, timeline)] == ["db", "web", "api"]


def test_without_dependencies_the_first_failure_counts() -> None:
    suspects = [_suspect("a"), _suspect("b"), _suspect("c")]
    timeline = [
        Moment(1, "", "c", False),
        Moment(2, "", "b", True),
        Moment(3, "", "a", True),
        Moment(4, "", "b", True),
    ]
    assert [s.service for s in in_order(suspects, {}, timeline)] == ["b", "a", "c"]


def test_services_that_depend_on_each_other_do_not_hang() -> None:
    suspects = [_suspect("a"), _suspect("b")]
    assert len(in_order(suspects, {"a": ["b"], "b": ["a"]}, [])) == 2


HOSTILE = "\x00\x1b[31m]]>&<\"'\ufffe::error::x\r\n%0A"
FINDINGS = Findings(
    stack="demo",
    project="demo-t-1",
    headline=f"not ready {HOSTILE}",
    suspects=(
        Suspect(
            "db",
            "demo-t-1-db-1",
            f"is unhealthy {HOSTILE}",
            health='exited 1: "no"',
            hint="look",
            place=Place("sub/compose.yaml", 7, 3),
            log=("one", HOSTILE),
        ),
        Suspect("img", "", "not found"),
    ),
    timeline=(Moment(0.5, "db-1 started", "db"), Moment(1.25, f"bad {HOSTILE}", "db", True)),
    services=(
        Readiness("db", 1.25, failure=f"unhealthy {HOSTILE}"),
        Readiness("web", skipped="waits for db"),
        Readiness("cache", 0.5),
    ),
    command=CommandResult(("pytest", "-k", f"x {HOSTILE}"), 3.2, "exited with code 1"),
    took_s=4.5,
)


@pytest.fixture(scope="module")
def schema() -> Any:
    return xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


@pytest.mark.parametrize(
    "findings",
    [
        FINDINGS,
        replace(FINDINGS, command=None),
        replace(FINDINGS, command=CommandResult(("x",), skipped="not ready")),
        Findings("demo", "demo-t-1", ""),
    ],
)
def test_junit_is_what_ci_systems_read(findings: Findings, schema: Any) -> None:
    schema.validate(junit_xml(findings, started_at=1_760_000_000.5))


def test_junit_says_what_failed(schema: Any) -> None:
    suite = schema.to_dict(junit_xml(FINDINGS, started_at=0))["testsuite"][0]
    counts = {key: suite[f"@{key}"] for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 4, "failures": 2, "errors": 0, "skipped": 1}
    assert suite["@timestamp"] == "1970-01-01T00:00:00"
    cases = {case["@classname"] + "/" + case["@name"]: case for case in suite["testcase"]}
    failed = cases["demo.services/db is ready"]["failure"]
    assert "unhealthy" in failed["@message"]
    assert failed["$"].startswith("sub/compose.yaml:7:3\ndemo-t-1-db-1: is unhealthy")
    assert cases["demo.services/web is ready"]["skipped"]["@message"] == "waits for db"
    assert "failure" not in cases["demo.services/cache is ready"]


def test_the_screen() -> None:
    lines = list(findings_lines(replace(FINDINGS, command=None), artifacts="art"))
    text = "\n".join(lines)
    assert lines[0].startswith("stackr: demo-t-1: not ready")
    assert '  root cause: service "db": is unhealthy' in text
    assert "    at sub/compose.yaml:7:3" in lines
    assert '    last health check exited 1: "no"' in lines
    assert "    look" in lines
    assert "      | one" in lines
    assert '  also: service "img": not found' in lines
    assert "       +0.50 s  db-1 started" in lines
    assert lines[-1] == "  all of it: art"


def test_a_long_story_is_cut_but_for_its_failures() -> None:
    timeline = [Moment(n, f"good {n}") for n in range(50)]
    timeline += [Moment(50 + n, f"bad {n}", "db", True) for n in range(20)]
    findings = replace(FINDINGS, timeline=tuple(timeline), suspects=(), command=None)
    text = "\n".join(findings_lines(findings))
    assert "(50 earlier ones are left out)" in text
    assert "bad 0" in text
    assert "bad 19" in text
    assert "good" not in text


def test_many_suspects_are_named() -> None:
    suspects = tuple(_suspect(f"s{n}") for n in range(9))
    findings = replace(FINDINGS, suspects=suspects)
    lines = list(findings_lines(findings))
    assert "  also: s4, s5, s6, s7, s8" in lines


def test_json() -> None:
    told = json.loads(json.dumps(findings_json(FINDINGS)))
    assert told["event"] == "environment_failed"
    assert told["suspects"][0]["place"] == "sub/compose.yaml:7:3"
    assert told["services"][1] == {
        "service": "web",
        "took_s": 0,
        "failure": "",
        "skipped": "waits for db",
    }
    assert findings_json(replace(FINDINGS, command=None))["command"] is None


def test_annotations_cannot_be_broken_out_of(tmp_path: Path) -> None:
    lines = error_commands(FINDINGS, {})
    assert len(lines) == 2
    assert all("\n" not in line and "\r" not in line for line in lines)
    assert lines[0].startswith("::error file=sub/compose.yaml,line=7,col=3,title=stackr test%3A")
    assert lines[0].count("::error::x") == 1  # not at a line's beginning: text
    assert lines[0].endswith('%0D%0A%250A; last health check exited 1: "no"')
    assert lines[1].startswith("::error title=")
    alone = error_commands(replace(FINDINGS, suspects=(), headline="the command failed"), {})
    assert alone == ["::error title=stackr test%3A demo::the command failed"]


def test_files_are_named_from_the_workspace() -> None:
    workspace = {"GITHUB_WORKSPACE": str(Path.cwd().parent)}
    assert f"file={Path.cwd().name}/sub/compose.yaml," in error_commands(FINDINGS, workspace)[0]
    elsewhere = {"GITHUB_WORKSPACE": "/nowhere"}
    assert "file=sub/compose.yaml," in error_commands(FINDINGS, elsewhere)[0]


def test_others_lines_are_no_commands() -> None:
    first, *lines, last = without_commands(["::add-mask::x", "y"])
    token = first.removeprefix("::stop-commands::")
    assert lines == ["::add-mask::x", "y"]
    assert last == f"::{token}::"
    assert len(token) > 30
    assert without_commands([])[0] != first


def _event(action: str, service: str = "db", **attributes: str) -> EngineEvent:
    own = {"name": f"demo-{service}-1", labels.SERVICE: service, **attributes}
    return EngineEvent("container", action, "id", own)


def test_the_timeline_of_engine_and_plan() -> None:
    timeline = Timeline("demo")
    for event in (
        _event("create"),
        _event("start"),
        _event("exec_create: true"),
        _event("health_status: unhealthy"),
        _event("oom"),
        _event("die", exitCode="137"),
        _event("die", "job", exitCode="0"),
        _event("destroy"),
        EngineEvent("network", "create", "id"),
    ):
        timeline.engine_event(event)
    resource = Resource("container", "demo-db-1", "db", 1)
    wait = Operation(1, Action.WAIT_FOR, resource, "", WaitFor("demo-db-1", "running", "db"))
    for _ in range(2):
        timeline(OperationFailed(wait, 1.0, 1.0, Conflict("is unhealthy")))
    pull = Operation(
        2, Action.PULL_IMAGE, Resource("image", "nginx"), "", PullImage("nginx", "", ("web",))
    )
    timeline(OperationFinished(pull, 1.0, 2.5))
    timeline(OperationFailed(pull, 1.0, 1.0, Conflict("not there")))
    told = [(m.text, m.service, m.is_bad) for m in timeline.moments]
    assert told == [
        ("db-1 started", "db", False),
        ("db-1 is unhealthy", "db", True),
        ("db-1 ran out of memory", "db", True),
        ("db-1 exited with code 137", "db", True),
        ("job-1 exited with code 0", "job", False),
        ("db-1 removed", "db", False),
        ("wait for db-1 failed: is unhealthy", "db", True),
        ("image nginx pulled in 2.5 s", "", False),
        ("pull image nginx failed: not there", "web", True),
    ]


def test_of_a_failing_test_the_services_output_is_shown() -> None:
    """The timeline tells how the environment came up, which it did."""
    ran = replace(
        FINDINGS,
        suspects=(),
        command=CommandResult(("pytest",), 1.0, "exited with code 1"),
        output=(Spoken("web-1", "GET / 500"), Spoken("db-1", "no such table")),
    )
    lines = list(findings_lines(ran))
    assert "    web-1 | GET / 500" in lines
    assert "    db-1  | no such table" in lines
    assert "  timeline:" not in lines
    assert not any("db-1 started" in line for line in lines)
    assert any(line.startswith("       +1.25 s  bad") for line in lines)
    assert findings_json(ran)["output"][0] == {"container": "web-1", "text": "GET / 500"}
    silent = list(findings_lines(replace(ran, output=())))
    assert "  the services wrote nothing while it ran" in silent


@pytest.mark.parametrize(
    ("check", "state", "is_told"),
    [
        ({"interval": 2.0, "retries": 3}, {}, True),
        ({"start_period": 30.0}, {}, False),
        ({}, {"health": "healthy"}, False),
        ({}, {"state": "exited"}, False),
        ({}, {"health_exit_code": 127}, False),
    ],
)
def test_a_hint_at_the_start_period(
    check: dict[str, Any], state: dict[str, Any], is_told: bool
) -> None:
    service = Service(image="db", healthcheck=Healthcheck(test=("CMD", "ready"), **check))
    seen = {"state": "running", "health": "unhealthy", "health_exit_code": 1, **state}
    hint = start_period_hint(service, ContainerState("id", "demo-db-1", **seen))
    assert ("healthcheck.start_period" in hint) is is_told
    assert ("had 6s to get ready" in hint) is (is_told and "retries" in check)


def test_a_command_is_looked_for_before_anything_is_made(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    check_command(["sh"])
    with pytest.raises(CommandNotFound, match="nosuchcmd: command not found") as missing:
        check_command(["nosuchcmd"])
    with pytest.raises(CannotRun, match="permission denied") as denied:
        check_command([str(script)])
    assert (missing.value.exit_code, denied.value.exit_code) == (127, 126)
