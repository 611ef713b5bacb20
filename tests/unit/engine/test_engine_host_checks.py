"""What the doctor finds on hosts that lack things, and what it advises there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.host_checks import Finding, Machine, check_host

_MOUNTS = """\
22 1 0:20 / / rw - ext4 /dev/vda rw
30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A host that has all of it."""
    files = {
        "etc/os-release": 'ID=ubuntu\nID_LIKE="debian"\n',
        "proc/self/mountinfo": _MOUNTS.replace("/sys", f"{tmp_path}/sys"),
        "proc/sys/user/max_user_namespaces": "1000\n",
        "proc/filesystems": "nodev\toverlay\n",
        "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
        "lib/modules/6.1.0/modules.dep": "kernel/net/bridge/bridge.ko: \nkernel/net/veth.ko.xz:\n",
        "boot/config-6.1.0": "CONFIG_NF_TABLES=y\nCONFIG_NF_NAT=y\nCONFIG_IP_SCTP=y\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for kind in ("mnt", "pid", "net", "ipc", "uts"):
        (tmp_path / "proc/self/ns").mkdir(exist_ok=True)
        (tmp_path / "proc/self/ns" / kind).touch()
    return Machine(tmp_path, "6.1.0", lambda name: f"/usr/bin/{name}", lambda name: name, 0)


def found(machine: Machine, config: EngineConfig | None = None) -> Mapping[str, Finding]:
    return {finding.subject: finding for finding in check_host(config or EngineConfig(), machine)}


def test_a_whole_host_lacks_nothing(machine: Machine) -> None:
    verdicts = {subject: each.verdict for subject, each in found(machine).items()}
    for subject in ("disk", "open files"):  # of the test's own host
        del verdicts[subject]
    assert set(verdicts.values()) == {"ok"}


def test_missing_programs_come_with_their_packages(machine: Machine) -> None:
    bare = replace(machine, which=lambda name: None, library=lambda name: None)
    findings = found(bare)
    for subject, verdict, package in (
        ("nftables", "missing", "nftables"),
        ("OCI runtime", "missing", "crun"),
        ("conmon", "missing", "conmon"),
        ("init", "warning", "tini"),
        ("zstd", "warning", "zstd"),
    ):
        assert findings[subject].verdict == verdict
        assert findings[subject].remedy == f"apt-get install {package}"
    (machine.root / "etc/os-release").write_text("ID=fedora\n")
    assert found(bare)["conmon"].remedy == "dnf install conmon"
    (machine.root / "etc/os-release").unlink()
    assert found(bare)["conmon"].remedy == "install the package conmon"


def test_what_the_kernel_lacks(machine: Machine) -> None:
    root = machine.root
    (root / "proc/filesystems").write_text("ext4\n")
    (root / "lib/modules/6.1.0/modules.dep").write_text("")
    (root / "boot/config-6.1.0").unlink()
    (root / "sys/module/veth").mkdir(parents=True)
    (root / "proc/sys/user/max_user_namespaces").write_text("0\n")
    (root / "sys/fs/cgroup/cgroup.controllers").write_text("cpu io pids cpuset hugetlb\n")
    findings = found(machine)
    assert findings["module overlay"].verdict == "missing"
    assert "CONFIG_OVERLAY_FS" in findings["module overlay"].remedy
    assert findings["module veth"] == Finding("module veth", "ok", "loaded")
    assert findings["module sctp"].verdict == "warning"
    assert findings["namespaces"].verdict == "warning"
    assert "memory" in findings["control groups"].found
    assert found(replace(machine, release="4.9.0"))["kernel"].verdict == "missing"
    (root / "proc/self/ns/net").unlink()
    assert found(machine)["namespaces"].found == "no net"


def test_where_layers_cannot_be(machine: Machine, tmp_path: Path) -> None:
    mounts = machine.root / "proc/self/mountinfo"
    mounts.write_text(_MOUNTS.replace("ext4", "overlay"))
    assert found(machine)["file system"].verdict == "missing"
    file = tmp_path / "engine.json"
    file.write_text('{"hots": []}')
    finding = found(machine, EngineConfig(file=file))["configuration"]
    assert (finding.verdict, finding.remedy) == ("missing", 'did you mean "hosts"?')
    nobody, config = replace(machine, uid=1000), EngineConfig(socket=tmp_path / "engine.sock")
    assert found(nobody, config)["access"].verdict == "missing"
    config.socket.touch()
    assert found(nobody, config)["access"].verdict == "ok"
