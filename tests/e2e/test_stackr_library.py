"""`import stackr`: what the command line does, from Python, on a real engine."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stackr_stack import Stack as Commands

import stackr

README = Path(__file__).parents[2] / "README.md"

TWO = """
    services:
      db:
        image: ${IMAGE}
        command: [sh, -c, "echo ready; exec sleep 1000"]
      web:
        image: ${IMAGE}
        command: [sleep, "1000"]
        depends_on: [db]
        stop_grace_period: 0s
        ports: ["127.0.0.1::80"]
"""


def load(commands: Commands) -> stackr.Stack:
    return stackr.Stack.load(
        commands.write(TWO),
        env={"IMAGE": commands.environ["IMAGE"]},
        project_name=commands.name,
        engine=f"unix://{commands.engine.socket}",
    )


def test_the_lines_of_the_readme(stack: Commands) -> None:
    stack.write(TWO)
    (lines,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(lines.splitlines()) <= 11
    done = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=stack.folder,
        env=stack.environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert f"{stack.name}-web-1 running" in shown
    assert "0" in shown
    assert stack.containers() == {}


def test_results_and_events(stack: Commands) -> None:
    there = load(stack)
    told: list[object] = []
    result = there.up(report=told.append)
    assert result.is_success
    assert {change.resource.name for change in result.plan.changes} >= {f"{stack.name}-web-1"}
    assert [event.plan for event in told if isinstance(event, stackr.events.Planned)] == [
        result.plan
    ]
    finished = [event for event in told if isinstance(event, stackr.events.OperationFinished)]
    assert len(finished) == len(result.plan.operations)
    assert there.diff().is_empty
    assert [line.text for line in there.logs(stackr.LogRequest(("db",)))] == ["ready"]
    followed = there.logs(stackr.LogRequest(("db",), follow=True))
    assert next(followed).text == "ready"
    followed.close()
    there.stop("web")
    assert [container.name for container in there.ps()] == [f"{stack.name}-db-1"]
    there.start()
    ended = there.run("web", ["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, b"out\n", b"err\n")
    inside = there.exec("db", ["sh", "-c", "echo $KEY; pwd; exit 4"], environment={"KEY": "v"})
    assert (inside.exit_code, inside.stdout, inside.stderr) == (4, b"v\n/\n", b"")
    assert inside.container == f"{stack.name}-db-1"
    with pytest.raises(stackr.StackrError, match="is not running container #7"):
        there.exec("db", ["true"], index=7)
    assert [revision.action for revision in there.history()] == ["up"]
    named = stackr.Stack.named(stack.name, engine=there.engine)
    assert len(named.ps()) == 2
    named.down(stackr.DownOptions(volumes=True, timeout_s=0))
    assert stack.containers() == {}


def test_a_plan_is_saved_applied_and_rolled_back(stack: Commands) -> None:
    there = load(stack)
    saved = stack.folder / "plan.json"
    plan = there.diff(stackr.UpOptions(services=("db",)), out=saved)
    assert there.apply(saved).plan.summary == plan.summary
    with pytest.raises(stackr.StackrError, match="plan"):
        there.apply(saved)
    there.up(stackr.UpOptions(services=("db",), scale={"db": 2}))
    assert len(there.ps()) == 2
    there.rollback()
    assert [container.name for container in there.ps()] == [f"{stack.name}-db-1"]


def test_what_fails_is_raised_with_its_cause(stack: Commands) -> None:
    stack.write("services: {web: {image: '${IMAGE}', command: [nothing-of-this-name]}}")
    there = stackr.Stack.load(
        stack.folder / "compose.yaml",
        env={"IMAGE": stack.environ["IMAGE"]},
        project_name=stack.name,
        engine=f"unix://{stack.engine.socket}",
    )
    with pytest.raises(stackr.ChangeFailed, match="nothing-of-this-name") as caught:
        there.up()
    assert caught.value.report is not None
    assert caught.value.report.causes[0].operation.resource.name == f"{stack.name}-web-1"
    assert caught.value.result.status == "failed"
    with pytest.raises(stackr.InvalidProject, match="compose"):
        stackr.Stack.load(stack.folder / "no-compose.yaml")


def test_the_same_as_coroutines(stack: Commands) -> None:
    there = load(stack)

    async def work() -> list[str]:
        with pytest.raises(stackr.StackrError, match="asynchronous"):
            there.ps()
        async with there.open() as live:
            await live.up(stackr.UpOptions(services=("db",)))
            lines = [line.text async for line in live.logs()]
            await live.down(stackr.DownOptions(timeout_s=0))
            return lines

    assert asyncio.run(work()) == ["ready"]


def test_images_are_built_and_sources_followed(stack: Commands) -> None:
    (stack.folder / "word").write_text("one")
    built = 'dockerfile_inline: "FROM ${IMAGE}\\nCOPY word /word\\n"'
    stack.write(f"""
        services:
          web:
            build: {{context: ., {built}}}
            command: [sleep, "1000"]
            stop_grace_period: 0s
            develop: {{watch: [{{action: sync, path: ./word, target: /word}}]}}
    """)
    there = stackr.Stack.load(
        stack.folder / "compose.yaml",
        env={"IMAGE": stack.environ["IMAGE"]},
        project_name=stack.name,
        engine=f"unix://{stack.engine.socket}",
    )
    told: list[object] = []
    there.build("web", report=told.append)
    assert any(isinstance(event, stackr.events.OperationFinished) for event in told)
    with pytest.raises(stackr.StackrError, match="no such service: nobody"):
        there.build("nobody")

    async def work() -> bytes:
        async with there.open(report=told.append) as live:
            watching = asyncio.ensure_future(live.watch())
            while stackr.events.Message("Watch enabled") not in told:
                await asyncio.sleep(0.02)
            (stack.folder / "word").write_text("two")
            while (seen := (await live.exec("web", ["cat", "/word"])).stdout) == b"one":
                await asyncio.sleep(0.02)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            return seen

    assert asyncio.run(work()) == b"two"
    there.down(stackr.DownOptions(timeout_s=0, images="local"))


def test_an_environment_for_a_test(stack: Commands) -> None:
    there = load(stack)
    options = stackr.EnvironmentOptions(services=("web",))
    seen = []

    def use() -> None:
        with there.environment(options) as environment:
            seen.append(environment.project)
            assert len(stackr.Stack.named(seen[0], engine=there.engine).ps()) == 2
            assert environment.variables["STACKR_WEB_80_PORT"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert stackr.Stack.named(seen[0], engine=there.engine).ps(all=True) == []
    assert stack.containers() == {}
