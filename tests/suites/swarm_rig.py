"""Three real dockerd as a Swarm on this host, each on a machine of its own, and a registry.

    this host ── nothing but the sockets of the three, by their paths
    hub: 10.77.0.1   a bridge, and docker-registry at 10.77.0.1:5000
      ├── node1: 10.77.0.11   manager
      ├── node2: 10.77.0.12   worker
      └── node3: 10.77.0.13   worker

Each machine is a `sandbox`: network, mount, UTS and PID namespaces that end with one process, the
data in memory. Overlay networks (VXLAN), ports in host mode and `endpoint_mode: dnsrr` are what
works on a kernel without IPVS: virtual addresses and the routing mesh are accepted by the API, and
lead nowhere; `has_ipvs` tells.

    tests/swarm-rig                     start it, say where it is, end it with Ctrl-C
    tests/swarm-rig COMMAND...          for as long as a command runs, with DOCKER_HOST set
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import busybox_image
import loopback_registry
from engine_request import raw_request, request
from oci_builder import BuiltImage
from polling import until
from sandbox import Sandbox, groups, kill_child, remove_groups, sandbox

__all__ = ["Node", "Rig", "has_ipvs", "make_context", "serve"]

_SUBNET = "10.77.0"
_REGISTRY = f"{_SUBNET}.1:5000"
_OVERLAYS = "10.78.0.0/16"
_DEADLINE_S = 600.0
_NAMES = ("node1", "node2", "node3")
_HEARTBEAT_NS = 2_000_000_000
"""A node that is silent for some three of them is down; the usual five seconds take long."""
_ENDED = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
_WAIT_FOR_PORT = """
import socket, sys, time
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()
        break
    except OSError:
        time.sleep(0.02)
"""


def has_ipvs() -> bool:
    """Whether virtual addresses and the routing mesh lead anywhere here."""
    return Path("/proc/net/ip_vs").exists()


def make_context(folder: Path, name: str, url: str) -> None:
    """A docker context in a folder that DOCKER_CONFIG names."""
    meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    document = {"Name": name, "Endpoints": {"docker": {"Host": url}}}
    (meta / "meta.json").write_text(json.dumps(document))


class Node:
    """One machine with a dockerd. address: on the bridge. socket: of its API, on this host."""

    def __init__(self, machine: Sandbox, folder: Path, number: int) -> None:
        self.machine = machine
        self.name = machine.name
        self.address = f"{_SUBNET}.{10 + number}"
        self.socket = folder / f"{self.name}.sock"
        self.group = self.group_in(folder, self.name)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._number = number

    @staticmethod
    def group_in(folder: Path, name: str) -> str:
        """The control group of its containers."""
        return f"{folder.name}-{name}"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Returns when its API answers."""
        config = self._folder / f"{self.name}.json"
        config.write_text(json.dumps(self._settings()))
        self.socket.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            argv = self.machine.command("dockerd", f"--config-file={config}")
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_until_ready()

    def _settings(self) -> dict[str, Any]:
        return {
            "bridge": "none",
            "cgroup-parent": f"/{self.group}",
            "data-root": str(self.machine.disk / "data"),
            "exec-root": "/run/d",
            "pidfile": "/run/d.pid",
            "hosts": [self.url, f"tcp://{self.address}:2375"],
            "tls": False,
            "insecure-registries": [f"{_SUBNET}.0/24"],
            "default-address-pools": [{"base": f"10.8{self._number}.0.0/16", "size": 24}],
            "shutdown-timeout": 1,
        }

    @property
    def _log(self) -> Path:
        return self._folder / f"{self.name}.log"

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            assert self._process is not None
            with contextlib.suppress(OSError):
                raw_request(self.socket, "GET", "/_ping", None, "")
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: dockerd did not start: {self.log()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL for dockerd, and containerd with it; containers go on."""
        if self._process is not None:
            kill_child(self._process)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON; an AssertionError with the engine's words for a refusal."""
        status, answer = request(self.socket, method, path, body)
        assert status < 400, f"{self.name}: {method} {path}: {status} {answer}"
        return answer

    def docker(self, *arguments: str, check: bool = True) -> str:
        """What the real CLI prints."""
        argv = ["docker", "--host", self.url, *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_DEADLINE_S)
        assert not check or done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout + ("" if check else done.stderr)


class Rig:
    """See the module. nodes: node1, the manager, and the workers."""

    def __init__(self, folder: Path, hub: Sandbox, nodes: tuple[Node, ...]) -> None:
        self.folder = folder
        self.hub = hub
        self.nodes = nodes
        self.image = f"{_REGISTRY}/test/busybox:latest"

    @property
    def manager(self) -> Node:
        return self.nodes[0]

    def push(self, image: BuiltImage, name: str, *options: str, to: str = _REGISTRY) -> str:
        """Its reference in a registry that all nodes reach. options: of `skopeo copy`."""
        reference, inside = f"{to}/{name}", self.hub.command()
        with tempfile.TemporaryDirectory() as folder:
            loopback_registry.push(image, reference, Path(folder), *options, inside=inside)
        return reference

    @contextmanager
    def private_registry(self, folder: Path, htpasswd: str) -> Iterator[str]:
        """Another one, which asks for a password; its address."""
        address = f"{_SUBNET}.1:5001"
        with registry(self.hub, folder, address, htpasswd=htpasswd):
            yield address

    def fetch(self, node: Node, port: int, path: str = "/") -> str:
        """What a server on a node's port answers to HTTP from the hub."""
        url = f"http://{node.address}:{port}{path}"
        return self.hub.run("curl", "-sS", "--max-time", "20", url).stdout

    @contextmanager
    def cut(self, node: Node) -> Iterator[None]:
        """Nothing goes to or from the node, which knows nothing of it."""
        self.hub.shell(f"ip link set {node.name} down")
        try:
            yield
        finally:
            self.hub.shell(f"ip link set {node.name} up")

    @contextmanager
    def drained(self, *nodes: Node) -> Iterator[None]:
        """None of their tasks run meanwhile, and no new ones start."""
        for node in nodes:
            self._set_availability(node, "drain")
        try:
            yield
        finally:
            for node in nodes:
                self._set_availability(node, "active")

    def _set_availability(self, node: Node, availability: str) -> None:
        found = self.manager.call("GET", f"/nodes/{self.node_ids()[node.name]}")
        path = f"/nodes/{found['ID']}/update?version={found['Version']['Index']}"
        self.manager.call("POST", path, {**found["Spec"], "Availability": availability})

    def states(self) -> dict[str, str]:
        """Each node's state as the manager sees it: ready, down, unknown.

        One that joins right now has no name yet.
        """
        found = self.manager.call("GET", "/nodes")
        return {
            each["Description"].get("Hostname", each["ID"]): each["Status"]["State"]
            for each in found
        }

    def node_ids(self) -> dict[str, str]:
        found = self.manager.call("GET", "/nodes")
        return {each["Description"]["Hostname"]: each["ID"] for each in found}

    def wait_until_ready(self) -> None:
        until(lambda: list(self.states().values()) == ["ready"] * len(self.nodes), "all nodes")

    def form(self) -> None:
        """Make a Swarm of the engines."""
        addresses = {"ListenAddr": f"{self.manager.address}:2377"}
        dispatcher = {"HeartbeatPeriod": _HEARTBEAT_NS}
        self.manager.call(
            "POST",
            "/swarm/init",
            {
                **addresses,
                "AdvertiseAddr": self.manager.address,
                "DefaultAddrPool": [_OVERLAYS],
                "SubnetSize": 24,
                "Spec": {"Dispatcher": dispatcher},
            },
        )
        token = self.manager.call("GET", "/swarm")["JoinTokens"]["Worker"]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: self._join(node, token), self.nodes[1:]))
        self.wait_until_ready()

    def _join(self, node: Node, token: str) -> None:
        body = {
            "ListenAddr": f"{node.address}:2377",
            "AdvertiseAddr": node.address,
            "RemoteAddrs": [f"{self.manager.address}:2377"],
            "JoinToken": token,
        }
        node.call("POST", "/swarm/join", body)

    def _is_idle(self) -> bool:
        """What has ended of a job stays in the list for good."""
        tasks = self.manager.call("GET", "/tasks")
        return not {task["Status"]["State"] for task in tasks} - _ENDED

    def clear(self) -> None:
        """Remove all that stacks have made; the nodes stay."""
        for kind in ("services", "configs", "secrets"):
            for each in self.manager.call("GET", f"/{kind}"):
                self.manager.call("DELETE", f"/{kind}/{each['ID']}")
        until(self._is_idle, "the end of all tasks")
        for network in self.manager.call("GET", "/networks"):
            if network["Scope"] == "swarm" and not network["Ingress"]:
                self.manager.call("DELETE", f"/networks/{network['Id']}")


@contextmanager
def serve() -> Iterator[Rig]:
    """A Swarm of three that runs, with the test image in its registry; nothing of it stays."""
    with tempfile.TemporaryDirectory(prefix="stackr-swarm-") as name:
        folder = Path(name)
        with contextlib.ExitStack() as stack:
            hub = stack.enter_context(sandbox("hub", folder))
            nodes = [_node(stack, folder, number) for number in range(1, len(_NAMES) + 1)]
            _connect(hub, nodes)
            stack.enter_context(registry(hub, folder, _REGISTRY))
            rig = Rig(folder, hub, tuple(nodes))
            with ThreadPoolExecutor() as pool:
                pushed = pool.submit(rig.push, busybox_image.busybox_image(), "test/busybox:latest")
                list(pool.map(Node.start, nodes))
                pushed.result()
            rig.form()
            yield rig
        left = _leftovers(folder, [node.group for node in nodes])
        assert not left, "left behind:\n" + "\n".join(left)


def _node(stack: contextlib.ExitStack, folder: Path, number: int) -> Node:
    """In reverse order: its engine ends, then its machine, then its control groups go."""
    name = _NAMES[number - 1]
    stack.callback(remove_groups, Node.group_in(folder, name))
    node = Node(stack.enter_context(sandbox(name, folder)), folder, number)
    stack.callback(node.kill)
    return node


def _connect(hub: Sandbox, nodes: list[Node]) -> None:
    """A bridge in the hub, and a cable from each node to it, which has the node's name there."""
    lines = [
        "ip link add bridge0 type bridge",
        f"ip address add {_SUBNET}.1/24 dev bridge0",
        "ip link set bridge0 up",
    ]
    for node in nodes:
        inside = f"nsenter -n -t {node.machine.pid} ip"
        lines += [
            f"ip link add {node.name} type veth peer name eth0 netns {node.machine.pid}",
            f"ip link set {node.name} master bridge0 up",
            f"{inside} address add {node.address}/24 dev eth0",
            f"{inside} link set eth0 up",
            f"{inside} route add default via {_SUBNET}.1",
        ]
    script = "\n".join(lines)
    subprocess.run(["nsenter", "-n", "-t", str(hub.pid), "sh", "-ec", script], check=True)


@contextmanager
def registry(hub: Sandbox, folder: Path, address: str, *, htpasswd: str = "") -> Iterator[None]:
    """A registry at an address of the hub. htpasswd: as for `loopback_registry.serve`."""
    loopback_registry.configure(folder, address=address, htpasswd=htpasswd)
    argv = hub.command("docker-registry", "serve", str(folder / "registry.yml"))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        hub.run("python3", "-S", "-c", _WAIT_FOR_PORT, *address.split(":"))
        yield
    finally:
        kill_child(process)


def _leftovers(folder: Path, parents: list[str]) -> list[str]:
    """One line for each process, mount and control group that is left on this host."""
    processes = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if os.fsencode(folder) in each.read_bytes():
                processes.append(f"process {each.parent.name}")
    mounts = [
        f"mount {line}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if str(folder) in line
    ]
    return [*processes, *mounts, *(f"cgroup {each}" for name in parents for each in groups(name))]


def _main(command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background has the first ignored
        signal.signal(number, signal.default_int_handler)
    with serve() as rig:
        if command:
            environment = {**os.environ, "DOCKER_HOST": rig.manager.url}
            return subprocess.run(command, env=environment).returncode
        for node in rig.nodes:
            sys.stdout.write(f"{node.name}: export DOCKER_HOST={node.url}\n")
        sys.stdout.write(f"image: {rig.image}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
