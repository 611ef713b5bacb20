"""What of a stack file is seen from inside a task."""

from __future__ import annotations

from pathlib import Path

import pytest
from swarm_documents import reached
from swarm_rig import Rig

from stackr.planner.swarm.dialect import Swarm
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.spec.load import load
from stackr.spec.session import LoadOptions

pytestmark = pytest.mark.root
_STACK = """\
name: demo
services:
  web:
    image: IMAGE
    command:
      - sh
      - -c
      - |
        echo groups $$(id -G); echo shm $$(df -k /dev/shm | awk 'END {print $$2}')
        echo scratch $$(mount | grep ' /scratch ' | grep -c size=2048k)
        echo config $$(cat /settings); echo secret $$(cat /run/secrets/word)
        echo options $$(grep ^options /etc/resolv.conf); echo host $$(hostname) $$HOST
        echo db $$(grep db /etc/hosts); echo files $$(ulimit -n)
        echo root $$(touch /x 2>/dev/null && echo writable || echo read-only)
        echo last; trap 'exit 0' TERM; sleep 999 & wait
    user: nobody
    group_add: ["50"]
    shm_size: 8m
    tmpfs: ["/scratch:size=2m"]
    dns_opt: ["ndots:3"]
    hostname: box
    environment: {HOST: "{{.Node.Hostname}}"}
    extra_hosts: ["db:10.0.0.9"]
    ulimits: {nofile: {soft: 100, hard: 200}}
    read_only: true
    configs: [settings]
    secrets: [word]
    deploy: {placement: {constraints: [node.hostname == node2]}}
configs: {settings: {content: "colour = ${COLOUR}"}}
secrets: {word: {environment: WORD}}
"""


async def test_what_stack_deploy_drops_is_there(
    workloads: SwarmWorkloads, rig: Rig, tmp_path: Path
) -> None:
    (tmp_path / "compose.yaml").write_text(_STACK.replace("IMAGE", rig.image))
    project = load(LoadOptions(), {"COLOUR": "green", "WORD": "sesame"}, tmp_path)
    for document in Swarm().render(project, workloads.capabilities).documents:
        await workloads.create(document)
    await reached(workloads, "web", lambda status: status.running == 1)
    said: dict[str, str] = {}
    async for entry in workloads.logs("demo_web", follow=True):
        name, _, value = entry.line.decode().partition(" ")
        said[name] = value
        if name == "last":
            break
    assert said == {
        "groups": "65534 50",
        "shm": "8192",
        "scratch": "1",
        "config": "colour = green",
        "secret": "sesame",
        "options": "options ndots:3",
        "host": "box node2",
        "db": "10.0.0.9 db",
        "files": "100",
        "root": "read-only",
        "last": "",
    }
