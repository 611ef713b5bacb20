"""`stackr` on a real Swarm, by the installed command: the same file, the same plan and waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from polling import until
from swarm_project import Stack
from swarm_rig import Rig, make_context

pytestmark = pytest.mark.root
_UNDONE = 4


def test_up_comes_to_what_the_file_says_and_then_has_nothing_to_do(stack: Stack) -> None:
    ready = {"test": ["CMD", "test", "-f", "/etc/hostname"], "interval": "1s"}
    services = {
        "db": stack.service("db", healthcheck=ready),
        "web": stack.service(
            "web",
            deploy={"replicas": 3, "update_config": {"parallelism": 0, "monitor": "300ms"}},
            depends_on={"db": {"condition": "service_healthy"}},
            configs=[{"source": "app", "target": "/app.conf"}],
        ),
    }
    stack.write(services, configs={"app": {"content": "one"}})
    stack("up")
    assert stack.changes() == []
    listed = [
        line.split() for line in stack.rig.manager.docker("stack", "services", "shop").splitlines()
    ]
    assert {(line[1], line[3]) for line in listed[1:]} == {("shop_db", "1/1"), ("shop_web", "3/3")}
    started = {
        each["Spec"]["Name"]: each["CreatedAt"]
        for each in stack.rig.manager.call("GET", "/services")
    }
    assert started["shop_db"] < started["shop_web"]
    rows = [json.loads(line) for line in stack("ps", "--format=json").stdout.splitlines()]
    assert {row["Node"] for row in rows} == {"node1", "node2", "node3"}
    written = stack("logs", "--timestamps").stdout
    assert written.count(" web\n") == 3
    assert "db.1@node" in written

    assert "services(2/2 running)" in stack("ls", files=False).stdout
    assert stack("images").stdout.count("shop_web.") == 3
    versions = [stack.spec(name)["Version"]["Index"] for name in services]
    assert "no changes" in stack("up").stderr
    assert [stack.spec(name)["Version"]["Index"] for name in services] == versions

    stack.rig.manager.docker("service", "update", "-d", "-q", "--env-add=BY=hand", "shop_db")
    (drift,) = stack.changes()
    assert [(field["path"], field["origin"]) for field in drift["fields"]] == [
        ("environment.BY", "drift")
    ]

    stack.write(services, configs={"app": {"content": "two"}})
    stack("up")
    assert (
        len(
            stack.rig.manager.docker(
                "config", "ls", "-q", "--filter=label=io.stackr.key=app"
            ).split()
        )
        == 2
    )
    now = stack.spec("web")
    assert now["PreviousSpec"] != now["Spec"]
    stack("up")
    assert stack.spec("web") == now, "nothing is sent, or the spec before were forgotten"
    stack("rollback")
    assert stack.changes() != []
    stack("down")
    assert stack.rig.manager.call("GET", "/services") == []
    assert stack.rig.manager.call("GET", "/configs") == []


def test_an_update_that_fails_is_told_with_the_task_s_own_words(stack: Stack) -> None:
    others = _what_others_have(stack)
    outside = {"networks": {"outside": {"external": True}}}
    stack.write({"web": stack.service(networks=["outside"])}, **outside)
    stack("up")
    patient = {"update_config": {"monitor": "30s", "failure_action": "pause"}}
    bad = stack.service(deploy=patient)
    bad["command"] = ["sh", "-c", "echo no database >&2; exit 3"]
    stack.write({"web": bad, "more": stack.service()})
    told = stack("up", want=1).stderr
    assert "its update stopped: shop_web.1 on node" in told
    assert "non-zero exit (3)" in told
    assert "no database" in told
    stack.write({"web": stack.service()})
    stack("up", "--remove-orphans")

    stack.write({"web": bad, "more": stack.service()})
    told = stack("up", "--atomic", want=_UNDONE).stderr
    assert "shop is what it was before" in told
    assert set(services_of(stack)) == {"shop_web", *others}
    stack.write({"web": stack.service()})
    assert stack.changes() == []
    stack("down")
    assert set(services_of(stack)) == set(others)
    stack.rig.manager.docker("service", "rm", *others)
    stack.rig.manager.docker("network", "rm", "outside")


def _what_others_have(stack: Stack) -> tuple[str, ...]:
    """A network, and services whose names alone say that they are the stack's."""
    stack.rig.manager.docker("network", "create", "--driver=overlay", "outside")
    common = ("service", "create", "-d", "-q", "--replicas=0", "--network=outside")
    names = ("shop_alone", "shop_other_web")
    for name, label in zip(names, ("a=b", "com.docker.stack.namespace=shop_other"), strict=True):
        stack.rig.manager.docker(*common, f"--name={name}", f"--label={label}", stack.rig.image)
    return names


def services_of(stack: Stack) -> dict[str, Any]:
    return {each["Spec"]["Name"]: each for each in stack.rig.manager.call("GET", "/services")}


def test_a_saved_plan_is_for_the_swarm_as_it_was(stack: Stack) -> None:
    stack.write({"web": stack.service()})
    stack("up")
    stack.write({"web": stack.service(environment={"LEVEL": "2"})})
    plan = str(stack.file.with_name("plan.json"))
    stack("diff", f"--out={plan}")
    stack.rig.manager.docker("service", "update", "-d", "-q", "--label-add=a=b", "shop_web")
    told = stack("apply", plan, want=1, files=False).stderr
    assert "the plan is out of date: engine: service shop_web is changed" in told
    stack("diff", f"--out={plan}")
    stack("apply", plan, files=False)
    assert stack.changes() == []


def test_a_killed_up_is_carried_on_with(stack: Stack) -> None:
    slow = {"test": ["CMD", "test", "-f", "/ready"], "interval": "1s", "start_period": "60s"}
    services = {
        "db": stack.service(healthcheck=slow),
        "web": stack.service(depends_on={"db": {"condition": "service_healthy"}}),
    }
    stack.write(services)
    killed = subprocess.Popen(
        stack.argv("up"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "STACKR_WARM": "0"},
    )
    until(lambda: "shop_db" in services_of(stack), "the first service")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    services["db"] = stack.service()
    stack.write(services)
    stack("up")
    assert set(services_of(stack)) == {"shop_db", "shop_web"}
    assert stack.changes() == []


def test_a_job_runs_once_and_what_follows_waits_for_it(stack: Stack) -> None:
    job = {
        "image": stack.rig.image,
        "command": ["sh", "-c", "echo migrated"],
        "deploy": {"mode": "replicated-job", "endpoint_mode": "dnsrr"},
    }
    web = stack.service(depends_on={"migrate": {"condition": "service_completed_successfully"}})
    web["pre_start"] = [{"command": ["sh", "-c", "echo prepared"]}]
    stack.write({"migrate": job, "web": web})
    stack("up")
    tasks = stack.rig.manager.call("GET", "/tasks")
    names = {
        each["ID"]: each["Spec"]["Name"] for each in stack.rig.manager.call("GET", "/services")
    }
    state = {names[each["ServiceID"]]: each["Status"]["State"] for each in tasks}
    assert sorted(state.values()) == ["complete", "complete", "running"], state
    order = sorted(tasks, key=lambda each: str(each["CreatedAt"]))
    assert [names[each["ServiceID"]].split("-")[0] for each in order] == [
        *("shop_migrate", "shop_web", "shop_web")
    ]
    assert state["shop_web"] == "running", "the step before it has a name by its hash"
    stack("up")
    assert len(stack.rig.manager.call("GET", "/tasks")) == len(tasks)
    job["command"] = ["sh", "-c", "exit 5"]
    stack.write({"migrate": job, "web": web})
    assert "non-zero exit (5)" in stack("up", want=1).stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"privileged": True}, "privileged"),
        (
            {
                "ports": [{"target": 80, "published": "8080", "mode": "host"}],
                "deploy": {"mode": "global", "update_config": {"order": "start-first"}},
            },
            "start-first",
        ),
    ],
)
def test_what_a_swarm_cannot_do_is_told_with_its_place(
    stack: Stack, change: dict[str, Any], told: str
) -> None:
    stack.write({"web": stack.service(**change)})
    text = stack("up", want=1).stderr
    assert f"{stack.file}:1" in text
    assert told in text
    assert services_of(stack) == {}


def test_commands_that_need_the_containers_are_refused(stack: Stack) -> None:
    stack.write({"web": stack.service()})
    for words in (
        ["pause"],
        ["up", "--watch"],
        ["up", "--build"],
        ["run", "--name=job", "web"],
    ):
        told = stack(*words, want=1).stderr
        assert len(told.splitlines()) <= 3, told
        assert "cluster" in told or "Swarm" in told, told


def _on_node(index: str) -> list[list[str]]:
    """Commands about the container of a replica."""
    return [
        ["attach", "--index", index, "web"],
        ["export", "--index", index, "--output=/dev/null", "web"],
        ["commit", "--index", index, "web"],
    ]


def test_containers_are_reached_by_their_nodes_engines(
    stack: Stack, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manager's own is at hand, another one by a docker context of the node's name."""
    deploy = {
        "replicas": 2,
        "placement": {"constraints": ["node.hostname != node3"], "max_replicas_per_node": 1},
    }
    ports = [{"target": 80, "published": "8080", "mode": "host"}]
    tick = ["sh", "-c", "trap exit TERM; while :; do echo tick; sleep 0.3; done"]
    stack.write({"web": stack.service(deploy=deploy, ports=ports) | {"command": tick}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    stack("up")
    tasks = [json.loads(line) for line in stack("ps", "--format=json").stdout.splitlines()]
    index = {task["Node"]: task["Name"].rpartition(".")[2] for task in tasks}
    for words in (["top", "web"], *_on_node(index["node2"])):
        refused = stack(*words, want=1).stderr
        assert 'node "node2": its engine cannot be reached' in refused, words
        assert "docker context create" in refused
    addresses = {stack("port", "--index", each, "web", "80").stdout for each in index.values()}
    assert addresses == {"10.77.0.11:8080\n", "10.77.0.12:8080\n"}, "known to the manager"
    told = json.loads(stack("--json", "env").stdout)
    assert f"{told['STACKR_WEB_2_80']}\n" in addresses
    assert "it publishes 80/tcp" in stack("port", "web", "81", want=1).stderr
    assert stack("exec", "web", "echo", "here").stdout == "here\n", "any replica will do"

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for node in rig.nodes[1:]:
        make_context(tmp_path, node.name, node.url)
    (tmp_path / "file").write_text("hello\n")
    stack("cp", str(tmp_path / "file"), "web:/file")
    for each in index.values():
        assert stack("exec", "--index", each, "web", "cat", "/file").stdout == "hello\n"
    assert stack("top", "web").stdout.count("trap exit") == 2
    readings = stack("stats", "--no-stream", "--format=json", "web").stdout.splitlines()
    assert len(readings) == 2
    stack("export", "--index", index["node2"], "--output", str(tmp_path / "web.tar"), "web")
    with tarfile.open(tmp_path / "web.tar") as archive:
        assert "file" in archive.getnames()
    stack("commit", "--index", index["node2"], "web", "kept:1")
    assert rig.nodes[1].docker("image", "ls", "-q", "kept:1")
    rig.nodes[1].docker("image", "rm", "-f", "kept:1")
    argv = stack.argv("attach", "--index", index["node2"], "web")
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as attached:
        assert attached.stdout is not None
        assert attached.stdout.readline() == b"tick\n"
        attached.terminate()  # which is passed on
        attached.stdout.read()
        assert attached.wait(60) == 0
