"""`stackr watch` and `stackr up --watch`: changed files arrive in containers."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stackr_stack import Stack, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., subprocess.CompletedProcess[str]]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command: sh -c "echo up; sleep 1000"
        user: ${WEB_USER:-0}
        stop_grace_period: 0s
        scale: 2
        develop:
          watch:
            - action: sync
              path: ./src
              target: /app/src
              ignore: ["*.log", node_modules/]
            - {action: sync+restart, path: ./conf.ini, target: /app/conf.ini}
            - action: sync+exec
              path: ./hook
              target: /app/hook
              exec: {command: [sh, -c, "echo $$GREETING from hook"], environment: {GREETING: hi}}
      other:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        depends_on: {web: {condition: service_started, restart: true}}
        develop:
          watch: [{action: restart, path: ./lib}]
    """


@pytest.fixture
def stack(stack: Stack) -> Stack:
    stack.write(STACK)
    (stack.folder / "src").mkdir()
    return stack


class Watching:
    """The command that watches, and what a container has."""

    def __init__(self, stack: Stack, docker: Docker, process: subprocess.Popen[str]) -> None:
        self.folder = stack.folder
        self.process = process
        self._stack = stack
        self._docker = docker
        self.out = ""

    def content(self, path: str, number: int = 1, service: str = "web") -> str | None:
        """A file's text; None where there is none."""
        name = f"{self._stack.name}-{service}-{number}"
        command = f"cat {path} 2>/dev/null || echo NONE"
        text = self._docker("exec", name, "sh", "-c", command).stdout
        return None if text == "NONE\n" else text

    def put(self, name: str, text: str) -> None:
        """A file that is whole from its first moment on: one change."""
        made = self.folder / "unwatched"
        made.write_text(text)
        made.replace(self.folder / name)

    def started(self, service: str) -> str:
        name = f"{self._stack.name}-{service}-1"
        return self._docker("inspect", "-f", "{{.State.StartedAt}}", name).stdout

    def read_until(self, text: str) -> None:
        assert self.process.stdout is not None
        while text not in self.out:
            line = self.process.stdout.readline()
            assert line, self.out
            self.out += line


@contextmanager
def watching(stack: Stack, docker: Docker, *command: str) -> Iterator[Watching]:
    """Run until it watches; at the end Ctrl-C, upon which it exits with 130."""
    process = stack.start(*command, stderr=subprocess.STDOUT)
    try:
        found = Watching(stack, docker, process)
        found.read_until("Watch enabled")
        yield found
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        found.out += rest
        assert process.returncode == 130, found.out
        assert "Traceback" not in found.out
        assert "Watch disabled" in found.out
    finally:
        process.kill()
        process.wait()


def test_files_are_copied_and_removed(stack: Stack, docker: Docker) -> None:
    with watching(stack, docker, "watch") as it:
        src = it.folder / "src"
        (src / "a").write_text("1")
        (src / "x.log").write_text("ignored")
        (src / "node_modules").mkdir()
        (src / "node_modules/m").write_text("ignored")
        until(lambda: it.content("/app/src/a") == "1")
        until(lambda: it.content("/app/src/a", 2) == "1")
        (src / "deep/er").mkdir(parents=True)
        (src / "deep/er/b").write_text("2")
        (src / "link").symlink_to("a")
        until(lambda: it.content("/app/src/deep/er/b") == "2")
        until(lambda: it.content("/app/src/link") == "1")
        (src / "new").write_text("3")
        (src / "new").replace(src / "a")
        until(lambda: it.content("/app/src/a") == "3")
        assert it.content("/app/src/new") is None
        shutil.rmtree(src / "deep")
        until(lambda: it.content("/app/src/deep/er/b") is None)
        assert it.content("/app/src/x.log") is None
        assert it.content("/app/src/node_modules/m") is None
        (src / "kind").write_text("file")
        until(lambda: it.content("/app/src/kind") == "file")
        (src / "kind").unlink()
        (src / "kind").mkdir()
        (src / "kind/inner").write_text("folder")
        until(lambda: it.content("/app/src/kind/inner") == "folder")
    assert 'Syncing service "web" after' in it.out
    assert set(stack.states().values()) == {"running"}


def test_restarts_and_commands(stack: Stack, docker: Docker) -> None:
    with watching(stack, docker, "watch") as it:
        web, other = it.started("web"), it.started("other")
        (it.folder / "hook").mkdir()
        (it.folder / "hook/x").write_text("x")
        for number in (1, 2):  # they are run side by side
            it.read_until(f"web-{number}  | hi from hook")
        until(lambda: it.content("/app/hook/x") == "x")
        assert it.started("web") == web
        it.put("conf.ini", "new")
        it.read_until('service(s) ["web"] restarted')
        assert it.content("/app/conf.ini") == "new"
        assert it.started("web") != web
        until(lambda: it.started("other") != other)  # depends_on with restart: true
        web, other = it.started("web"), it.started("other")
        (it.folder / "lib").mkdir()
        it.read_until('service(s) ["other"] restarted')
        assert it.started("web") == web


def test_what_is_written_belongs_to_the_containers_user(stack: Stack, docker: Docker) -> None:
    stack.environ["WEB_USER"] = "65534"
    with watching(stack, docker, "watch") as it:
        (it.folder / "src/a").write_text("1")
        until(lambda: it.content("/app/src/a") == "1")
        owner = docker("exec", f"{stack.name}-web-1", "stat", "-c", "%u", "/app/src/a").stdout
        assert owner == "65534\n"
        (it.folder / "src/a").unlink()
        until(lambda: it.content("/app/src/a") is None)


def test_initial_sync_and_no_up(stack: Stack, docker: Docker) -> None:
    path = stack.folder / "compose.yaml"
    path.write_text(
        path.read_text().replace(
            "target: /app/src", "target: /app/src\n          initial_sync: true"
        )
    )
    (stack.folder / "src/before").write_text("was there")
    stack("up", "-d")
    begun = stack.ids()
    with watching(stack, docker, "watch", "--no-up") as it:
        assert it.content("/app/src/before") == "was there"
        assert it.content("/app/src/before", 2) == "was there"
    assert stack.ids() == begun


def test_up_watches_as_well(stack: Stack, docker: Docker) -> None:
    with watching(stack, docker, "up", "--watch") as it:
        it.read_until("web-1  | up")
        (it.folder / "src/a").write_text("1")
        until(lambda: it.content("/app/src/a") == "1")
        before = it.started("web")
        it.put("conf.ini", "new")
        it.read_until('service(s) ["web"] restarted')
        assert it.started("web") != before
        (it.folder / "src/a").write_text("2")
        until(lambda: it.content("/app/src/a") == "2")
    assert set(stack.states().values()) == {"exited"}


def test_a_container_that_ends_does_not_end_it(stack: Stack, docker: Docker) -> None:
    path = stack.folder / "compose.yaml"
    path.write_text(path.read_text().replace("sleep 1000", "sleep 0.2"))
    with watching(stack, docker, "up", "-w") as it:
        it.read_until("web-2 exited with code 0")
        it.put("conf.ini", "new")
        it.read_until('service(s) ["web"] restarted')


def test_one_service_alone(stack: Stack, docker: Docker) -> None:
    with watching(stack, docker, "watch", "web") as it:
        (it.folder / "src/a").write_text("1")
        until(lambda: it.content("/app/src/a") == "1")
        assert set(stack.states()) == {"web-1", "web-2"}


def test_a_failure_is_reported_and_survived(stack: Stack, docker: Docker) -> None:
    with watching(stack, docker, "watch") as it:
        docker("exec", f"{stack.name}-web-1", "sh", "-c", "mkdir /app; touch /app/src")
        (it.folder / "src/a").write_text("1")
        it.read_until(f"warning: watch: {stack.name}-web-1:")
        docker("exec", f"{stack.name}-web-1", "rm", "/app/src")
        (it.folder / "src/a").write_text("2")
        until(lambda: it.content("/app/src/a") == "2")


def test_a_dry_run_watches_nothing(stack: Stack) -> None:
    shown = stack("watch", "--dry-run").stdout
    assert f"would watch {stack.folder / 'src'}" in shown
    assert stack.containers() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("action: sync\n", "action: rebuild\n"), "watch[0].action: rebuild: service"),
        (('["*.log", node_modules/]', '["["]'), "watch[0]: syntax error in pattern"),
        (("action: restart", "action: reload"), "action"),
    ],
)
def test_bad_rules(stack: Stack, change: tuple[str, str], message: str, tmp_path: Path) -> None:
    path = stack.folder / "compose.yaml"
    path.write_text(path.read_text().replace(*change))
    for command in (("watch",), ("up", "--watch")):
        assert message in stack(*command, want=1).stderr
    assert (
        json.loads(stack("ls", "--format", "json", "--filter", f"name={stack.name}").stdout) == []
    )


def test_nothing_to_watch(stack: Stack) -> None:
    stack.write("services: {web: {image: '${IMAGE}', command: sleep 1000}}")
    shown = stack("watch", want=1).stderr
    assert "none of the selected services is configured for watch" in shown
    assert stack.containers() == {}
