"""What containers are made of and show, as clients of dockerd expect it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from engine_request import request
from peer import Peer
from polling import until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.peers]

Docker = Callable[..., subprocess.CompletedProcess[str]]


def _inspect(peer: Peer, name: str) -> Any:
    return request(peer.socket, "GET", f"/containers/{name}/json")[1]


def test_who_shares_a_network_has_its_names(
    docker: Docker, peer: Peer, pulled: str, name: str
) -> None:
    docker("run", "-d", "--name", name, "--hostname", "donor", pulled, "sleep", "1000")
    joined = ["--rm", "--network", f"container:{name}", pulled, "sh", "-c"]
    script = "hostname; hostname -i; cat /etc/hostname; ls /.dockerenv"
    address = _inspect(peer, name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    output = docker("run", *joined, script).stdout.split()
    assert output == ["donor", address, "donor", "/.dockerenv"]
    nobody = docker("run", "--network", "container:nobody", pulled, "true", want=125)
    assert nobody.stderr.startswith("docker: Error response from daemon: No such container: nobody")


def test_links_give_names_and_variables(docker: Docker, peer: Peer, pulled: str, name: str) -> None:
    docker("run", "-d", "--name", name, "--expose", "80", "-e", "A=1", pulled, "sleep", "1000")
    address = _inspect(peer, name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    web = f"{name}-web"
    try:
        script = "env | grep ^DB_; grep db /etc/hosts; sleep 1000"
        linked = ["--name", web, "--link", f"{name}:db", "--dns", "192.0.2.1"]
        docker("run", "-d", *linked, pulled, "sh", "-c", script)
        shown = _inspect(peer, web)
        assert shown["HostConfig"]["Links"] == [f"/{name}:/{web}/db"]
        names = docker("ps", "--filter", f"name={name}", "--format", "{{.Names}}", "--no-trunc")
        assert f"{name},{web}/db" in names.stdout.split()
        output = docker("exec", web, "sh", "-c", "env; cat /etc/hosts /etc/resolv.conf").stdout
        assert f"DB_PORT_80_TCP_ADDR={address}" in output
        assert f"{address}\tdb " in output
        assert "nameserver 192.0.2.1" in output
        assert request(peer.socket, "DELETE", f"/containers/{web}/db?link=1")[0] == 204
        assert _inspect(peer, web)["HostConfig"]["Links"] is None
        docker("create", "--link", "nobody", pulled, want=1)
    finally:
        docker("rm", "-f", web)


def test_changes_are_listed(docker: Docker, pulled: str, name: str) -> None:
    script = "touch /new; rm /etc/passwd; mkdir /tmp/a; echo > /data/hello"
    docker("run", "--name", name, pulled, "sh", "-c", script)
    assert sorted(docker("diff", name).stdout.splitlines()) == [
        "A /new",
        "A /tmp/a",
        "C /data",
        "C /data/hello",
        "C /etc",
        "C /tmp",
        "D /etc/passwd",
    ]


def test_an_inspection_has_what_clients_read(
    docker: Docker, peer: Peer, pulled: str, name: str
) -> None:
    network, volume, mac = f"{name}-net", f"{name}-vol", "02:42:0a:62:07:09"
    docker("network", "create", "--subnet", "10.98.7.0/24", network)
    try:
        mount = f"type=volume,source={volume},target=/v,volume-label=a=b,volume-opt=type=none"
        mount += ",volume-opt=device=/tmp,volume-opt=o=bind"
        docker(
            *("create", "--name", name, "--network", network, "--ip", "10.98.7.9"),
            *(() if peer.is_dockerd else ("--mac-address", mac)),  # the CLI asks 1.44 for it
            *("--tmpfs", "/t", "--mount", mount, pulled),
        )
        shown = _inspect(peer, name)
        endpoint = shown["NetworkSettings"]["Networks"][network]
        assert endpoint["IPAMConfig"] == {"IPv4Address": "10.98.7.9"}
        assert endpoint["MacAddress"] == ("" if peer.is_dockerd else mac)
        assert [m["Destination"] for m in shown["Mounts"]] == ["/v"]
        assert shown["Mounts"][0]["Mode"] == "z"
        host_config = shown["HostConfig"]
        assert host_config["CgroupnsMode"] in ("host", "private")
        assert "/proc/kcore" in host_config["MaskedPaths"]
        assert {"Isolation", "DeviceRequests", "Links", "VolumeDriver"} <= host_config.keys()
        assert set(shown["GraphDriver"]["Data"]) == {
            "LowerDir",
            "MergedDir",
            "UpperDir",
            "WorkDir",
        }
        made = request(peer.socket, "GET", f"/volumes/{volume}")[1]
        assert (made["Labels"], made["Options"]["device"]) == ({"a": "b"}, "/tmp")
        again = f"/networks/{network}/connect"
        assert request(peer.socket, "POST", again, {"Container": name})[0] == 200
        apart = "/networks/bridge/disconnect"
        assert request(peer.socket, "POST", apart, {"Container": name})[0] == 500
    finally:
        docker("rm", "-f", name)
        docker("network", "rm", network)
        docker("volume", "rm", "-f", volume)


def test_events_tell_of_probes_volumes_and_lists_of_processes(
    docker: Docker, pulled: str, name: str
) -> None:
    since = str(time.time())
    docker(
        *("run", "-d", "--name", name, "-v", f"{name}-v:/v", "--oom-score-adj", "100"),
        *("--health-cmd", "true", "--health-interval", "1s", pulled, "sleep", "1000"),
    )
    docker("top", name)
    until(lambda: "healthy" in docker("ps", "--filter", "health=healthy", "--no-trunc").stdout)
    assert docker("exec", name, "cat", "/proc/self/oom_score_adj").stdout.strip() == "100"
    docker("rm", "-f", name)
    span = ("--since", since, "--until", str(time.time()))
    seen = docker("events", *span, "--format", "{{json .}}").stdout
    told = [json.loads(line) for line in seen.splitlines()]
    of_it = [e["Action"] for e in told if e["Actor"]["Attributes"].get("name") == name]
    assert {"top", "exec_create: /bin/sh -c true", "exec_die"} <= set(of_it)
    mounts = [
        e["Action"] for e in told if e["Type"] == "volume" and e["Actor"]["ID"] == f"{name}-v"
    ]
    assert mounts == ["create", "mount", "unmount"]
    docker("volume", "rm", f"{name}-v")
