"""Attributes of a stack file that reach the engine's API, the host's groups, or another image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stackr_stack import Stack, until

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.linux import cgroup

pytestmark = [pytest.mark.root, pytest.mark.e2e]


def test_an_image_is_mounted_by_name_and_by_service(stack: Stack) -> None:
    stack.write("""
        services:
          reader:
            image: $IMAGE
            command: sh -c "ls /whole/bin; ls -l /one; touch /whole/x; sleep 600"
            stop_signal: KILL
            volumes:
              - {type: image, source: $IMAGE, target: /whole}
              - {type: image, source: other, target: /one, image: {subpath: bin/busybox}}
          other:
            image: $IMAGE
            command: sleep 600
            stop_signal: KILL
    """)
    stack("up", "-d", "--wait")
    output = until(lambda: _whole(stack("logs", "reader").stdout))
    assert "busybox" in output
    assert "-rwx" in output
    assert "no changes" in stack("diff").stdout


def _whole(output: str) -> str:
    """Once the last of its commands has told its own."""
    return output if "Read-only file system" in output else ""


def test_the_engines_api_is_in_the_container(
    stack: Stack, engine: EngineConfig, tmp_path: Path
) -> None:
    (tmp_path / "docker").mkdir()
    auths = {"auths": {"registry.example": {"auth": "bWU6cHc="}}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps(auths))
    stack.environ["DOCKER_CONFIG"] = str(tmp_path / "docker")
    stack.write("""
        services:
          agent:
            image: $IMAGE
            command: sleep 600
            stop_signal: KILL
            use_api_socket: true
    """)
    stack("up", "-d", "--wait")
    script = "ls -il /var/run/docker.sock; cat $DOCKER_CONFIG/config.json"
    listing, _, config = stack("exec", "-T", "agent", "sh", "-c", script).stdout.partition("\n")
    inode, kind = listing.split()[:2]
    assert (int(inode), kind[0]) == (engine.socket.stat().st_ino, "s")
    assert json.loads(config) == auths


def test_limits_and_a_parent_reach_the_kernel(stack: Stack, engine: EngineConfig) -> None:
    stack.write("""
        services:
          web:
            image: $IMAGE
            command: sleep 600
            stop_signal: KILL
            cgroup_parent: team
            pids_limit: 77
    """)
    stack("up", "-d", "--wait")
    hierarchy = cgroup.detect()
    team = f"{engine.cgroup_parent}/team"
    [group] = [f"{team}/{name}" for name in hierarchy.children(team)]
    folder = hierarchy.path(group, "pids")
    assert folder is not None
    assert (folder / "pids.max").read_text().strip() == "77"
    stack("down")
    until(lambda: not any(path.exists() for path in hierarchy.paths(team)), "the group's end")
