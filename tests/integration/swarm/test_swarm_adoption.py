"""Docker's own `stack` commands and stackr see the same stacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from swarm_rig import Rig

from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import Circumstances, reconcile_documents
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.spec.load import load
from stackr.spec.session import LoadOptions

pytestmark = pytest.mark.root
_STACK = """\
version: "3.8"
services:
  web:
    image: {image}
    command: ["sleep", "999"]
    environment: {{A: "1", B: two}}
    labels: {{colour: green}}
    ports:
      - {{target: 80, published: 8080, mode: host}}
      - "9090:90"
    networks: [front]
    volumes: ["data:/data", {{type: tmpfs, target: /t, tmpfs: {{size: 1000000}}}}]
    healthcheck: {{test: ["CMD", "true"], interval: 5s}}
    extra_hosts: ["db:10.0.0.1"]
    stop_grace_period: 2s
    logging: {{driver: json-file, options: {{max-size: 1m}}}}
    deploy:
      replicas: 2
      labels: {{of: service}}
      update_config: {{parallelism: 1, order: stop-first, failure_action: rollback, monitor: 1s}}
      restart_policy: {{condition: on-failure, delay: 1s, max_attempts: 3}}
      resources: {{limits: {{cpus: "0.5", memory: 64M}}, reservations: {{memory: 8M}}}}
      placement: {{constraints: ["node.role == worker"], preferences: [{{spread: node.labels.z}}]}}
  other:
    image: {image}
    depends_on: [web]
    deploy: {{mode: global}}
networks: {{front: {{attachable: true}}}}
volumes: {{data: {{}}}}
"""
_FILES = """\
configs: {settings: {file: ./settings.txt}}
secrets: {word: {file: ./word.txt}}
"""
_GRANTS = "    configs: [{source: settings, target: /settings}]\n    secrets: [word]\n"


def _written(folder: Path, rig: Rig, *, files: bool = False) -> Path:
    path = folder / "stack.yml"
    text = _STACK.format(image=rig.image)
    if files:
        (folder / "settings.txt").write_text("colour = green\n")
        (folder / "word.txt").write_text("open sesame")
        text = text.replace("    stop_grace", f"{_GRANTS}    stop_grace") + _FILES
    path.write_text(text)
    return path


def _rendered(file: Path, workloads: SwarmWorkloads) -> Rendered:
    options = LoadOptions(files=(file.name,), project_name="demo")
    return Swarm().render(load(options, {}, file.parent), workloads.capabilities)


async def _plan(rendered: Rendered, workloads: SwarmWorkloads) -> list[str]:
    digests = {name: await workloads.resolve_image(name) for name in rendered.images.values()}
    around = Circumstances(digests=digests)
    observation = await workloads.observe("demo")
    plan = reconcile_documents(rendered, observation, Swarm(), None, around)
    return [line.partition("#")[2].partition(" ")[2] for line in str(plan).splitlines()]


async def test_a_stack_of_docker_stack_deploy_is_taken_over(
    workloads: SwarmWorkloads, rig: Rig, tmp_path: Path
) -> None:
    """There is nothing to do but to give configs and secrets names that can change."""
    with rig.drained(*rig.nodes):
        file = _written(tmp_path, rig)
        rig.manager.docker("stack", "deploy", "-c", str(file), "demo")
        assert await workloads.projects() == ["demo"]
        assert await _plan(_rendered(file, workloads), workloads) == []
        file = _written(tmp_path, rig, files=True)
        rig.manager.docker("stack", "deploy", "-c", str(file), "demo")
        plan = await _plan(_rendered(file, workloads), workloads)
    assert [" ".join(line.split()[:2]).partition("-")[0] for line in plan] == [
        "config:demo_settings",
        "secret:demo_word",
        "service:demo_web update",
        "config:demo_settings remove",
        "secret:demo_word remove",
    ]


async def test_docker_stack_sees_what_was_made(
    workloads: SwarmWorkloads, rig: Rig, tmp_path: Path
) -> None:
    with rig.drained(*rig.nodes):
        for document in _rendered(_written(tmp_path, rig, files=True), workloads).documents:
            await workloads.create(document)
        docker = rig.manager.docker
        assert docker("stack", "ls", "--format", "{{.Name}} {{.Services}}").split() == ["demo", "2"]
        listed = "{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}"
        assert sorted(docker("stack", "services", "demo", "--format", listed).splitlines()) == [
            f"demo_other global 0/0 {rig.image}",
            f"demo_web replicated 0/2 {rig.image}",
        ]
        docker("stack", "rm", "demo")
        assert (await workloads.observe("demo")).documents == ()
