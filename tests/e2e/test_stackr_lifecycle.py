"""Commands on what exists, and --dry-run of all that change anything, beside Docker Compose."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import pytest
from pty_process import on_terminal
from recording_proxy import asking
from stackr_stack import STACKR, Stack, compose_program, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., subprocess.CompletedProcess[str]]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command:
          - sh
          - -c
          - "trap 'exit 5' TERM; trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done"
        depends_on: [db]
        stop_grace_period: 5s
      db:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        volumes: ["/anonymous", "data:/data"]
      tool:
        image: ${IMAGE}
        command: "true"
        profiles: [extra]
    volumes: {data: {}}
    """


@pytest.fixture
def stack(stack: Stack) -> Stack:
    stack.write(STACK)
    return stack


def everything(stack: Stack, docker: Docker) -> dict[str, str]:
    """Name and state of each container, those of `run` too."""
    label = f"label=com.docker.compose.project={stack.name}"
    shown = docker("ps", "-a", "-f", label, "--format", "{{.Names}} {{.State}}").stdout
    found = dict(line.split() for line in shown.splitlines())
    return {name.removeprefix(f"{stack.name}-"): state for name, state in found.items()}


def until_it_heeds_signals(stack: Stack, *, lives: int = 1) -> None:
    """lives: how often the program of `web` has been started."""
    until(lambda: stack("logs", "web").stdout.count("ready") == lives, "the program's handlers")


def test_create_makes_and_starts_nothing(stack: Stack, docker: Docker) -> None:
    stack("create", "--scale", "db=2")
    assert everything(stack, docker) == {"web-1": "created", "db-1": "created", "db-2": "created"}
    before = stack.ids()
    stack("create", "--no-recreate", "--scale", "db=2")
    assert stack.ids() == before
    stack("create", "--force-recreate", "db")
    assert stack.ids()[f"{stack.name}-db-1"] != before[f"{stack.name}-db-1"]
    stack("start")
    assert set(stack.states().values()) == {"running"}


def test_scale_touches_its_service_alone(stack: Stack) -> None:
    stack("scale", "web=2")
    assert stack.states() == {"web-1": "running", "web-2": "running", "db-1": "running"}
    before = stack.ids()
    stack("scale", "db=3", "web=1")
    assert set(stack.states()) == {"web-1", "db-1", "db-2", "db-3"}
    assert stack.ids().items() >= {f"{stack.name}-db-1": before[f"{stack.name}-db-1"]}.items()
    stack("scale", "web=0", "db=1")
    assert stack.states() == {"db-1": "running"}
    stack("down", "-t", "0")
    stack("scale", "--no-deps", "web=1")
    assert stack.states() == {"web-1": "running"}


def test_pause_and_unpause(stack: Stack) -> None:
    stack("up", "-d")
    assert f"Container {stack.name}-db-1  Paused" in stack("pause", "db").stderr
    assert stack.states() == {"web-1": "running", "db-1": "paused"}
    stack("pause", "web")
    assert set(stack.states().values()) == {"paused"}
    stack("unpause")
    assert set(stack.states().values()) == {"running"}


def test_kill_with_signals_and_oneoffs(stack: Stack, docker: Docker) -> None:
    stack("up", "-d")
    until_it_heeds_signals(stack)
    stack("kill", "-s", "USR1", "web")
    until(lambda: stack.states()["web-1"] == "exited")
    assert stack.containers()[f"{stack.name}-web-1"]["ExitCode"] == 6
    stack("run", "-d", "--no-deps", "--name", f"{stack.name}-own", "db", "sleep", "1000")
    stack("kill", "db")
    until(lambda: everything(stack, docker)["own"] == "exited")
    assert everything(stack, docker)["db-1"] == "exited"
    assert "No container to kill" in stack("kill").stderr


def test_stop_start_and_restart_leave_oneoffs(stack: Stack, docker: Docker) -> None:
    stack("up", "-d")
    stack("run", "-d", "--no-deps", "--name", f"{stack.name}-own", "db", "sleep", "1000")
    started = docker("inspect", "-f", "{{.State.StartedAt}}", f"{stack.name}-own").stdout
    stack("restart", "-t", "0")
    stack("stop", "-t", "0")
    assert everything(stack, docker) == {"web-1": "exited", "db-1": "exited", "own": "running"}
    assert docker("inspect", "-f", "{{.State.StartedAt}}", f"{stack.name}-own").stdout == started
    stack("start", "--wait")
    assert set(everything(stack, docker).values()) == {"running"}


def test_rm_of_what_stands_still(stack: Stack, docker: Docker) -> None:
    stack("up", "-d")
    volumes = set(docker("volume", "ls", "-q").stdout.split())
    stack("run", "--no-deps", "--name", f"{stack.name}-own", "db", "true")
    stack("stop", "-t", "0", "web")
    with on_terminal(stack, "rm") as process:
        process.read_until(b"[y/N]")
        process.type(b"n\r")
        process.wait()
    assert set(everything(stack, docker)) == {"web-1", "db-1", "own"}
    with on_terminal(stack, "rm", "web") as process:
        process.read_until(b"[y/N]")
        process.type(b"y\r")
        assert process.wait() == 0
    assert "web-1" not in everything(stack, docker)
    stack("rm", "-sfv")
    assert everything(stack, docker) == {"own": "exited"}  # as with Docker Compose
    left = set(docker("volume", "ls", "-q").stdout.split())
    assert volumes - left != set()
    assert f"{stack.name}_data" in left


THREE_DEEP = """\
    x-idle: &idle {image: "${IMAGE}", command: sleep 1000, stop_grace_period: 0s}
    services:
      job: {<<: *idle, command: "test ! -e /dev/shm/no"}
      db:
        <<: *idle
        command: sh -c 'rm -f /ok; sleep 0.3; touch /ok; sleep 1000'
        healthcheck: {test: [CMD, test, -e, /ok], interval: 100ms, start_period: 20s}
        depends_on: {job: {condition: service_completed_successfully}}
      app: {<<: *idle, depends_on: {db: {condition: service_healthy, restart: true}}}
      edge:
        <<: *idle
        depends_on:
          app: {condition: service_started, restart: true}
          tool: {condition: service_healthy, required: false}
      lazy: {<<: *idle, depends_on: [db]}
      tool: {<<: *idle, profiles: [extra]}
    """


def started(stack: Stack, docker: Docker) -> dict[str, str]:
    """When each service was last started."""
    ids = stack("ps", "-aq").stdout.split()
    entry = '{{index .Config.Labels "com.docker.compose.service"}} {{.State.StartedAt}}'
    return dict(line.split() for line in docker("inspect", "-f", entry, *ids).stdout.splitlines())


def test_start_and_restart_three_deep(stack: Stack, docker: Docker) -> None:
    stack.write(THREE_DEEP)
    stack("--profile", "extra", "create", "--quiet-pull")
    stack("start", "edge")
    assert stack.states() == {
        "job-1": "exited",
        "db-1": "running",
        "app-1": "running",
        "edge-1": "running",
        "lazy-1": "created",
        "tool-1": "created",
    }
    assert stack("ps", "--format", "{{.Health}}", "db").stdout == "healthy\n"
    stack("start")
    before = started(stack, docker)
    stack("restart", "-t", "0", "db")
    after = started(stack, docker)
    assert {name for name in after if after[name] != before[name]} == {"db", "app", "edge"}


def test_what_the_file_leaves_out_is_left_alone(stack: Stack) -> None:
    """The profile is off: as with Docker Compose, nothing is done without the service's name."""
    stack.write(THREE_DEEP)
    stack("--profile", "extra", "up", "-d", "--quiet-pull", "--no-deps", "tool", "app")
    for command in ("pause", "unpause", "stop", "restart", "kill"):
        assert "tool" not in stack(command, *(["-t", "0"] * (command == "restart"))).stderr
    assert stack.states() == {"tool-1": "running", "app-1": "exited"}
    stack("rm", "-f")
    stack("rm", "-fs", "tool")
    assert stack.states() == {}


def test_wait_gives_the_exit_code(stack: Stack) -> None:
    stack("up", "-d")
    until_it_heeds_signals(stack)
    told = []
    for life, program in enumerate((STACKR, compose_program()), 1):
        with asking(stack, "/wait", "wait", "web", program=program) as process:
            assert process.poll() is None
            stack("kill", "-s", "USR1", "web")
            told.append(process.communicate(timeout=60)[0])
        assert process.returncode == 6
        stack("start")
        until_it_heeds_signals(stack, lives=life + 1)
    assert told[0] == told[1]
    with asking(stack, "/wait", "wait", "--down-project", "db") as process:
        stack("kill", "db")
        process.communicate(timeout=60)
    assert process.returncode == 137
    assert stack.states() == {}


def test_wait_is_interrupted(stack: Stack) -> None:
    stack("up", "-d")
    with asking(stack, "/wait", "wait", "web") as process:
        process.send_signal(2)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err


_DRY = [
    (("up", "-d", "--scale", "web=2"), "web-2"),
    (("up", "--force-recreate"), "web-1"),
    (("create", "--force-recreate"), "web-1"),
    (("scale", "web=3"), "web-3"),
    (("down", "-v"), "web-1"),
    (("stop",), "web-1"),
    (("restart",), "web-1"),
    (("pause",), "web-1"),
    (("kill",), "web-1"),
    (("rm", "-sf"), "web-1"),
    (("rm", "-s"), "web-1"),
    (("pull",), ""),
    (("run", "--rm", "tool"), "tool-run-"),
    (("exec", "-T", "web", "touch", "/x"), "web-1"),
    (("wait", "--down-project", "web"), "web-1"),
    (("commit", "web", "x/y"), "web-1"),
    (("cp", "compose.yaml", "web:/x"), "web-1"),
    (("export", "-o", "x.tar", "web"), "web-1"),
    (("attach", "web"), "web-1"),
]


def test_a_dry_run_changes_nothing(stack: Stack, docker: Docker) -> None:
    stack("up", "-d")
    begun = f"{time.time():.6f}"
    before = everything(stack, docker)
    for number, (arguments, shown) in enumerate(_DRY):
        behind = (*arguments[:1], "--dry-run", *arguments[1:])
        told = stack(*(behind if number % 2 else ("--dry-run", *arguments))).stdout
        assert shown in told, arguments
    assert everything(stack, docker) == before
    window = ("--since", begun, "--until", f"{time.time():.6f}")
    label = f"label=com.docker.compose.project={stack.name}"
    assert docker("events", *window, "-f", label).stdout == ""
    assert not (stack.folder / "x.tar").exists()


def test_a_dry_run_as_json(stack: Stack) -> None:
    plan = json.loads(stack("up", "--dry-run", "--json").stdout)
    assert plan["summary"]["create"] == 4
    assert stack.containers() == {}


def test_dry_run_of_start_and_unpause(stack: Stack) -> None:
    stack("create")
    assert "web-1" in stack("start", "--dry-run").stdout
    assert set(stack.states().values()) == {"created"}
    stack("start")
    stack("pause")
    assert "web-1" in stack("unpause", "--dry-run").stdout
    assert set(stack.states().values()) == {"paused"}


def test_parallel_calls(stack: Stack) -> None:
    stack("--parallel", "1", "up", "-d")
    stack.environ["COMPOSE_PARALLEL_LIMIT"] = "2"
    stack("restart", "-t", "0")
    stack.environ["COMPOSE_PARALLEL_LIMIT"] = "many"
    assert "COMPOSE_PARALLEL_LIMIT" in stack("stop", want=1).stderr
    del stack.environ["COMPOSE_PARALLEL_LIMIT"]


def test_all_resources(stack: Stack, docker: Docker) -> None:
    stack.write(
        "services: {web: {image: '${IMAGE}', command: sleep 1000, stop_grace_period: 0s}}\n"
        "volumes: {unused: {}}\nnetworks: {unused: {}}\n"
    )
    stack("up", "-d")
    assert f"{stack.name}_unused" not in docker("volume", "ls", "-q").stdout
    stack("--all-resources", "up", "-d")
    assert f"{stack.name}_unused" in docker("volume", "ls", "-q").stdout
    assert f"{stack.name}_unused" in docker("network", "ls").stdout
    assert "unused" in stack("config", "--all-resources").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("up", "--build", "--no-build"), "up: --build and --no-build cannot be combined"),
        (("create", "--build", "--no-build"), "create: --build and --no-build cannot be combined"),
        (("up", "-d", "--watch"), "up: --detach and --watch cannot be combined"),
        (("--compatibility", "up"), "--compatibility: not supported"),
        (("scale", "web"), '"web": SERVICE=NUM is expected'),
        (("scale", "nope=1"), "no such service: nope"),
        (("scale", "web=-1"), "SERVICE=NUM is expected"),
        (("wait",), "missing argument"),
        (("wait", "nope"), "no such service: nope"),
        (("kill", "-s", "NOPE"), "Invalid signal: NOPE"),
        (("pause", "nope"), "no such service: nope"),
        (("--parallel", "0", "up"), '--parallel: "0"'),
        (("logs", "--index", "1"), "--index needs one service"),
        (("rm",), "there is no terminal to ask at"),
        (("stop", "-t", "-1"), '"-1" is no duration of 0 or more'),
        (("up", "--pull", "daily"), '--pull: unknown value "daily"'),
        (("frobnicate",), 'unknown command "frobnicate"'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_usage(stack: Stack, arguments: tuple[str, ...], message: str) -> None:
    shown = stack(*arguments, want=1).stderr
    assert message.lower() in shown.lower()
    assert len(shown.splitlines()) <= 2


def test_composes_environment_variables(stack: Stack) -> None:
    stack("up", "-d")
    stack.write("services: {web: {image: '${IMAGE}', command: sleep 1000, stop_grace_period: 0s}}")
    stack.environ["COMPOSE_REMOVE_ORPHANS"] = "1"
    stack("up", "-d")
    assert set(stack.states()) == {"web-1"}
