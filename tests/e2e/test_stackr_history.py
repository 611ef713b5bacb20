"""`stackr history`, `rollback` and `diff --revision`, and what locks a project."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest
from stackr_stack import STACKR, Stack, until

Docker = Callable[..., Any]

pytestmark = [pytest.mark.root, pytest.mark.e2e]

STACK = """\
    services:
      web:
        image: ${{IMAGE}}
        command: sleep 1000
        stop_grace_period: 0s
        environment: {{LEVEL: {level}}}
    """


def up(stack: Stack, level: str, *arguments: str) -> None:
    stack.write(STACK.format(level=level))
    stack("up", "-d", *arguments)


def revisions(stack: Stack) -> list[dict[str, Any]]:
    found = json.loads(stack("history", "--format", "json").stdout)
    assert isinstance(found, list)
    return found


def level(stack: Stack) -> str:
    lines = stack("exec", "-T", "web", "env").stdout.splitlines()
    return next(line.removeprefix("LEVEL=") for line in lines if line.startswith("LEVEL="))


def test_each_applied_revision_is_kept(stack: Stack) -> None:
    assert revisions(stack) == []
    up(stack, "one")
    stack("up", "-d")  # nothing to do is no revision
    up(stack, "two", "--scale", "web=2")
    two, one = revisions(stack)
    assert [one["number"], two["number"]] == [1, 2]
    assert (one["status"], one["action"], one["summary"]) == (
        "applied",
        "up",
        {"create": 2},
    )
    assert two["replicas"] == {"web": 2}
    assert len(one["digest"]) == 64
    assert one["digest"] != two["digest"]
    assert one["images"]["web"].startswith("sha256:")
    shown = stack("history").stdout
    assert shown.splitlines()[0].split()[0] == "REVISION"
    stack("down")
    assert len(revisions(stack)) == 2
    stack("up", "-d")
    stack("down", "-v")
    assert revisions(stack) == []


def test_rollback_and_forward(stack: Stack) -> None:
    up(stack, "one")
    up(stack, "two", "--scale", "web=2")
    assert "1 to recreate" in stack("rollback", "--dry-run").stdout
    stack("rollback")
    assert level(stack) == "one"
    assert set(stack.states()) == {"web-1"}
    assert revisions(stack)[0]["action"] == "rollback to 1"
    stack("rollback", "2")
    assert level(stack) == "two"
    assert set(stack.states()) == {"web-1", "web-2"}
    assert "no such revision: 9" in stack("rollback", "9", want=1).stderr
    assert "a revision's number is expected" in stack("rollback", "0", want=1).stderr


def test_rollback_takes_away_what_came_later(stack: Stack) -> None:
    up(stack, "one")
    path = stack.write(STACK.format(level="one"))
    path.write_text(
        path.read_text()
        + "  late: {image: '${IMAGE}', command: sleep 1000, stop_grace_period: 0s}\n"
    )
    stack("up", "-d")
    assert set(stack.states()) == {"web-1", "late-1"}
    stack("rollback")
    assert set(stack.states()) == {"web-1"}


def test_rollback_needs_an_earlier_revision(stack: Stack) -> None:
    up(stack, "one")
    assert "no earlier revision" in stack("rollback", want=1).stderr


def test_a_diff_with_a_revision(stack: Stack) -> None:
    up(stack, "one")
    up(stack, "two")
    shown = stack("diff", "--revision", "1", "--exit-code", want=2).stdout
    assert 'environment.LEVEL: "one" → "two"' in shown
    stack("diff", "--revision", "2", "--exit-code")


def test_a_failed_up_is_in_the_history(stack: Stack) -> None:
    stack.write("services: {web: {image: '${IMAGE}', command: /nonexistent}}")
    stack("up", "-d", want=1)
    assert [each["status"] for each in revisions(stack)] == ["failed"]


def test_secrets_are_not_kept(stack: Stack) -> None:
    stack.environ["API_KEY"] = "do-not-keep-this"
    stack.write(
        """\
        services:
          web: {image: "${IMAGE}", command: sleep 1000, secrets: [key], stop_grace_period: 0s}
        secrets: {key: {environment: API_KEY}}
        """
    )
    stack("up", "-d")
    stack("up", "-d", "--force-recreate")
    stack("rollback", "1")
    assert stack("exec", "-T", "web", "cat", "/run/secrets/key").stdout == "do-not-keep-this"


def test_two_runs_of_one_project_wait_for_each_other(stack: Stack) -> None:
    stack.write(
        """\
        services:
          web:
            image: ${IMAGE}
            command: sleep 1000
            stop_grace_period: 0s
            healthcheck: {test: "test -e /go", interval: 100ms, retries: 1000}
        """
    )
    first = stack.start("up", "--wait")
    until(lambda: stack.states().get("web-1") == "running")
    second = stack.start("up", "-d", "--scale", "web=2")
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(second.stderr or ()))
    reader.start()
    until(lambda: any("is changing the project" in line for line in told))
    assert set(stack.states()) == {"web-1"}
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert second.wait(60) == 0
    reader.join()
    if second.stdout:
        second.stdout.close()
    if second.stderr:
        second.stderr.close()
    assert set(stack.states()) == {"web-1", "web-2"}


def test_what_others_remove_is_drift_and_what_rm_removes_is_not(
    stack: Stack, docker: Docker
) -> None:
    up(stack, "one")
    docker("rm", "-f", f"{stack.name}-web-1")
    assert "[drift]" in stack("diff").stdout
    stack("up", "-d")
    stack("rm", "-s", "-f", "web")
    shown = stack("diff").stdout
    assert "create" in shown
    assert "[drift]" not in shown
    assert [revision["action"] for revision in revisions(stack)] == ["rm", "up", "up"]
    stack("rollback")
    assert "web-1" in stack.states()


def test_one_revision_with_what_it_changed(stack: Stack) -> None:
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(git, cwd=stack.folder, check=True)
    up(stack, "one")
    up(stack, "two")
    [two, one] = revisions(stack)
    assert two["services"] == ["web"]
    assert two["commit"] == one["commit"] != ""
    assert ["web", two["commit"]] == stack("history").stdout.splitlines()[1].split()[-3:-1]
    shown = stack("history", "2").stdout
    assert shown.startswith("revision: 2, applied\n")
    assert 'environment.LEVEL: "one" → "two"' in shown
    assert stack("history", "--diff").stdout in shown
    assert "create" in stack("history", "1", "--diff").stdout
    asked = {"_STACKR_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    for line, offered in (
        ("stackr rollback ", "1 2"),
        (f"stackr -p {stack.name[:-1]}", stack.name),
    ):
        done = subprocess.run(
            [STACKR],
            env={**stack.environ, **asked, "COMP_WORDS": line},
            cwd=stack.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert " ".join(done.stdout.split()) == offered
    plan = stack.plan("history", "2", "--format", "json")
    assert [change["change"] for change in plan["changes"]] == ["recreate"]
    assert "no such revision: 9" in stack("history", "9", want=1).stderr
