"""An engine's error is about one attribute of the service, found by the engine's words."""

from __future__ import annotations

import pytest
from planning import service

from stackr.planner.review.blame import blamed
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.parts import Port
from stackr.spec.model.service import Device, Service

WEB = service(
    volumes=(
        ServiceVolume(type="volume", source="data", target="/data"),
        ServiceVolume(type="bind", source="/srv/conf", target="/etc/nginx.conf"),
    ),
    tmpfs=("/run:size=1m",),
    devices=(Device(source="/dev/nope", target="/dev/x", permissions="rwm"),),
    group_add=("audio",),
    command=("serve", "--all"),
    ports=(Port(target=80, published="8000-8010"),),
)


@pytest.mark.parametrize(
    ("message", "attribute"),
    [
        ('error mounting "a" to rootfs at "/etc/nginx.conf": not a directory', "volumes[1]"),
        ('error mounting "data" to rootfs at "/data": mkdir /data: not a directory', "volumes[0]"),
        ('error mounting "tmpfs" to rootfs at "/run": invalid argument: unknown', "tmpfs[0]"),
        ('error mounting "x" to rootfs at "/elsewhere": not a directory', ""),
        ("bind source path does not exist: /srv/conf", "volumes[1]"),
        (
            'service "a": build: build.no_cache_filter: not supported by the engine\'s builder',
            "build.no_cache_filter",
        ),
        ('chdir to cwd ("/f") set in config.json failed: not a directory', "working_dir"),
        ("Cannot mkdir: /etc/passwd is not a directory", "working_dir"),
        ('sysctl "net.ipv4.nosuch": open /proc/sys/...', "sysctls.net.ipv4.nosuch"),
        ('while adding custom device "/dev/nope": no such file or directory', "devices[0]"),
        ('device "/dev/x": not a directory', "devices[0]"),
        ("ulimit nofile: operation not permitted", "ulimits.nofile"),
        ("oom_score_adj: it cannot be set lower than the engine's own", "oom_score_adj"),
        ("unable to find user nouser: no matching entries in passwd file", "user"),
        ("unable to find group audio: no matching entries in group file", "group_add[0]"),
        ("unable to find group wheel: no matching entries in group file", "user"),
        ("Requested CPUs are not available - requested 99, available: 0,1", "cpuset"),
        ('exec: "serve": executable file not found in $PATH', "command"),
        ('exec: "/entry.sh": permission denied', ""),
        ("host port 127.0.0.1:8003/tcp is in use", "ports[0]"),
        ("image app:x: manifest for app:x not found: manifest unknown", "image"),
        ("the kernel is out of sorts", ""),
    ],
)
def test_the_attribute_is_found(message: str, attribute: str) -> None:
    assert blamed(WEB, f"failed to create task: {message}: unknown") == attribute


def test_the_entrypoint_is_the_program_where_there_is_one() -> None:
    both = Service(image="app", entrypoint=("/entry.sh",), command=("serve",))
    assert blamed(both, 'exec: "/entry.sh": permission denied') == "entrypoint"
    assert blamed(both, 'exec: "serve": permission denied') == ""
