"""What a record becomes in the OCI runtime's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackr.runtime.engine.container import capabilities
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.oci.bundle import (
    MASKED_PATHS,
    READONLY_PATHS,
    Surroundings,
    bundle_config,
)
from stackr.runtime.engine.container.oci.user import ProcessUser
from stackr.runtime.engine.container.records.record import Container, MountPoint, State
from stackr.runtime.engine.container.records.state import Status
from stackr.runtime.engine.container.settings.spec import Config, HostConfig
from stackr.runtime.engine.linux.cgroup import Hierarchy


def _host(*, v2: bool) -> Host:
    root = Path("/sys/fs/cgroup")
    return Host(
        capabilities=frozenset(capabilities.KNOWN),
        cgroups=Hierarchy(
            root, v2, {} if v2 else {"memory": root / "memory"}, root if v2 else None
        ),
        rlimits={"RLIMIT_NOFILE": 20000},
        machine="x86_64",
        hostname="the-host",
    )


def _container(host_config: dict[str, Any] | None = None, **config: Any) -> Container:
    return Container(
        id="c" * 64,
        name="web",
        created_ns=1,
        image_id="sha256:" + "a" * 64,
        config=Config.model_validate({"Cmd": ["serve"], **config}),
        host_config=HostConfig.model_validate(host_config or {}),
        endpoints={},
        state=State(status=Status.CREATED),
    )


def _config(container: Container, *, v2: bool = True, uid: int = 0) -> dict[str, Any]:
    around = Surroundings(
        host=_host(v2=v2),
        user=ProcessUser(uid, uid, (uid,), "/home"),
        rootfs="/run/b/rootfs",
        cgroup="/stackr/" + container.id,
        files={"/etc/hosts": "/data/hosts"},
    )
    return bundle_config(container, around)


def _kinds(config: dict[str, Any]) -> set[str]:
    return {namespace["type"] for namespace in config["linux"]["namespaces"]}


def test_defaults_are_dockers() -> None:
    config = _config(_container())
    process, linux = config["process"], config["linux"]
    assert process["args"] == ["serve"]
    assert process["env"] == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"HOSTNAME={'c' * 12}",
        "HOME=/home",
    ]
    assert set(process["capabilities"]["effective"]) == capabilities.DEFAULT
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == (
        list(MASKED_PATHS),
        list(READONLY_PATHS),
    )
    assert linux["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "0"
    assert linux["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert linux["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert _kinds(config) == {"mount", "pid", "network", "ipc", "uts", "cgroup"}


def test_a_cgroup_namespace_is_private_only_on_v2() -> None:
    assert "cgroup" not in _kinds(_config(_container(), v2=False))


def test_nobody_but_root_starts_with_capabilities() -> None:
    caps = _config(_container(), uid=1000)["process"]["capabilities"]
    assert caps["effective"] == []
    assert set(caps["bounding"]) == capabilities.DEFAULT


def test_privileged_lifts_every_guard() -> None:
    config = _config(_container({"Privileged": True}))
    assert "seccomp" not in config["linux"]
    assert config["linux"]["maskedPaths"] == []
    assert config["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert set(config["process"]["capabilities"]["bounding"]) == set(capabilities.KNOWN)


def test_host_modes_share_the_hosts_namespaces() -> None:
    modes = {"NetworkMode": "host", "PidMode": "host", "IpcMode": "host", "UTSMode": "host"}
    config = _config(_container(modes))
    assert _kinds(config) == {"mount", "cgroup"}
    assert "hostname" not in config
    assert config["linux"]["sysctl"] == {}


def test_limits_are_in_the_runtimes_words() -> None:
    limits = {"Memory": 1 << 26, "NanoCpus": 500_000_000, "PidsLimit": 50, "CpuShares": 512}
    resources = _config(_container(limits))["linux"]["resources"]
    assert resources["memory"] == {"limit": 1 << 26, "swap": 1 << 27}
    assert resources["cpu"] == {"quota": 50_000, "period": 100_000}
    assert resources["pids"] == {"limit": 50}
    resources = _config(_container(limits), v2=False)["linux"]["resources"]
    assert resources["cpu"] == {"quota": 50_000, "period": 100_000, "shares": 512}


def test_a_mount_of_the_callers_takes_a_defaults_place() -> None:
    container = _container()
    container.mounts = (
        MountPoint("tmpfs", "/dev/shm", options=("size=1m",)),
        MountPoint("bind", "/etc/hosts", "/my/hosts", propagation="rprivate"),
    )
    mounts = _config(container)["mounts"]
    shm = [mount for mount in mounts if mount["destination"] == "/dev/shm"]
    hosts = [mount["source"] for mount in mounts if mount["destination"] == "/etc/hosts"]
    assert [mount["options"] for mount in shm] == [["size=1m"]]
    assert hosts == ["/my/hosts"]


def test_a_record_survives_its_json() -> None:
    container = _container({"Binds": ["/a:/b"]}, Env=["A=1"], Labels={"k": "v"})
    container.mounts = (MountPoint("tmpfs", "/t", options=("size=1m",)),)
    assert Container.from_document(container.to_document()) == container


@pytest.mark.parametrize(
    ("settings", "v2", "is_private"),
    [
        ({}, True, True),
        ({"Privileged": True}, True, True),
        ({"CgroupnsMode": "host"}, True, False),
        ({"CgroupnsMode": "host", "Privileged": True}, True, False),
        ({}, False, False),
        ({"Privileged": True}, False, False),
        ({"CgroupnsMode": "private"}, False, True),
    ],
)
def test_the_hosts_control_groups_are_bound_and_never_mounted_again(
    settings: dict[str, Any], v2: bool, is_private: bool
) -> None:
    config = _config(_container(settings), v2=v2)
    assert ("cgroup" in _kinds(config)) == is_private
    mount = next(m for m in config["mounts"] if m["destination"] == "/sys/fs/cgroup")
    assert ("rw" in mount["options"]) == settings.get("Privileged", False)
    if v2 and not is_private:
        assert (mount["type"], mount["source"]) == ("bind", "/sys/fs/cgroup")
        assert {"rbind", "nosuid", "noexec", "nodev"} <= set(mount["options"])
    else:
        assert mount["type"] == "cgroup"


@pytest.mark.parametrize("privileged", [False, True])
def test_a_read_only_root_has_no_files_that_can_be_written(privileged: bool) -> None:
    """Not even those of names, which are the engine's own on the host's disk."""

    def options(**host_config: Any) -> dict[str, list[str]]:
        mounts = _config(_container({"Privileged": privileged, **host_config}))["mounts"]
        return {mount["destination"]: mount["options"] for mount in mounts}

    closed, usual = options(ReadonlyRootfs=True), options()
    assert "ro" in closed["/etc/hosts"]
    assert "ro" not in usual["/etc/hosts"]
    assert "ro" in closed["/sys"]
    assert ("ro" in usual["/sys"]) is not privileged
    assert "ro" not in closed["/dev/shm"]
