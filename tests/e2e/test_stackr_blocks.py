"""Optional blocks of a service absent, empty and partly given: what is created is as Docker
Compose on dockerd creates it."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import private_dockerd
import pytest
from json_difference import first_difference
from stackr_stack import Stack, compose_program

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., subprocess.CompletedProcess[str]]
_IMAGE = "suite/busybox:latest"

BLOCKS: Mapping[str, tuple[str, ...]] = {
    "deploy": (
        "{}",
        "{resources: {}}",
        "{resources: {limits: {}}}",
        "{resources: {limits: {memory: 64m}}}",
        "{resources: {limits: {pids: 50}}}",
        "{resources: {reservations: {memory: 32m}}}",
        "{restart_policy: {}}",
        "{restart_policy: {condition: on-failure}}",
        "{restart_policy: {max_attempts: 3}}",
        "{restart_policy: {delay: 5s}}",
        "{update_config: {}, placement: {}}",
    ),
    "healthcheck": (
        "{}",
        "{interval: 5s}",
        "{retries: 7}",
        "{disable: true}",
        "{disable: false, timeout: 3s}",
        "{test: []}",
        "{test: [NONE]}",
        "{test: 'true'}",
        "{test: [CMD, 'true'], start_period: 1s}",
    ),
    "logging": ("{}", "{options: {max-size: 1m}}", "{driver: local}", "{driver: none}"),
    "ulimits": ("{}", "{nofile: 100}", "{nofile: {soft: 10, hard: 100}}"),
    "ports": (
        "[]",
        "[{target: 80}]",
        "[{target: 80, protocol: udp}]",
        "[{target: 80, host_ip: 127.0.0.1}]",
        "[{target: 80, name: web, mode: ingress}]",
    ),
    "secrets": ("[]", "[s]", "[{source: s}]", "[{source: s, target: /abs}]"),
    "configs": ("[]", "[f]", "[{source: f}]", "[{source: f, target: /abs, mode: 0400}]"),
    "volumes": (
        "[]",
        "[{type: volume, target: /v}]",
        "[{type: volume, source: data, target: /v}]",
        "[{type: volume, source: data, target: /v, volume: {}}]",
        "[{type: volume, source: data, target: /v, volume: {nocopy: true}}]",
        "[{type: bind, source: ./there, target: /b}]",
        "[{type: bind, source: ./there, target: /b, read_only: true}]",
        "[{type: bind, source: ./there, target: /b, bind: {}}]",
        "[{type: bind, source: ./there, target: /b, bind: {propagation: rprivate}}]",
        "[{type: bind, source: ./there, target: /b, bind: {create_host_path: false}}]",
        "[{type: tmpfs, target: /t}]",
        "[{type: tmpfs, target: /t, tmpfs: {}}]",
        "[{type: tmpfs, target: /t, tmpfs: {size: 1m}}]",
    ),
    "tmpfs": ("[]", "/t", "['/t:size=1m']"),
    "blkio_config": ("{}", "{weight: 300}", "{device_read_bps: []}"),
    "networks": ("{}", "{front: }", "{front: {}}", "{front: {aliases: []}}", "[front]"),
    "depends_on": ("[]", "{}", "[plain]", "{plain: {condition: service_started}}"),
    "develop": ("{}", "{watch: []}"),
    "environment": ("{}", "[]", "{A: , B: ''}"),
    "labels": ("{}", "{a: }"),
    "sysctls": ("{}",),
    "extra_hosts": ("[]", "{}"),
    "devices": ("[]",),
    "cap_add": ("[]",),
    "entrypoint": ("[]",),
    "restart": ("''", "'no'", "on-failure", "'on-failure:3'"),
    "pids_limit": ("0", "-1"),
    "env_file": ("[]", "[{path: none.env, required: false}]"),
    "mem_limit": ("0",),
    "init": ("false",),
    "user": ("''",),
}


def services() -> Iterator[tuple[str, str]]:
    """Each service's name with its block."""
    yield "plain", ""
    for block, forms in BLOCKS.items():
        for number, form in enumerate(forms):
            yield f"{block}-{number}", f"{block}: {form}"


def stack_file() -> str:
    lines = [f'  {name}: {{image: "{_IMAGE}", command: "true", {own}}}' for name, own in services()]
    rest = """\
        networks: {front: {}, default: {}}
        volumes: {data: {}}
        configs: {f: {file: ./f.txt}}
        secrets: {s: {file: ./f.txt}}
        """
    return "\n".join(["services:", *lines, textwrap.dedent(rest)])


def _is_random(name: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{12}|[0-9a-f]{64}", name) is not None


def _is_set(variable: str) -> bool:
    """But for the image's own; one without a value takes the image's out, which dockerd notes."""
    return "=" in variable and not variable.startswith("PATH=")


def shape(container: dict[str, Any]) -> dict[str, Any]:
    """What a stack file decides of a container: nulls, empty values and defaults left out."""
    host, config = container["HostConfig"], container["Config"]
    restart = host["RestartPolicy"]
    own = {
        key: host[key]
        for key in (
            *("Tmpfs", "PortBindings", "Memory", "MemoryReservation"),
            *("NanoCpus", "PidsLimit", "Ulimits", "Sysctls", "ExtraHosts", "Init"),
            *("CapAdd", "Devices", "LogConfig", "NetworkMode", "ShmSize"),
        )
        if host.get(key) and host[key] != -1
    }
    mounts = [
        [each["Type"], each["Destination"], each["RW"], each.get("Propagation") or ""]
        for each in container["Mounts"]
        if each["Type"] != "tmpfs"
    ]
    return {
        **own,
        "restart": [restart["Name"].replace("no", "") or "", restart["MaximumRetryCount"]],
        "mounts": sorted(mounts),
        "health": {key: of for key, of in (config.get("Healthcheck") or {}).items() if of},
        "env": sorted(
            each for each in config["Env"] or () if not each.startswith("PATH=") and "=" in each
        ),
        "labels": config["Labels"].get("a"),
        "depends_on": config["Labels"].get("com.docker.compose.depends_on"),
        "user": config["User"],
        "entrypoint": config["Entrypoint"] or [],
        "networks": {
            name: sorted(alias for alias in end["Aliases"] or [] if not _is_random(alias))
            for name, end in container["NetworkSettings"]["Networks"].items()
        },
    }


def created(docker: Docker, project: str) -> dict[str, Any]:
    """The shape of each service's container."""
    label = f"label=com.docker.compose.project={project}"
    ids = docker("ps", "-aq", "-f", label).stdout.split()
    containers = json.loads(docker("inspect", *ids).stdout)
    return {
        each["Config"]["Labels"]["com.docker.compose.service"]: shape(each) for each in containers
    }


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Path]:
    with private_dockerd.serve() as socket:
        private_dockerd.load_image(socket, _IMAGE)
        yield socket


def test_containers_are_as_docker_compose_makes_them(
    stack: Stack, docker: Docker, pulled: str, dockerd: Path
) -> None:
    stack.write(stack_file())
    (stack.folder / "there").mkdir()
    (stack.folder / "f.txt").write_text("text")
    docker("tag", pulled, _IMAGE)
    host = {**stack.environ, "DOCKER_HOST": f"unix://{dockerd}"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=stack.folder, env=host, check=True, capture_output=True, text=True
        )

    run(compose_program(), "create")
    stack("create")
    wanted = created(lambda *words: run("docker", *words), stack.name)
    found = created(docker, stack.name)
    assert found.keys() == wanted.keys() == dict(services()).keys()
    different = {
        own or name: difference
        for name, own in services()
        if (difference := first_difference(found[name], wanted[name]))
    }
    assert different == {}
