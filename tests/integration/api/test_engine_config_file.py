"""An engine by its configuration file: each option is seen in what containers and clients get."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
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

_TOY = docker.types.DeviceRequest(driver="cdi", device_ids=["example.com/toy=one"])
_MASKED = "http://xxxxx:xxxxx@127.0.0.1:1"


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


def _profile(path: Path) -> Path:
    """All is allowed but mkdir, which fails in a way of its own."""
    refused = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}))
    return path


def _devices(folder: Path) -> Path:
    folder.mkdir()
    device = {"name": "one", "containerEdits": {"env": ["DEVICE=one"]}}
    spec = {"cdiVersion": "0.6.0", "kind": "example.com/toy", "devices": [device]}
    (folder / "toy.json").write_text(json.dumps(spec))
    return folder


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
        "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1350"}},
        "bip": "10.212.0.1/24",
        "fixed-cidr": "10.212.0.128/25",
        "ipv6": True,
        "bip6": "fd12:3456::1/64",
        "mtu": 1400,
        "icc": False,
        "ip-masq": False,
        "ip": "127.0.0.1",
        "host-gateway-ips": ["192.0.2.9", "2001:db8::9"],
        "dns": ["192.0.2.1"],
        "dns-opts": ["timeout:1"],
        "dns-search": ["example.test"],
        "log-opts": {"max-size": "1m", "max-file": "2"},
        "default-ulimits": {"nproc": {"Name": "nproc", "Soft": 900, "Hard": 1000}},
        "default-shm-size": "8m",
        "default-stop-timeout": 1,
        "default-ipc-mode": "shareable",
        "default-cgroupns-mode": "private",
        "default-runtime": "runc",
        "cgroup-parent": "configured",
        "init-path": shutil.which("tini-static"),
        "seccomp-profile": str(_profile(folder / "seccomp.json")),
        "cdi-spec-dirs": [str(_devices(folder / "cdi"))],
        "min-api-version": "1.41",
        "max-download-attempts": 2,
        "proxies": {"https-proxy": "http://me:secret@127.0.0.1:1", "no-proxy": "intern.test"},
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": "1GB"}},
        "iptables": True,
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


def test_containers_have_the_namespaces_and_programs_of_the_options(client: Any) -> None:
    image = client.images.pull("hub-busybox", tag="1")
    script = "cat /etc/hosts; mkdir /made; cat /proc/self/cgroup; ls /proc/1/exe -l; env; sleep 60"
    shown = client.containers.create(
        image,
        ["sh", "-c", script],
        init=True,
        extra_hosts={"outside": "host-gateway"},
        device_requests=[_TOY],
    )
    shown.start()
    until(lambda: b"DEVICE=one" in shown.logs())
    text = shown.logs().decode()
    for expected in ("192.0.2.9\toutside\n2001:db8::9\toutside\n", "Invalid cross-device link"):
        assert expected in text, text
    assert "docker-init" in text
    state = client.api.inspect_container(shown.id)
    host = state["HostConfig"]
    assert (host["IpcMode"], host["CgroupnsMode"]) == ("shareable", "private")
    groups = Path(f"/proc/{state['State']['Pid']}/cgroup").read_text()
    assert f"/configured/{shown.id}" in groups
    began = time.monotonic()
    shown.stop()  # the shell is deaf, as process 2
    assert time.monotonic() - began < 9
    assert client.info()["DefaultRuntime"] == "runc"
    shown.remove()


def test_the_bridge_is_as_the_options_say(client: Any) -> None:
    image = client.images.pull("hub-busybox", tag="1")
    run = client.containers.run
    addresses = run(image, ["ip", "addr", "show", "eth0"], remove=True).decode()
    address = re.search(r"inet 10\.212\.0\.(\d+)/24", addresses)
    assert address is not None, addresses
    assert int(address[1]) > 127
    assert "inet6 fd12:3456::" in addresses
    shown = client.api.inspect_network("bridge")
    prefix = "com.docker.network.bridge."
    wanted = {"enable_icc": "false", "enable_ip_masquerade": "false"}
    wanted["host_binding_ipv4"] = "127.0.0.1"
    assert {f"{prefix}{k}": v for k, v in wanted.items()}.items() <= shown["Options"].items()
    web = run(image, ["sleep", "60"], ports={"80": None}, detach=True, init=True)
    web.reload()
    assert {each["HostIp"] for each in web.ports["80/tcp"]} == {"127.0.0.1"}
    web.remove(force=True)
    network = client.networks.create("sized")
    assert network.attrs["Options"]["com.docker.network.driver.mtu"] == "1350"


def test_older_clients_are_refused(client: Any, engine_of_file: EngineConfig) -> None:
    status, answer = request(engine_of_file.socket, "GET", "/v1.40/info")
    assert status == 400
    assert "Minimum supported API version is 1.41" in answer["message"]
    assert client.version()["MinAPIVersion"] == "1.41"


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
    assert (info["HttpsProxy"], info["NoProxy"]) == (_MASKED, "intern.test")
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
