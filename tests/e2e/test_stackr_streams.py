"""`stackr exec` and `stackr attach`: streams, terminals, signals and exit codes."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from pty_process import on_terminal
from recording_proxy import asking
from stackr_stack import Stack, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command: [sh, -c, "while read x; do echo got $$x; [ $$x = b ] && exit 4; done"]
        stdin_open: true
        scale: 2
        stop_grace_period: 0s
      plain:
        image: ${IMAGE}
        command: [sh, -c, "trap 'echo usr; exit 6' USR1; echo up; while :; do sleep 0.1; done"]
        stop_grace_period: 0s
      shell:
        image: ${IMAGE}
        command: [sh, -c, "while :; do sleep 0.1; done"]
        tty: true
        stdin_open: true
        stop_grace_period: 0s
    """


@pytest.fixture(scope="module")
def stack(standing: Stack) -> Stack:
    """One for all: what a test ends, the next one starts again."""
    standing.write(STACK)
    return standing


@pytest.fixture(autouse=True)
def is_up(stack: Stack) -> None:
    stack("up", "-d")


@pytest.mark.parametrize(
    ("command", "code"),
    [(("sh", "-c", "exit 5"), 5), (("no-such-program",), 127), (("/etc",), 126)],
)
def test_exec_exits_as_its_command(stack: Stack, command: tuple[str, ...], code: int) -> None:
    stack("exec", "-T", "web", *command, want=code)
    stack.compose("exec", "-T", "web", *command, want=code)


def test_exec_takes_composes_options(stack: Stack) -> None:
    stack.environ["CALLERS"] = "own"
    script = "echo $A $CALLERS; pwd; id -u"
    options = ("exec", "-T", "-e", "A=b", "-e", "CALLERS", "-w", "/tmp", "-u", "nobody", "web")
    shown = stack(*options, "sh", "-c", script).stdout
    assert shown == stack.compose(*options, "sh", "-c", script).stdout == "b own\n/tmp\n65534\n"
    assert stack("exec", "-T", "--privileged", "web", "true").stdout == ""
    named = stack("exec", "-T", "--index", "2", "web", "hostname").stdout.strip()
    assert stack.ids()[f"{stack.name}-web-2"].startswith(named)
    assert (
        "is not running container #9" in stack("exec", "--index", "9", "web", "true", want=1).stderr
    )


def test_exec_passes_much_both_ways(stack: Stack) -> None:
    text = "".join(f"{number:07}\n" for number in range(200_000))
    assert stack("exec", "-T", "web", "cat", stdin=text).stdout == text


def test_exec_leaves_stdin_alone_when_asked(stack: Stack) -> None:
    shown = stack("exec", "-T", "--interactive=false", "web", "cat", stdin="ignored").stdout
    assert shown == ""


def test_exec_on_a_terminal(stack: Stack) -> None:
    # the size may be told a moment after the program has begun
    script = "until stty size 2>&1 | grep '^20 70'; do sleep 0.02; done; cat"
    with on_terminal(stack, "exec", "web", "sh", "-c", script, rows=20, columns=70) as it:
        it.read_until(b"20 70")
        it.type(b"one\r")
        it.read_until(b"one\r\none\r\n")
        it.type(b"\x04")
        assert it.wait() == 0


def test_exec_is_detached_from(stack: Stack) -> None:
    with on_terminal(stack, "exec", "web", "sh", "-c", "echo up; sleep 1234") as it:
        it.read_until(b"up\r\n")
        it.type(b"\x10\x11")
        assert it.wait() == 0
    assert "sleep 1234" in stack("exec", "-T", "web", "ps").stdout


def test_exec_in_a_stopped_container(stack: Stack) -> None:
    stack("stop", "web")
    ours = stack("exec", "-T", "web", "true", want=1).stderr
    stack.compose("exec", "-T", "web", "true", want=1)
    assert 'service "web" is not running' in ours


def test_attach_joins_the_programs_own_streams(stack: Stack) -> None:
    with stack.start("attach", "web", stdin=-1) as process:
        out, _ = process.communicate("a\nb\n", timeout=60)
    assert out == "got a\ngot b\n"
    assert process.returncode == 4
    assert stack.states()["web-1"] == "exited"
    assert stack.states()["web-2"] == "running"


def test_attach_by_index_and_without_stdin(stack: Stack) -> None:
    command = ("attach", "--index", "2", "--no-stdin", "web")
    with asking(stack, "/attach", *command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("unheard\n")
        process.stdin.flush()
        stack("kill", "web")
        out, _ = process.communicate(timeout=60)
    assert "unheard" not in out
    assert process.returncode == 137


def test_attach_passes_signals_on(stack: Stack) -> None:
    stack("up", "-d", "--force-recreate", "plain")
    until(lambda: "up" in stack("logs", "plain").stdout, "the program's handler")
    with asking(stack, "/attach", "attach", "plain") as process:
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == ("usr\n", 6), err


def test_attach_keeps_signals_to_itself_when_asked(stack: Stack) -> None:
    with asking(stack, "/attach", "attach", "--sig-proxy=false", "plain") as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert stack.states()["plain-1"] == "running"


@pytest.mark.parametrize(
    ("option", "keys"), [((), b"\x10\x11"), (("--detach-keys", "ctrl-a,d"), b"\x01d")]
)
def test_attach_on_a_terminal_is_left_by_keys(
    stack: Stack, option: tuple[str, ...], keys: bytes
) -> None:
    with on_terminal(stack, "attach", *option, "shell") as it:
        it.until_raw()
        it.type(keys)
        assert it.wait() == 0
    assert stack.states()["shell-1"] == "running"


def test_a_dry_run_joins_nothing(stack: Stack) -> None:
    assert "would run in" in stack("exec", "-T", "--dry-run", "web", "touch", "/made").stdout
    stack("exec", "-T", "web", "test", "!", "-e", "/made")
    assert "would" in stack("attach", "--dry-run", "web").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exec", "nope", "true"), "no such service: nope"),
        (("exec", "web"), "missing argument 'COMMAND"),
        (("exec", "-e", "=b", "web", "true"), '--env: "=b": KEY=VALUE is expected'),
        (("attach", "nope"), "no such service: nope"),
        (("attach", "--index", "9", "web"), "is not running container #9"),
        (("attach", "--detach-keys", "ctrl-9", "web"), "--detach-keys:"),
    ],
)
def test_bad_usage(stack: Stack, arguments: tuple[str, ...], message: str) -> None:
    shown = stack(*arguments, want=1).stderr
    assert message in shown
    assert len(shown.splitlines()) <= 2


def test_json_of_ps_has_what_was_started(stack: Stack) -> None:
    [first, *_] = stack("ps", "--format", "json").stdout.splitlines()
    assert json.loads(first)["Project"] == stack.name


def test_up_shows_what_is_attached_to(stack: Stack) -> None:
    """`attach: false` keeps a service quiet, and no log driver does, as with Docker Compose."""
    stack.write(
        """\
        services:
          loud:
            image: ${IMAGE}
            command: sh -c 'echo from-loud; printf half >&2'
            logging: {driver: none}
          quiet: {image: "${IMAGE}", command: echo from-quiet, attach: false}
        """
    )
    done = stack("up")
    assert sorted(done.stdout.splitlines()) == ["loud-1  | from-loud", "loud-1 exited with code 0"]
    assert "loud-1  | half" in done.stderr
    shown = stack("up", "--attach", "quiet").stdout
    assert shown.splitlines() == ["quiet-1  | from-quiet", "quiet-1 exited with code 0"]
    logs = stack("logs")
    assert "from-quiet" in logs.stdout
    assert "loud-1 shows no output: configured logging driver" in logs.stderr
