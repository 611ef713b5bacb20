"""Nodes that are reached by ssh, as the manager is: a real sshd on each machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from polling import until
from sandbox import Sandbox, kill_child
from swarm_rig import Node, Rig, make_context

_SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not (_SSHD and shutil.which("ssh-keyscan")), reason="no OpenSSH here"),
]
_SSHD_CONFIG = """\
HostKey {home}/host
PidFile none
UsePAM no
PermitRootLogin yes
"""
_AS_ROOT_OF = 'mount --bind "$0" /etc/passwd; exec "$@"'
"""In a mount namespace of its own: root's home, and sshd's own user, as a file has them."""
_DOCKER = "/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Ssh:
    """Who may log in, and how. home: root's, here and on each node."""

    rig: Rig
    home: Path

    def command(self, machine: Sandbox, *argv: str) -> list[str]:
        script = ["unshare", "-m", "sh", "-ec", _AS_ROOT_OF, str(self.home / "passwd")]
        return machine.command(*script, *argv)

    def stackr(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run where the nodes are within reach, by the network alone."""
        environ = {**os.environ, "HOME": str(self.home), "DOCKER_CONFIG": str(self.home / "docker")}
        argv = [f"--engine=swarm+ssh://{self.rig.manager.address}", "--file=stack.json", *words]
        command = self.command(self.rig.hub, "env", "-C", str(self.home), "stackr", *argv)
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ)

    @contextmanager
    def server(self, node: Node) -> Iterator[None]:
        """sshd, and docker's socket where its CLI looks for it."""
        node.machine.run("mkdir", "-p", "/run/sshd")
        node.machine.run("ln", "-s", str(node.socket), _DOCKER)
        argv = [str(_SSHD), "-D", "-e", "-f", str(self.home / "sshd_config")]
        with (self.home / f"{node.name}.log").open("wb") as log:
            process = subprocess.Popen(self.command(node.machine, *argv), stderr=log)
        try:
            until(lambda: self._know(node), f"the sshd of {node.name}")
            yield
        finally:
            kill_child(process)
            node.machine.run("rm", _DOCKER)

    def _know(self, node: Node) -> bool:
        """Whether its sshd answers; its key is known then."""
        scan = ("ssh-keyscan", "-t", "ed25519", node.address)
        found = self.rig.hub.run(*scan, check=False).stdout
        with (self.home / ".ssh/known_hosts").open("a") as known:
            known.write(found)
        return bool(found)


@pytest.fixture
def ssh(rig: Rig, tmp_path: Path) -> Iterator[Ssh]:
    """To all nodes but the last one, which has no sshd."""
    home = tmp_path / "home"
    keys = home / ".ssh"
    keys.mkdir(parents=True, mode=0o700)
    for key in (home / "host", keys / "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    shutil.copy(keys / "id_ed25519.pub", keys / "authorized_keys")
    users = f"root:x:0:0::{home}:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
    (home / "passwd").write_text(users)
    (home / "sshd_config").write_text(_SSHD_CONFIG.format(home=home))
    found = Ssh(rig, home)
    with ExitStack() as stack:
        for node in rig.nodes[:-1]:
            stack.enter_context(found.server(node))
        yield found


def test_containers_of_nodes_by_ssh(ssh: Ssh) -> None:
    """Beside the manager, as it is reached; by a context of the node's name; else it is named."""
    script = ["sh", "-c", "trap exit TERM; echo hello; sleep 999 & wait"]
    deploy = {"mode": "global", "endpoint_mode": "dnsrr"}
    web = {"image": ssh.rig.image, "command": script, "deploy": deploy}
    stack = {"name": "shop", "services": {"web": web}}
    (ssh.home / "stack.json").write_text(json.dumps(stack))
    up = ssh.stackr("up")
    assert up.returncode == 0, up.stderr
    assert ssh.stackr("logs").stdout.count(" hello") == len(ssh.rig.nodes)

    (ssh.home / "file").write_text("kept\n")
    assert 'node "node3": its engine cannot be reached' in ssh.stackr("top").stderr
    make_context(ssh.home / "docker", "node3", f"ssh://{ssh.rig.nodes[1].address}")
    assert "it is another node" in ssh.stackr("top").stderr
    with ssh.server(ssh.rig.nodes[2]):
        shutil.rmtree(ssh.home / "docker")
        make_context(ssh.home / "docker", "node3", f"ssh://root@{ssh.rig.nodes[2].address}:22")
        top = ssh.stackr("top")
        assert top.returncode == 0, top.stderr
        assert top.stdout.count("sleep 999") == len(ssh.rig.nodes)
        assert ssh.stackr("cp", "file", "web:/file").returncode == 0
        assert ssh.stackr("exec", "web", "cat", "/file").stdout == "kept\n"
