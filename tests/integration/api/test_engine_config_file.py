"""An engine by its configuration file: each option is seen in what containers and clients get."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from engine_request import request
from polling import until

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running, log_path

pytestmark = pytest.mark.root


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _hub_image(registry: str, image: str, path: str) -> None:
    """Have the test image in the registry under a path that Docker Hub could have."""
    target = f"docker://{registry}/{path}"
    tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
    subprocess.run(["skopeo", "copy", "-q", *tls, f"docker://{image}", target], check=True)


@pytest.fixture(scope="module")
def options(
    registry: str, busybox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("configured")
    _hub_image(registry, busybox_image, "library/hub-busybox:1")
    return {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "run"),
        "pidfile": str(folder / "pid"),
        "registry-mirrors": ["http://127.0.0.1:1", f"http://{registry}"],
        "default-address-pools": [{"base": "10.211.0.0/16", "size": 24}],
        "bip": "10.212.0.1/24",
        "mtu": 1400,
        "dns": ["192.0.2.1"],
        "dns-opts": ["timeout:1"],
        "dns-search": ["example.test"],
        "log-opts": {"max-size": "1m", "max-file": "2"},
        "default-ulimits": {"nproc": {"Name": "nproc", "Soft": 900, "Hard": 1000}},
        "default-shm-size": "8m",
        "labels": ["site=a"],
        "live-restore": False,
        "shutdown-timeout": 20,
        "log-format": "json",
        "metrics-addr": f"127.0.0.1:{_free_port()}",
    }


@pytest.fixture(scope="module")
def engine_of_file(options: dict[str, Any]) -> Iterator[EngineConfig]:
    file = Path(options["pidfile"]).with_name("engine.json")
    file.write_text(json.dumps(options))
    config = EngineConfig.from_environment({}, file=file)
    ensure_running(config)
    yield config
    client = docker.DockerClient(base_url=f"unix://{config.socket}", timeout=60)
    for container in client.containers.list(all=True):
        container.remove(force=True, v=True)
    client.networks.prune()
    client.close()
    control.stop(config, timeout_s=60)
    assert not Path(options["pidfile"]).exists()


@pytest.fixture
def client(engine_of_file: EngineConfig) -> Iterator[Any]:
    made = docker.DockerClient(base_url=f"unix://{engine_of_file.socket}", timeout=60)
    yield made
    made.close()


def test_containers_get_the_options(client: Any) -> None:
    image = client.images.pull("hub-busybox", tag="1")
    assert "hub-busybox:1" in image.tags
    limits = "grep processes /proc/self/limits"
    script = f"cat /etc/resolv.conf; {limits}; df -k /dev/shm | tail -1; ip addr show eth0"
    output = client.containers.run(image, ["sh", "-c", script], name="shown", remove=False)
    shown = output.decode()
    for expected in (
        "search example.test\n",
        "options timeout:1 ndots:0\n",
        " 8192 ",
        "10.212.0.",
        "mtu 1400",
    ):
        assert expected in shown, shown
    assert ["900", "1000"] in [line.split()[2:4] for line in shown.splitlines()]
    host = client.api.inspect_container("shown")["HostConfig"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    alone = client.containers.run(image, ["cat", "/etc/resolv.conf"], network="host", remove=True)
    assert alone.decode().startswith("nameserver 192.0.2.1\n")
    network = client.networks.create("pooled")
    assert network.attrs["IPAM"]["Config"][0]["Subnet"] == "10.211.0.0/24"


def test_mirrors_are_asked_for_tags_and_digests(client: Any) -> None:
    asked = client.images.get_registry_data("hub-busybox:1")
    (image,) = client.images.pull("hub-busybox", all_tags=True)
    assert image.attrs["RepoDigests"] == [f"hub-busybox@{asked.id}"]


def test_the_engine_tells_its_options(
    client: Any, engine_of_file: EngineConfig, options: dict[str, Any]
) -> None:
    info = client.info()
    assert (info["Labels"], info["LiveRestoreEnabled"]) == (["site=a"], False)
    assert info["DefaultAddressPools"] == [{"Base": "10.211.0.0/16", "Size": 24}]
    assert info["RegistryConfig"]["Mirrors"][0] == "http://127.0.0.1:1/"
    line = json.loads(log_path(engine_of_file).read_text().splitlines()[-1])
    assert {"level", "msg", "time"} <= line.keys()
    pid = int(Path(options["pidfile"]).read_text())
    assert pid == control.status(engine_of_file).pid


def _metrics(options: dict[str, Any]) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{options['metrics-addr']}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_metrics_are_prometheus_own(client: Any, options: dict[str, Any]) -> None:
    image = client.images.pull("hub-busybox", tag="1")
    before = _metrics(options)
    client.containers.run(image, ["sleep", "100"], name="counted", detach=True, init=True)
    after = _metrics(options)
    running = 'engine_daemon_container_states_containers{state="running"}'
    assert after[running] == before[running] + 1
    for action in ("create", "start"):
        name = f'engine_daemon_container_actions_seconds_count{{action="{action}"}}'
        assert after[name] == before[name] + 1
    assert after["engine_daemon_events_total"] > before["engine_daemon_events_total"]
    assert after["process_open_fds"] > 3
    client.containers.get("counted").remove(force=True)


def test_sighup_reads_it_again(
    client: Any, engine_of_file: EngineConfig, options: dict[str, Any]
) -> None:
    file = engine_of_file.file
    assert file is not None
    file.write_text(json.dumps({**options, "labels": ["site=b"], "mtu": 1300, "debug": True}))
    pid = control.status(engine_of_file).pid
    assert pid is not None
    os.kill(pid, signal.SIGHUP)
    until(lambda: client.info()["Labels"] == ["site=b"])
    assert client.info()["Debug"] is True
    event = _reload(engine_of_file)
    assert event["Action"] == "reload"
    assert event["Actor"]["Attributes"]["labels"] == '["site=b"]'
    assert "option mtu: counts from the engine's next start" in log_path(engine_of_file).read_text()


def _reload(config: EngineConfig) -> dict[str, Any]:
    path = f"/events?since=0&until={time.time():.9f}&filters=%7B%22type%22%3A%5B%22daemon%22%5D%7D"
    _, event = request(config.socket, "GET", path)
    found: dict[str, Any] = event
    return found


def test_without_live_restore_containers_end_and_come_back(
    client: Any, engine_of_file: EngineConfig
) -> None:
    image = client.images.pull("hub-busybox", tag="1")
    run = client.containers.run
    kept = {"restart_policy": {"Name": "unless-stopped"}, "detach": True, "init": True}
    back = run(image, ["sleep", "1000"], name="back", **kept)
    run(image, ["sleep", "1000"], name="gone", detach=True, init=True)
    pid = client.api.inspect_container("back")["State"]["Pid"]
    control.stop(engine_of_file, timeout_s=60)
    assert not Path(f"/proc/{pid}").exists()
    ensure_running(engine_of_file)
    back.reload()
    assert back.status == "running"
    assert client.containers.get("gone").status == "exited"
    for name in ("back", "gone"):
        client.containers.get(name).remove(force=True)
