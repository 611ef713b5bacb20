"""The Engine API's JSON, both ways; the multiplexed form; the docker CLI's credentials."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stackr.errors import InvalidArgument, Unavailable
from stackr.registry.credentials import registry_auth, registry_of
from stackr.runtime.container import (
    ContainerConfig,
    ContainerFile,
    Healthcheck,
    Mount,
    NetworkAttachment,
    PortBinding,
    Resources,
    RestartPolicy,
    Ulimit,
)
from stackr.runtime.docker.create import container_body, files_archive, network_body
from stackr.runtime.docker.frames import frames, log_entries
from stackr.runtime.docker.observe import container_inspected, container_listed, unix_time
from stackr.runtime.types import IpamPool, LogEntry, NetworkConfig, PublishedPort


def test_the_least_container_says_no_more_than_it_must() -> None:
    assert container_body(ContainerConfig(image="nginx"), ()) == {
        "Image": "nginx",
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "HostConfig": {},
        "NetworkingConfig": {"EndpointsConfig": {}},
    }


def test_a_container_with_everything_common() -> None:
    attachment = NetworkAttachment("demo_default", aliases=("web",), ipv4_address="10.0.0.9")
    config = ContainerConfig(
        image="nginx",
        command=("nginx", "-g", "daemon off;"),
        entrypoint=(),
        environment={"A": "1", "GONE": None},
        ports=(PortBinding(80, host_port="8080"), PortBinding(80, host_ip="127.0.0.1")),
        mounts=(
            Mount("bind", "/etc/x", "/src/x", read_only=True, create_host_path=True),
            Mount("bind", "/etc/y", "/src/y", propagation="rslave"),
            Mount("volume", "/data", "demo_data", no_copy=True),
            Mount("tmpfs", "/tmp", size_bytes=1024, mode=0o700),
        ),
        healthcheck=Healthcheck(("CMD", "true"), interval_s=1.5, retries=3),
        restart=RestartPolicy("on-failure", 4),
        resources=Resources(memory_bytes=64 << 20, nano_cpus=500_000_000),
        ulimits=(Ulimit("nofile", 1024, 2048),),
        stop_timeout_s=0,
        init=False,
        unmask_paths=True,
    )
    body = container_body(config, [attachment])
    assert body["Cmd"] == ["nginx", "-g", "daemon off;"]
    assert body["Entrypoint"] == [""]
    assert body["Env"] == ["A=1", "GONE"]
    assert body["StopTimeout"] == 0
    assert body["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 1_500_000_000, "Retries": 3}
    assert body["NetworkingConfig"]["EndpointsConfig"] == {
        "demo_default": {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}
    }
    assert body["HostConfig"] == {
        "PortBindings": {
            "80/tcp": [
                {"HostIp": "", "HostPort": "8080"},
                {"HostIp": "127.0.0.1", "HostPort": ""},
            ]
        },
        "Binds": ["/src/x:/etc/x:ro"],
        "Mounts": [
            {
                "Type": "bind",
                "Source": "/src/y",
                "Target": "/etc/y",
                "BindOptions": {"Propagation": "rslave"},
            },
            {
                "Type": "volume",
                "Source": "demo_data",
                "Target": "/data",
                "VolumeOptions": {"NoCopy": True},
            },
            {
                "Type": "tmpfs",
                "Target": "/tmp",
                "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o700},
            },
        ],
        "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
        "Init": False,
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4},
        "Memory": 64 << 20,
        "NanoCpus": 500_000_000,
    }


def test_a_network_with_its_own_subnet() -> None:
    body = network_body(NetworkConfig("demo_back", internal=True, pools=(IpamPool("10.9.0.0/24"),)))
    assert body["Internal"] is True
    assert body["IPAM"] == {"Driver": "default", "Config": [{"Subnet": "10.9.0.0/24"}]}


def test_files_go_from_the_root_on_with_their_owner() -> None:
    import io
    import tarfile

    data = files_archive([ContainerFile("/run/secrets/key", b"x", uid=7, gid=8, mode=0o400)])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (entry,) = archive.getmembers()
    assert (entry.name, entry.uid, entry.gid, entry.mode) == ("run/secrets/key", 7, 8, 0o400)


@pytest.mark.parametrize(
    ("status", "health", "exit_code"),
    [
        ("Up 2 minutes", "", None),
        ("Up 2 minutes (healthy)", "healthy", None),
        ("Up 1 second (health: starting)", "starting", None),
        ("Up 1 second (unhealthy)", "unhealthy", None),
        ("Exited (137) 2 hours ago", "", 137),
        ("Restarting (1) 3 seconds ago", "", 1),
    ],
)
def test_a_listing_says_health_and_exit_code_in_words(
    status: str, health: str, exit_code: int | None
) -> None:
    item = {
        "Id": "ab",
        "Names": ["/other/alias", "/web"],
        "Status": status,
        "Ports": [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp", "IP": "0.0.0.0"}],
    }
    found = container_listed(item)
    assert (found.name, found.health, found.exit_code) == ("web", health, exit_code)
    assert found.ports == (PublishedPort(80, "tcp", "0.0.0.0", 8080),)


def test_an_inspection_has_the_last_health_output() -> None:
    found = container_inspected(
        {
            "Id": "ab",
            "Name": "/web",
            "State": {
                "Status": "running",
                "ExitCode": 0,
                "StartedAt": "2026-01-02T03:04:05.5Z",
                "Health": {"Status": "unhealthy", "Log": [{"Output": "a"}, {"Output": "b\n"}]},
            },
            "NetworkSettings": {"Ports": {"80/tcp": None, "53/udp": []}},
        }
    )
    assert (found.health, found.health_output) == ("unhealthy", "b")
    assert found.started_at == unix_time("2026-01-02T03:04:05.500000000Z") != 0
    assert [port.host_port for port in found.ports] == [0, 0]


def test_times_with_nanoseconds_and_zones() -> None:
    assert unix_time("1970-01-01T00:00:01.123456789Z") == pytest.approx(1.123456789)
    assert unix_time("1970-01-01T02:00:01+02:00") == 1
    assert unix_time("0001-01-01T00:00:00Z") == 0


async def chunked(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize("size", [1, 3, 8, 1000])
async def test_frames_over_any_chunks(size: int) -> None:
    data = frame(1, b"out\n") + frame(2, b"err") + frame(1, b"") + frame(1, b"more")
    found = [item async for item in frames(chunked(data, size), is_raw=False)]
    assert found == [("stdout", b"out\n"), ("stderr", b"err"), ("stdout", b""), ("stdout", b"more")]


async def test_what_is_not_framed_is_refused() -> None:
    with pytest.raises(Unavailable, match="multiplexed"):
        [item async for item in frames(chunked(b"hello, world", 4), is_raw=False)]


async def test_log_lines_are_put_together_and_dated() -> None:
    data = frame(1, b"1970-01-01T00:00:01.5Z a") + frame(2, b"x\n") + frame(1, b"b\nlast")
    found = [e async for e in log_entries(chunked(data, 5), is_raw=False, timestamps=True)]
    assert found == [
        LogEntry("stderr", b"x", 0),
        LogEntry("stdout", b"ab", 1_500_000_000),
        LogEntry("stdout", b"last", 0),
    ]


def test_a_references_registry() -> None:
    assert registry_of("nginx") == registry_of("library/nginx") == "https://index.docker.io/v1/"
    assert registry_of("localhost/a") == "localhost"
    assert registry_of("127.0.0.1:5000/a/b:1") == "127.0.0.1:5000"


def decoded(header: str | None) -> dict[str, str]:
    assert header is not None
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(header))
    return found


async def test_credentials_from_the_file_and_from_a_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = base64.b64encode(b"ann:secret").decode()
    config = {
        "auths": {"r1:5000": {"auth": auth}, "bad:1": {"auth": "%"}},
        "credHelpers": {"r2:5000": "box", "r3:5000": "missing"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    helper = tmp_path / "docker-credential-box"
    helper.write_text(
        '#!/bin/sh\nread -r name\necho "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"$name\\"}"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert decoded(await registry_auth("r1:5000/a", environ)) == {
        "username": "ann",
        "password": "secret",
        "serveraddress": "r1:5000",
    }
    assert decoded(await registry_auth("r2:5000/a", environ))["identitytoken"] == "r2:5000"
    assert await registry_auth("r9:5000/a", environ) is None
    for reference in ("bad:1/a", "r3:5000/a"):
        with pytest.raises(InvalidArgument, match="registry credentials"):
            await registry_auth(reference, environ)
