"""`stackr up` and what follows from it, as a user types it, on the embedded engine."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest
from pty_process import on_terminal
from stackr_stack import Stack, free_port, until

from stackr.version import __version__

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

TWO = """\
    services:
      web:
        image: ${IMAGE}
        command: sleep 1000
        init: false
        stop_grace_period: 1s
        environment:
          LOG_LEVEL: info
        depends_on: [db]
      db:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 1s
        volumes: [data:/data]
    volumes:
      data:
    """


def test_up_is_done_once(stack: Stack) -> None:
    stack.write(TWO)
    first = stack("up", "-d")
    assert f"Container {stack.name}-web-1  Started" in first.stderr
    assert first.stdout == ""
    assert stack.states() == {"db-1": "running", "web-1": "running"}
    ids = stack.ids()
    again = stack("up", "-d")
    assert "no changes" in again.stderr
    assert "Creating" not in again.stderr
    assert stack.ids() == ids
    assert stack("diff", "--exit-code").stdout.startswith(f"{stack.name}: no changes")


def test_one_edited_variable_changes_one_service(stack: Stack) -> None:
    path = stack.write(TWO)
    stack("up", "-d")
    before = stack.ids()
    path.write_text(path.read_text().replace("LOG_LEVEL: info", "LOG_LEVEL: debug"))
    shown = stack("diff", "--exit-code", want=2).stdout
    assert 'environment.LOG_LEVEL: "info" → "debug"' in shown
    assert f"{stack.name}-db-1" not in shown
    assert stack.ids() == before
    plan = json.loads(stack("diff", "--format", "json").stdout)
    assert plan["version"] == 1
    assert plan["summary"] == {"recreate": 1}
    [change] = plan["changes"]
    assert change["resource"]["service"] == "web"
    assert [field["path"] for field in change["fields"]] == ["environment.LOG_LEVEL"]
    stack("up", "-d")
    after = stack.ids()
    assert after[f"{stack.name}-db-1"] == before[f"{stack.name}-db-1"]
    assert after[f"{stack.name}-web-1"] != before[f"{stack.name}-web-1"]
    assert "LOG_LEVEL=debug" in stack("exec", "-T", "web", "env").stdout
    stack("diff", "--exit-code")


def test_down_keeps_volumes_until_asked(stack: Stack) -> None:
    stack.write(TWO)
    stack("up", "-d")
    stack("exec", "-T", "db", "sh", "-c", "echo kept > /data/file")
    gone = stack("down")
    assert f"Network {stack.name}_default  Removed" in gone.stderr
    assert "Volume" not in gone.stderr
    stack("up", "-d")
    assert stack("exec", "-T", "db", "cat", "/data/file").stdout == "kept\n"
    assert f"Volume {stack.name}_data  Removed" in stack("down", "-v").stderr
    assert "nothing to remove" in stack("down", "-v").stderr


def test_down_takes_the_anonymous_volume_that_a_recreation_kept(stack: Stack) -> None:
    def anonymous() -> set[str]:
        return {name for name in stack("volume", "ls", "-q").stdout.split() if len(name) == 64}

    kept = "services: {mail: {image: '${IMAGE}', command: sleep 1000, volumes: [/spool], %s}}"
    stack.write(kept % "stop_grace_period: 0s")
    before = anonymous()
    stack("up", "-d")
    stack("exec", "-T", "mail", "touch", "/spool/letter")
    [made] = anonymous() - before
    stack.write(kept % "stop_grace_period: 0s, hostname: other")
    stack("up", "-d")
    assert stack("exec", "-T", "mail", "ls", "/spool").stdout == "letter\n"
    assert anonymous() - before == {made}
    stack("down", "-v")
    assert anonymous() == before


def test_a_stack_file_by_name_and_chosen_services(stack: Stack) -> None:
    stack.write(TWO, "other.yml")
    stack("up", "other.yml", "-d", "db")
    assert stack.states() == {"db-1": "running"}
    stack("-f", "other.yml", "up", "--detach")
    assert stack.states() == {"db-1": "running", "web-1": "running"}
    assert stack("ps", "other.yml", "--services", "web").stdout == "web\n"
    assert stack("ps", "-q", "other.yml", "web").stdout.strip() != ""


def test_scale_up_and_down(stack: Stack) -> None:
    stack.write("services: {web: {image: '${IMAGE}', command: sleep 1000, stop_grace_period: 0s}}")
    stack("up", "-d", "--scale", "web=3")
    assert stack.states() == {f"web-{number}": "running" for number in (1, 2, 3)}
    stack("up", "-d", "--scale", "web=1")
    assert stack.states() == {"web-1": "running"}


def test_orphans_are_told_and_removed_on_request(stack: Stack) -> None:
    stack.write(TWO)
    stack("up", "-d")
    stack.write("services: {db: {image: '${IMAGE}', command: sleep 1000}}")
    told = stack("up", "-d", "--no-recreate").stderr
    assert "orphan" in told
    assert "--remove-orphans" in told
    assert set(stack.states()) == {"db-1", "web-1"}
    stack("up", "-d", "--no-recreate", "--remove-orphans")
    assert set(stack.states()) == {"db-1"}


def test_two_folders_with_one_name(stack: Stack) -> None:
    """What the other has made is told, before it goes; its network is left to it."""
    stack.write("services: {web: {image: '${IMAGE}', command: sleep 1000, stop_grace_period: 0s}}")
    stack("up", "-d")
    other = stack.folder / "other"
    other.mkdir()
    file = other / "compose.yaml"
    file.write_text("services: {api: {image: '${IMAGE}', command: sleep 1000}}")
    arguments = ("-f", str(file))
    origin = str(stack.folder / "compose.yaml")
    told = stack(*arguments, "down").stderr
    assert f"Network {stack.name}_default  Resource is still in use" in told
    assert origin in told
    assert origin in stack(*arguments, "diff").stderr
    [risk] = [
        risk
        for risk in stack.plan(*arguments, "diff", "--remove-orphans", "--format", "json")["risks"]
        if risk["id"] == "other-stack"
    ]
    assert origin in risk["message"]
    assert stack.states() == {"web-1": "running"}


def test_recreate_on_request_and_never(stack: Stack) -> None:
    path = stack.write(TWO)
    stack("up", "-d")
    before = stack.ids()
    stack("up", "-d", "--force-recreate")
    forced = stack.ids()
    assert not set(before.values()) & set(forced.values())
    path.write_text(path.read_text().replace("LOG_LEVEL: info", "LOG_LEVEL: debug"))
    stack("up", "-d", "--no-recreate")
    assert stack.ids() == forced


def test_wait_for_health(stack: Stack) -> None:
    stack.write(
        """\
        services:
          web:
            image: ${IMAGE}
            command: sh -c "sleep 0.5; touch /tmp/ready; sleep 1000"
            stop_grace_period: 0s
            healthcheck: {test: "test -e /tmp/ready", interval: 200ms, retries: 10000}
        """
    )
    done = stack("up", "--wait", "--wait-timeout", "60")
    assert f"Container {stack.name}-web-1  " in done.stderr
    assert stack.containers()[f"{stack.name}-web-1"]["Health"] == "healthy"


def test_wait_tells_who_stays_ended_and_waits_for_who_comes_back(stack: Stack) -> None:
    text = """\
        services:
          once:
            image: ${{IMAGE}}
            command: sh -c "test -e /x || {{ touch /x; exit 1; }}; exec sleep 1000"
            restart: always
            stop_grace_period: 0s
          bad:
            image: ${{IMAGE}}
            command: sh -c "echo the cause; exit {code}"
            restart: "{restart}"
        """
    stack.write(text.format(code=3, restart="no"))
    told = stack("up", "--wait", want=1).stderr
    assert f"stackr: container {stack.name}-bad-1 exited (3)" in told
    assert "| the cause" in told
    until(lambda: stack.states()["once-1"] == "running")
    stack.write(text.format(code=0, restart="on-failure:1"))
    told = stack("up", "--wait", want=1).stderr
    assert f"container {stack.name}-bad-1 exited (0)" in told
    stack("up", "--wait", "once")


def test_where_the_time_went(stack: Stack) -> None:
    stack.write(
        """\
        services:
          web:
            image: ${IMAGE}
            command: sleep 1000
            stop_grace_period: 0s
            depends_on: {db: {condition: service_healthy}}
          db:
            image: ${IMAGE}
            command: sleep 1000
            stop_grace_period: 0s
            healthcheck: {test: "true", interval: 1s}
        """
    )
    lines = [
        json.loads(line) for line in stack("up", "-d", "--timings", "--json").stdout.splitlines()
    ]
    [profile] = [line for line in lines if line["event"] == "profile"]
    steps = [f"{s['action']} {s['resource']['name']}" for s in profile["longest_chain"]]
    assert steps[-3:] == [
        f"start container {stack.name}-db-1",
        f"wait for {stack.name}-db-1",
        f"start container {stack.name}-web-1",
    ]
    ends = {step["id"]: step["end_s"] for step in profile["operations"]}
    assert max(ends.values()) == profile["elapsed_s"]
    stack("down")
    shown = stack("up", "-d", "--timings").stderr
    assert "longest chain: " in shown
    assert f"Container {stack.name}-db-1 " in shown
    assert "nothing was done" in stack("up", "-d", "--timings").stderr


def test_published_ports_answer(stack: Stack) -> None:
    port = free_port()
    stack.write(
        f"""\
        services:
          web:
            image: ${{IMAGE}}
            command: httpd -f -p 80 -h /www
            stop_grace_period: 0s
            ports: ["127.0.0.1:{port}:80"]
            volumes: ["./www:/www:ro"]
        """
    )
    (stack.folder / "www").mkdir()
    (stack.folder / "www" / "index.html").write_text("hello\n")
    stack("up", "-d")

    def answer() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as reply:
                return str(reply.read().decode())
        except OSError:
            return ""

    assert until(answer) == "hello\n"
    assert stack("port", "web", "80").stdout == f"127.0.0.1:{port}\n"
    assert stack("port", "web", "81", want=1).stderr.startswith("stackr: no port 81/tcp")


def test_json_events(stack: Stack) -> None:
    stack.write(TWO)
    done = stack("up", "-d", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "plan_started"
    assert events[-1]["event"] == "plan_finished"
    assert events[-1]["failed"] == 0
    assert done.stderr == ""
    started = [
        event["resource"]["service"]
        for event in events
        if event["event"] == "operation_finished" and event["action"] == "start container"
    ]
    assert started == ["db", "web"]


def test_dry_run_does_nothing(stack: Stack) -> None:
    stack.write(TWO)
    shown = stack("up", "--dry-run").stdout
    assert f"+ container {stack.name}-web-1" in shown
    assert stack.containers() == {}


def test_life_cycle_of_existing_containers(stack: Stack) -> None:
    stack.write(TWO)
    assert "has no containers" in stack("start", want=1).stderr
    stack("up", "-d", "--no-start")
    assert stack.states() == {"db-1": "created", "web-1": "created"}
    stack("start")
    assert stack.states() == {"db-1": "running", "web-1": "running"}
    stack("stop", "-t", "0", "web")
    assert stack.states() == {"db-1": "running", "web-1": "exited"}
    assert stack("ps", "--status", "exited", "--services").stdout == "web\n"
    assert "there is no terminal to ask at" in stack("rm", want=1).stderr
    stack("rm", "-f")
    assert stack.states() == {"db-1": "running"}
    stack("restart", "-t", "0", "db")
    stack("kill", "-s", "kill")
    until(lambda: stack.states() == {"db-1": "exited"})
    assert "unknown" not in stack("start", "db").stderr
    assert "no such service: webb" in stack("stop", "webb", want=1).stderr


def test_logs_are_merged_by_time_and_cut(stack: Stack) -> None:
    stack.write(
        """\
        services:
          a:
            image: ${IMAGE}
            command: sh -c "echo one; until [ -e /go/a ]; do sleep 0.1; done; echo three"
            volumes: [./go:/go]
          b:
            image: ${IMAGE}
            command: sh -c "echo two >&2; until [ -e /go/b ]; do sleep 0.1; done; echo four"
            volumes: [./go:/go]
        """
    )
    go = stack.folder / "go"
    go.mkdir()
    stack("up", "-d", "a")
    until(lambda: "one" in stack("logs", "a").stdout)
    stack("up", "-d", "b")
    until(lambda: "two" in stack("logs", "b").stdout)
    (go / "a").touch()
    until(lambda: stack.states()["a-1"] == "exited")
    (go / "b").touch()
    until(lambda: stack.states()["b-1"] == "exited")
    lines = stack("logs").stdout.splitlines()
    assert lines == ["a-1  | one", "b-1  | two", "a-1  | three", "b-1  | four"]
    assert stack("logs", "-n", "1", "b").stdout == "b-1  | four\n"
    assert stack("logs", "--no-log-prefix", "--since", "1h", "a").stdout == "one\nthree\n"
    stamped = stack("logs", "-t", "-n", "1", "a").stdout.split()
    assert stamped[2].startswith("20")
    assert stamped[2].endswith("Z")
    assert stack("logs", "-f", "a").stdout == "a-1  | one\na-1  | three\n"


def test_in_the_foreground_until_all_have_ended(stack: Stack) -> None:
    stack.write(
        """\
        services:
          a: {image: "${IMAGE}", command: sh -c "echo to-out; echo to-err >&2"}
          b: {image: "${IMAGE}", command: sh -c "sleep 0.3; echo late; exit 3"}
        """
    )
    done = stack("up")
    assert "a-1  | to-out" in done.stdout
    assert "b-1  | late" in done.stdout
    assert "b-1 exited with code 3" in done.stdout
    assert "a-1  | to-err" in done.stderr
    stack.write((stack.folder / "compose.yaml").read_text().replace("late", "again"))
    again = stack("up")
    assert "late" not in again.stdout
    assert "b-1  | again" in again.stdout


@pytest.mark.parametrize(
    ("option", "code"),
    [
        (("--abort-on-container-exit",), 3),
        (("--exit-code-from", "a"), 3),
        (("--exit-code-from", "b"), 143),
        (("--abort-on-container-failure",), 3),
    ],
)
def test_the_first_end_ends_all(stack: Stack, option: tuple[str, ...], code: int) -> None:
    stack.write(
        """\
        services:
          a: {image: "${IMAGE}", command: sh -c "sleep 0.3; exit 3"}
          b:
            image: ${IMAGE}
            command: sh -c "trap 'exit 143' TERM; while :; do sleep 0.1; done"
            stop_grace_period: 60s
        """
    )
    stack("up", *option, want=code)
    until(lambda: set(stack.states().values()) == {"exited"})


_LASTING = """\
    services:
      web:
        image: ${IMAGE}
        command: sh -c "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"
        stop_grace_period: 60s
    """
_DEAF = """\
    services:
      web:
        image: ${IMAGE}
        command: sh -c "trap '' TERM; echo up; while :; do sleep 0.1; done"
        stop_grace_period: 60s
    """


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_stack_gracefully(stack: Stack, number: signal.Signals) -> None:
    stack.write(_LASTING)
    with stack.start("up") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "web-1  | up\n":
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Gracefully stopping... (press Ctrl+C again to force)" in err
    assert "web-1  | bye" in out
    assert stack.states() == {"web-1": "exited"}
    assert "Traceback" not in err


def test_ctrl_c_twice_kills(stack: Stack) -> None:
    stack.write(_DEAF)
    with on_terminal(stack, "up") as process:
        seen = process.read_until(b"web-1  | \x1b[0mup")
        assert b"\xe2\x9c\x94 Container" in seen
        process.type(b"\x03")
        process.read_until(b"Gracefully stopping")
        process.type(b"\x03")
        assert process.wait() == 130
    assert stack.states() == {"web-1": "exited"}


def test_exec_on_a_terminal_and_without(stack: Stack) -> None:
    stack.write(_LASTING)
    stack("up", "-d")
    stack("exec", "-T", "web", "sh", "-c", "exit 7", want=7)
    assert stack("exec", "-T", "web", "cat", stdin="through\n").stdout == "through\n"
    assert stack(
        "exec", "-T", "-e", "A=b", "-w", "/tmp", "web", "sh", "-c", "echo $A; pwd"
    ).stdout == ("b\n/tmp\n")
    assert 'service "nope"' in stack("exec", "-p", stack.name, "nope", "true", want=1).stderr
    stack("exec", "-d", "web", "touch", "/tmp/made")
    until(lambda: not stack("exec", "-T", "web", "test", "-e", "/tmp/made", want=None).returncode)
    with on_terminal(stack, "exec", "web", "sh", "-c", "tty; read x; exit $x") as process:
        process.read_until(b"/dev/pts/")
        process.type(b"5\n")
        assert process.wait() == 5


def test_no_file_and_no_name(stack: Stack, tmp_path: Path) -> None:
    del stack.environ["COMPOSE_PROJECT_NAME"]
    stack.folder = tmp_path / "empty"
    stack.folder.mkdir()
    for command in (["up", "-d"], ["ps"], ["down"], ["logs"]):
        assert "no configuration file provided" in stack(*command, want=1).stderr
    assert stack("ps", "-p", "unknown-project").stdout.startswith("NAME")
    stack.environ["COMPOSE_PROJECT_NAME"] = stack.name


def test_version(stack: Stack) -> None:
    assert __version__ in stack("version").stdout


def test_lines_that_come_together_are_all_shown(stack: Stack) -> None:
    """The monitor reads many in one go, and gives them one time."""
    script = "i=0; while [ $$i -lt 1000 ]; do echo line $$i.; i=$$((i+1)); done"
    stack.write(f"services: {{web: {{image: '${{IMAGE}}', command: [sh, -c, '{script}']}}}}")
    wanted = [f"line {number}." for number in range(1000)]
    for arguments in (("up",), ("logs", "-f")):
        shown = stack(*arguments).stdout.splitlines()
        lines = [line.partition("| ")[2] for line in shown if "| line" in line]
        assert lines == wanted, arguments
