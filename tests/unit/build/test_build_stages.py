"""Stages, the graph between them, and what each instruction comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stackr.build.dockerfile import parse
from stackr.build.errors import DockerfileError, UnsupportedInstruction
from stackr.build.evaluate import StageState
from stackr.build.expand import Words
from stackr.build.mounts import RunMount
from stackr.build.settings import DEFAULT_PATH
from stackr.build.stages import StagePlan, plan_of
from stackr.build.steps import Copy, Folder, Run, Step


def plan(text: str, **options: Any) -> StagePlan:
    return plan_of(parse(text), **options)


def run_stage(
    text: str, base: Mapping[str, Any] | None = None, **options: Any
) -> tuple[StageState, list[Step]]:
    made = plan(text, **options)
    state = StageState(made, made.target, base or {})
    return state, [state.step(each) for each in state.instructions()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$a", "1"),
        ("${a}b", "1b"),
        ("${x:-d}", "d"),
        ("${e:-d}", "d"),
        ("${e-d}", ""),
        ("${a:+y}", "y"),
        ("${x+y}", ""),
        ("${p#*/}", "b/c.tar.gz"),
        ("${p##*/}", "c.tar.gz"),
        ("${p%.*}", "a/b/c.tar"),
        ("${p%%.*}", "a/b/c"),
        ("${p/b/X}", "a/X/c.tar.gz"),
        ("${p//a/X}", "X/b/c.tXr.gz"),
        ("'$a'", "$a"),
        ('"$a"', "1"),
        (r"\$a", "$a"),
        ("${x:-${a}}", "1"),
        ("$x", ""),
    ],
)
def test_variables(text: str, value: str) -> None:
    assert Words({"a": "1", "e": "", "p": "a/b/c.tar.gz"}).word(text) == value


@pytest.mark.parametrize("text", ["${x?gone}", "${x:?gone}", "${a", "${}", "'a", "${a!b}"])
def test_a_malformed_or_required_variable(text: str) -> None:
    with pytest.raises(DockerfileError, match="on line 7"):
        Words({"a": "1"}, line=7).word(text)


def test_only_what_the_target_needs_is_kept() -> None:
    text = (
        "FROM a AS one\nFROM b AS two\nFROM c AS three\nCOPY --from=one /x /x\n"
        "FROM three\nRUN --mount=from=0,target=/m true\n"
    )
    assert [stage.label for stage in plan(text).stages] == ["one", "three", "3"]
    assert [stage.label for stage in plan(text, target="TWO").stages] == ["two"]
    assert plan(text).stages[-1].needs == (2, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN x\n", "no build stage in current context"),
        ("ARG x\n", "no build stage in current context"),
        ("FROM a b\n", "FROM requires either one or three arguments"),
        ("FROM a AS 1x\n", "invalid name for build stage"),
        ("FROM $x\n", r"base name \(\$x\) should not be blank"),
        ("FROM a\nCOPY --from=1 a b\n", "invalid from flag value 1"),
        ("FROM a AS me\nCOPY --from=me a b\n", "circular dependency detected on stage: me"),
        ("FROM a\nCOPY --form=x a b\n", r"unknown flag: --form \(did you mean from\?\)"),
        ("FROM a\nCOPY --link=maybe a b\n", "expecting boolean value"),
        ("FROM a\nCOPY --chown a b\n", "missing a value on flag: --chown"),
        ("FROM a\nCOPY --chown=1 --chown=2 a b\n", "duplicate flag specified"),
        ("FROM a\nRUN --mount=type=cahce,target=/x y\n", "did you mean cache"),
        ("FROM a\nRUN --mount=type=cache y\n", "target is required"),
        ("FROM a\nRUN --mount=type=tmpfs,target=/x,id=1 y\n", "unexpected key 'id'"),
    ],
)
def test_what_is_wrong_with_stages(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        plan(text)


def test_an_unknown_target_names_the_nearest() -> None:
    with pytest.raises(DockerfileError, match=r'"tset" could not be found \(did you mean test\?\)'):
        plan("FROM a AS test\n", target="tset")


def test_security_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedInstruction, match="RUN --security"):
        plan("FROM a\nRUN --security=insecure x\n")


def test_arguments_before_the_first_stage() -> None:
    text = "ARG V=1\nARG N=a:$V\nFROM $N\nARG V\nRUN x\n"
    assert plan(text).target.base == "a:1"
    assert plan(text, arguments={"V": "2"}).target.base == "a:2"
    state, _ = run_stage(text, arguments={"V": "2", "OTHER": "x"})
    assert state.args == {"V": "2"}
    assert state.plan.unused == ("OTHER",)


def test_an_image_without_a_path_is_given_one() -> None:
    state, _ = run_stage("FROM scratch\nENV A=$PATH\n")
    assert state.config["Env"] == [DEFAULT_PATH, f"A={DEFAULT_PATH.removeprefix('PATH=')}"]
    state, _ = run_stage("FROM x\n", {"Env": ["A=1", "PATH=/p"]})
    assert state.config["Env"] == ["A=1", "PATH=/p"]


def test_predefined_arguments() -> None:
    text = "FROM --platform=$BUILDPLATFORM a\nARG TARGETARCH\nRUN x\n"
    state, steps = run_stage(text, arguments={"HTTP_PROXY": "p"}, platform="linux/arm64/v8")
    assert state.plan.target.platform == "linux/arm64/v8"
    assert isinstance(steps[1], Run)
    assert steps[1].env == ("TARGETARCH=arm64", DEFAULT_PATH)
    assert steps[1].proxies == ("HTTP_PROXY=p",)


def test_the_environment_wins_over_arguments() -> None:
    state, steps = run_stage("FROM a\nARG x=1\nENV x=2 y=$x\nRUN z\n", {"Env": ["PATH=/p"]})
    assert state.config["Env"] == ["PATH=/p", "x=2", "y=1"]
    assert isinstance(steps[-1], Run)
    assert steps[-1].env == ("x=2", "PATH=/p", "y=1")


def test_settings() -> None:
    text = r"""FROM a
ENV A=1
LABEL a=$A b="x y"
USER $A:2
EXPOSE 80 90-91/udp
VOLUME ["/v$A"]
STOPSIGNAL SIGINT
SHELL ["/bin/bash", "-c"]
CMD echo hi
ENTRYPOINT ["/x"]
HEALTHCHECK --interval=1m30s --retries=3 CMD curl x
ONBUILD RUN --mount=type=tmpfs,target=/t make
MAINTAINER me
"""
    state, _ = run_stage(text, {"Cmd": ["old"], "Entrypoint": ["old"]})
    assert state.author == "me"
    assert state.config == {
        "Env": [DEFAULT_PATH, "A=1"],
        "Labels": {"a": "1", "b": "x y"},
        "User": "1:2",
        "ExposedPorts": {"80/tcp": {}, "90/udp": {}, "91/udp": {}},
        "Volumes": {"/v1": {}},
        "StopSignal": "SIGINT",
        "Shell": ["/bin/bash", "-c"],
        "Cmd": ["/bin/bash", "-c", "echo hi"],
        "Entrypoint": ["/x"],
        "Healthcheck": {"Test": ["CMD-SHELL", "curl x"], "Interval": 90 * 10**9, "Retries": 3},
        "OnBuild": ["RUN --mount=type=tmpfs,target=/t make"],
    }


def test_an_entrypoint_takes_the_bases_command_away() -> None:
    assert run_stage("FROM a\nENTRYPOINT x\n", {"Cmd": ["y"]})[0].config.get("Cmd") is None


def test_triggers_of_the_base_come_first_and_go() -> None:
    state, steps = run_stage("FROM a\nRUN own\n", {"OnBuild": ["ENV x=1", "RUN base"]})
    assert [step.instruction.original for step in steps] == ["ENV x=1", "RUN base", "RUN own"]
    assert "OnBuild" not in state.config


def test_working_folders_add_up() -> None:
    _, steps = run_stage("FROM a\nENV d=c\nWORKDIR /a\nWORKDIR b/$d/..\nCOPY x .\nCOPY y z\n")
    folders = [step.path for step in steps if isinstance(step, Folder)]
    copies = [step.target for step in steps if isinstance(step, Copy)]
    assert folders == ["/a", "/a/b"]
    assert copies == ["/a/b/", "/a/b/z"]


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("RUN a b", ("/bin/sh", "-c", "a b")),
        ('RUN ["a", "b c"]', ("a", "b c")),
        ("RUN <<E\nx\ny\nE", ("/bin/sh", "-c", "x\ny\n")),
        ("RUN <<-E\n\tx\n\tE", ("/bin/sh", "-c", "x\n")),
        ("RUN cat <<E > f\nx\nE", ("/bin/sh", "-c", "cat <<E > f\nx\nE")),
        ("RUN <<E\n#!/usr/bin/python3\nE", ("/bin/sh", "-c", "/dev/pipes/E")),
    ],
)
def test_programs(text: str, argv: tuple[str, ...]) -> None:
    (step,) = run_stage(f"FROM a\n{text}\n")[1]
    assert isinstance(step, Run)
    assert step.argv == argv


def test_heredocs_that_are_copied() -> None:
    text = 'FROM a\nENV v=1\nCOPY <<A <<"B" f /d/\n$v\nA\n$v\nB\n'
    step = run_stage(text)[1][-1]
    assert isinstance(step, Copy)
    assert step.sources == ("f",)
    assert [(each.name, each.content) for each in step.heredocs] == [("A", "1\n"), ("B", "$v\n")]


def test_mounts() -> None:
    text = (
        "FROM a\nARG d=/x\nRUN --mount=type=cache,id=c,target=$d,sharing=locked,uid=3,mode=0700"
        " --mount=type=secret,id=s --mount=type=secret,id=t,env=T,required"
        " --mount=type=tmpfs,target=/t,size=2m --mount=src=a,dst=b,rw --mount=type=ssh y\n"
    )
    step = run_stage(text)[1][-1]
    assert isinstance(step, Run)
    assert step.mounts == (
        RunMount("cache", "/x", id="c", sharing="locked", read_only=False, uid=3, mode=0o700),
        RunMount("secret", "/run/secrets/s", id="s", read_only=False),
        RunMount("secret", id="t", env="T", required=True, read_only=False),
        RunMount("tmpfs", "/t", size=2 << 20, read_only=False),
        RunMount("bind", "b", "a", read_only=False),
        RunMount("ssh", id="default", read_only=False),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("COPY a", "requires at least two arguments"),
        ("COPY a b c", "must be a directory and end with a /"),
        ("ADD --checksum=md5:1 http://x y", "invalid checksum"),
        ("EXPOSE 99999", "invalid containerPort"),
        ("STOPSIGNAL NOPE", "Invalid signal"),
        ("SHELL a", "JSON form"),
        ("HEALTHCHECK FOO x", "Unknown type"),
        ("HEALTHCHECK --interval=1 CMD x", "invalid duration"),
        (f"HEALTHCHECK --interval={'9' * 5000}s CMD x", "invalid duration"),
        ("HEALTHCHECK --retries=x CMD x", "not a number"),
        ("RUN", "RUN requires at least one argument"),
        ("RUN --network=bridge x", "unsupported network mode"),
        ("ENV =x", "names can not be blank"),
        ("LABEL", "at least one argument"),
        ("VOLUME", "at least one argument"),
        ('VOLUME [""]', "empty string"),
        ("USER", "exactly one argument"),
        ("WORKDIR", "exactly one argument"),
    ],
)
def test_what_is_wrong_with_an_instruction(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        run_stage(f"FROM a\n{text}\n")
    assert "on line 2" in str(caught.value)
