"""`stackr diff`: against the engine without a call that changes it, and file against file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from engine_request import request
from recording_proxy import recording_proxy
from stackr_stack import Stack, until

pytestmark = [pytest.mark.root, pytest.mark.e2e]

STACK = """\
    services:
      web:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        environment: {LEVEL: "${LEVEL:-info}"}
        depends_on: [db]
      db:
        image: ${IMAGE}
        command: sleep 1000
        stop_grace_period: 0s
        volumes: ["data:/data"]
    volumes: {data: {}}
    """


def changes(stack: Stack, *arguments: str, want: int = 0) -> dict[str, dict[str, Any]]:
    """The changes of a diff, by the resource's name without the project's."""
    plan = stack.plan("diff", "--format", "json", *arguments, want=want)
    prefix = f"{stack.name}-"
    return {c["resource"]["name"].removeprefix(prefix): c for c in plan["changes"]}


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    "command", [("diff",), ("diff", "--pull", "always"), ("up", "--dry-run", "--pull", "always")]
)
def test_no_mutating_call_leaves_the_process(
    stack: Stack, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = stack.write(STACK)
    stack("up", "-d")
    before = stack.ids()
    path.write_text(path.read_text().replace("sleep 1000", "sleep 2000", 1) + "networks: {n: {}}\n")
    with recording_proxy(tmp_path, stack.engine.socket) as (proxy, seen):
        shown = stack("--engine", f"unix://{proxy}", *command, "--scale", "db=2").stdout
    assert "1 to recreate" in shown
    assert len(seen) >= 2  # a ping, and what the plan is made from
    assert {line.partition(" ")[0] for line in seen} <= {"GET", "HEAD"}
    assert stack.ids() == before


def test_up_tells_the_same_plan_beforehand(stack: Stack) -> None:
    path = stack.write(STACK)
    assert stack.plan("up", "--dry-run", "--json") == stack.plan("diff", "--format", "json")
    stack("up", "-d")
    path.write_text(path.read_text().replace("sleep 1000", "sleep 2000", 1))
    plan = stack.plan("up", "--dry-run", "--json")
    assert plan == stack.plan("diff", "--json")
    assert plan["summary"] == {"recreate": 1}


def test_fields_have_their_place_and_the_plan_its_risks(stack: Stack) -> None:
    path = stack.write(STACK)
    stack("up", "-d")
    stack.environ["LEVEL"] = "debug"
    [field] = changes(stack)["web-1"]["fields"]
    assert (field["path"], field["old"], field["new"]) == ("environment.LEVEL", "info", "debug")
    assert (field["source"]["file"], field["source"]["line"]) == ("compose.yaml", 6)
    path.write_text(path.read_text().replace("db:\n", "db:\n    privileged: true\n"))
    assert "! privileged" in stack("diff").stdout
    assert "! stateful-recreated" in stack("diff").stdout
    assert "::warning file=compose.yaml,line=" in stack("diff", "--format", "github").stdout
    assert "> [!WARNING]" in stack("diff", "--format", "markdown").stdout


def test_a_policy_refuses_before_anything_is_done(stack: Stack) -> None:
    path = stack.write(STACK)
    policy = "x-stackr: {policy: {privileged: error}}\n"
    path.write_text(path.read_text().replace("db:\n", "db:\n    privileged: true\n") + policy)
    assert "! privileged" in stack("diff", "--exit-code", want=1).stdout
    refused = stack("up", "-d", want=1).stderr
    assert 'refused by x-stackr.policy: privileged: service "db" is privileged' in refused
    assert stack.containers() == {}


def test_nothing_to_do_is_exit_code_0_and_changes_are_2(stack: Stack) -> None:
    stack.write(STACK)
    stack("diff", "--exit-code", want=2)
    stack("up", "-d")
    assert "no changes" in stack("diff", "--exit-code").stdout
    stack.write("services: {web: }}")
    stack("diff", "--exit-code", want=1)


def test_details_are_all_of_what_is_created(stack: Stack) -> None:
    stack.write(STACK)
    short, long = stack("diff").stdout, stack("diff", "--detail").stdout
    assert "command" not in short
    assert 'command: ["sleep", "1000"]' in long
    assert "#1 network:" in long


def test_secrets_are_masked_in_every_form(stack: Stack) -> None:
    stack.write(STACK.replace('{LEVEL: "', '{API_TOKEN: "${TOKEN:-first-one}", LEVEL: "'))
    stack("up", "-d")
    stack.environ["TOKEN"] = "second-one"
    for form in ("text", "json", "markdown", "github"):
        shown = stack("diff", "--format", form).stdout
        assert "environment.API_TOKEN" in shown
        assert "first-one" not in shown
        assert "second-one" not in shown


def test_a_file_that_is_bound_read_only_counts_by_what_it_holds(stack: Stack) -> None:
    stack.write("listen 80\n", "nginx.conf")
    stack.write("one\n", "state")
    stack.write(
        """\
        services:
          web:
            image: ${IMAGE}
            command: sleep 1000
            stop_grace_period: 0s
            volumes: ["./nginx.conf:/etc/nginx.conf:ro", "./state:/state"]
        """
    )
    stack("up", "-d")
    ids = stack.ids()
    stack("exec", "-T", "web", "sh", "-c", "echo two > /state")
    stack("diff", "--exit-code")
    stack.write("listen 81\n", "new.conf").replace(stack.folder / "nginx.conf")
    shown = stack("diff", "--exit-code", want=2).stdout
    assert "volumes[/etc/nginx.conf]: content changed (sha256 " in shown
    assert "  compose.yaml:6" in shown
    stack("up", "-d")
    assert stack.ids().keys() == ids.keys()
    assert stack.ids() != ids
    assert stack("exec", "-T", "web", "cat", "/etc/nginx.conf").stdout == "listen 81\n"
    stack("diff", "--exit-code")


def test_a_git_revision_needs_no_engine(stack: Stack) -> None:
    path = stack.write(STACK)
    path.write_text("include: [more.yaml]\n" + path.read_text())
    side = "services: {side: {image: app, environment: {A: '1'}}}\n"
    stack.write(side, "more.yaml")
    stack.write(".env\n", ".gitignore")
    stack.write("LEVEL=from-env\n", ".env")
    git(stack.folder, "init", "-q")
    git(stack.folder, "add", ".")
    git(stack.folder, "commit", "-qm", "first")
    nowhere = ("--engine", "unix:///nonexistent")
    stack("diff", "--base", "HEAD", "--exit-code", *nowhere)
    stack.write(side.replace("'1'", "'2'"), "more.yaml")
    found = changes(stack, "--base", "HEAD", "--exit-code", *nowhere, want=2)
    [field] = found["side-1"]["fields"]
    assert (field["path"], field["old"], field["new"]) == ("environment.A", "1", "2")
    assert field["source"]["file"] == "more.yaml"
    assert list(found) == ["side-1"]
    told = stack("diff", "--base", "nonsense", want=1).stderr
    assert "no such revision: nonsense" in told


def test_a_file_and_a_folder_as_base(stack: Stack) -> None:
    path = stack.write(STACK)
    other = stack.folder / "other"
    other.mkdir()
    for copy in (other / "compose.yaml", stack.folder / "old.yaml"):
        copy.write_text(path.read_text())
    stack.write(STACK.replace("sleep 1000", "sleep 7", 1))
    for base in ("old.yaml", "other"):
        assert list(changes(stack, "--base", base)) == ["web-1"]


def bridge_of(stack: Stack, network: str) -> str:
    """The host's interface with the network's gateway address."""
    _, told = request(stack.engine.socket, "GET", f"/networks/{network}")
    gateway = told["IPAM"]["Config"][0]["Gateway"]
    shown = subprocess.run(["ip", "-j", "address"], check=True, capture_output=True).stdout
    return next(
        str(link["ifname"])
        for link in json.loads(shown)
        if gateway in [address.get("local") for address in link["addr_info"]]
    )


def reaches_db(stack: Stack) -> bool:
    """One packet may be lost: the kernel lets new ports of a bridge forward in its own time."""
    ping = stack("exec", "-T", "web", "ping", "-c", "1", "-W", "2", "db", want=None)
    return ping.returncode == 0


def test_a_deleted_bridge_is_drift_that_up_mends(stack: Stack) -> None:
    """Around the containers, which go on."""
    stack.write(STACK)
    stack("up", "-d")
    before = stack.ids()
    bridge = bridge_of(stack, f"{stack.name}_default")
    subprocess.run(["ip", "link", "delete", bridge], check=True)

    shown = stack("diff", "--exit-code", want=2).stdout
    assert "bridge is missing" in shown
    assert "[drift]" in shown
    [change] = changes(stack).values()
    assert (change["change"], change["origin"]) == ("update", "drift")
    assert change["fields"][0] | {"old": "missing", "new": bridge} == change["fields"][0]

    stack("up", "-d")
    assert stack.ids() == before
    until(lambda: reaches_db(stack))
    stack("diff", "--exit-code")

    subprocess.run(["ip", "link", "delete", bridge], check=True)
    stack("restart", "-t", "0", "web")
    until(lambda: reaches_db(stack))
    stack("diff", "--exit-code")
