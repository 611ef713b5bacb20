"""The pure rules of containers: what is merged, refused, resolved and decided."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stackr.errors import Conflict, InvalidArgument, NotModified, NotSupported
from stackr.runtime.engine.container import capabilities
from stackr.runtime.engine.container.health.prober import apply
from stackr.runtime.engine.container.oci import seccomp
from stackr.runtime.engine.container.oci.user import ProcessUser, resolve_user
from stackr.runtime.engine.container.records.record import Health, Probe
from stackr.runtime.engine.container.records.restart import Backoff, should_restart
from stackr.runtime.engine.container.records.state import Status, Verb, check
from stackr.runtime.engine.container.settings.merge import merge_config
from stackr.runtime.engine.container.settings.signals import signal_number
from stackr.runtime.engine.container.settings.spec import (
    Config,
    HostConfig,
    RestartPolicy,
    parse_create,
)
from stackr.runtime.engine.container.storage.mount_check import mount_points
from stackr.runtime.engine.container.storage.mounts import plan_mounts

REFERENCE_PROFILE = Path("/usr/share/containers/seccomp.json")
# What containers-common lets every container do, and Docker does not without a capability.
NOT_DOCKERS = {
    "clone3",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_mempolicy",
    "keyctl",
    "mbind",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pidfd_getfd",
    "pivot_root",
    "readdir",
    "reboot",
    "set_mempolicy",
    "setns",
    "sigaction",
    "sigpending",
    "sigsuspend",
    "syscall",
    "syslog",
    "timerfd",
    "umount",
    "umount2",
    "unshare",
}


def test_a_wrong_type_is_told_with_its_path() -> None:
    with pytest.raises(InvalidArgument, match=r"invalid JSON: HostConfig\.Memory: "):
        parse_create({"HostConfig": {"Memory": "much"}})
    for value in ("64", True, 1.5):
        with pytest.raises(InvalidArgument, match="Memory"):
            parse_create({"HostConfig": {"Memory": value}})
    for flag in ("true", 1):
        with pytest.raises(InvalidArgument, match="Tty"):
            parse_create({"Tty": flag})


def test_a_known_key_that_is_not_honoured_is_refused_by_name() -> None:
    assert parse_create({"HostConfig": {"Links": None, "Runtime": "runc"}})
    with pytest.raises(NotSupported, match=r"HostConfig\.KernelMemory"):
        parse_create({"HostConfig": {"KernelMemory": 1}})


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ({}, ["entry", "cmd"]),
        ({"Cmd": ["x"]}, ["entry", "x"]),
        ({"Entrypoint": ["e"]}, ["e"]),
        ({"Entrypoint": [""], "Cmd": ["x"]}, ["x"]),
        ({"Entrypoint": [], "Cmd": []}, ["cmd"]),
        ({"Entrypoint": None, "Cmd": [""]}, ["entry", ""]),
    ],
)
def test_command_and_entrypoint_merge_as_in_docker(
    given: dict[str, list[str]], command: list[str]
) -> None:
    image = {"Entrypoint": ["entry"], "Cmd": ["cmd"]}
    merged = merge_config(Config.model_validate(given), image)
    assert [*(merged.entrypoint or []), *merged.cmd] == command


@pytest.mark.parametrize("given", [{}, {"Cmd": [], "Entrypoint": None}, {"Cmd": None}])
@pytest.mark.parametrize("image", [{}, {"Entrypoint": [""]}, {"Entrypoint": [], "Cmd": None}])
def test_a_container_without_a_command_is_refused(
    given: dict[str, object], image: dict[str, object]
) -> None:
    with pytest.raises(InvalidArgument, match="no command specified"):
        merge_config(Config.model_validate(given), image)


def test_an_entrypoint_of_nothing_needs_a_command_of_the_callers() -> None:
    given = Config.model_validate({"Entrypoint": [""]})
    with pytest.raises(InvalidArgument, match="no command specified"):
        merge_config(given, {"Entrypoint": ["entry"], "Cmd": ["cmd"]})


def test_environment_of_the_caller_goes_before_the_images() -> None:
    merged = merge_config(Config(cmd=["x"], env=["A=1", "GONE"]), {"Env": ["A=0", "B=2", "GONE=3"]})
    assert merged.env == ["A=1", "GONE", "B=2"]  # which is heeded at the start


PASSWD = "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:1000:\nextra:x:50:web\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", ProcessUser(0, 0, (0,), "/root")),
        ("web", ProcessUser(1000, 1000, (1000, 50), "/home/web")),
        ("1000:extra", ProcessUser(1000, 50, (50,), "/home/web")),
        ("4000", ProcessUser(4000, 0, (0,), "/")),
    ],
)
def test_users_are_resolved_by_the_images_files(user: str, expected: ProcessUser) -> None:
    assert resolve_user(user, passwd=PASSWD, group=GROUP) == expected


@pytest.mark.parametrize("user", ["nobody", "web:nogroup", "99999999999"])
def test_unknown_users_are_refused(user: str) -> None:
    with pytest.raises(InvalidArgument):
        resolve_user(user, passwd=PASSWD, group=GROUP)


def test_mounts_are_sorted_and_checked() -> None:
    host = HostConfig(binds=["data:/a/b/c:nocopy", "/host:/a:ro"], tmpfs={"/t": "size=1m"})
    mounts = plan_mounts(Config(volumes={"/anon": {}, "/a": {}}), host, lambda ref: ())
    assert [(m.type, m.destination, m.rw) for m in mounts] == [
        ("bind", "/a", False),
        ("volume", "/anon", True),
        ("tmpfs", "/t", True),
        ("volume", "/a/b/c", True),
    ]
    with pytest.raises(InvalidArgument, match="Duplicate mount point: /a"):
        plan_mounts(Config(), HostConfig(binds=["/x:/a", "/y:/a"]), lambda ref: ())
    with pytest.raises(InvalidArgument, match="destination can't be '/'"):
        plan_mounts(Config(), HostConfig(binds=["/x:/"]), lambda ref: ())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"Tmpfs": {"/proc": ""}}, '"/proc" cannot be mounted because it is not of type proc'),
        ({"Binds": ["v:/proc"]}, '"/proc" cannot be mounted because it is not of type proc'),
        ({"Binds": ["/etc:/proc/sys"]}, '"/proc/sys" cannot be mounted because it is inside /proc'),
        ({"Binds": ["v:/proc/cpuinfo"]}, '"/proc/cpuinfo" cannot be mounted'),
        ({"Tmpfs": {"/dev": "size=1m"}}, '"/dev" cannot be mounted as a tmpfs without the option'),
        ({"Tmpfs": {"/etc/hosts": ""}}, '"/etc/hosts" cannot be mounted because it is not a dir'),
    ],
)
def test_what_nothing_is_mounted_on(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(text)):
        plan_mounts(Config(), HostConfig.model_validate(settings), lambda ref: ())


def test_an_images_volume_is_not_mounted_on_proc() -> None:
    with pytest.raises(InvalidArgument, match='"/proc/sys" cannot be mounted'):
        plan_mounts(Config(volumes={"/proc/sys": {}}), HostConfig(), lambda ref: ())


def test_what_is_mounted_on_the_kernels_own_folders() -> None:
    binds = ["/proc:/proc", "/x:/proc/cpuinfo", "/sys:/sys", "v:/sys/kernel", "/dev:/dev"]
    host = HostConfig(binds=binds, tmpfs={"/dev/shm": "", "/sys/fs/cgroup": ""})
    assert len(plan_mounts(Config(), host, lambda ref: ())) == 7
    plan_mounts(Config(), HostConfig(tmpfs={"/dev": "dev"}), lambda ref: ())


def test_a_tmpfs_has_a_mode_only_where_one_is_given() -> None:
    options: list[dict[str, int]] = [{}, {"SizeBytes": 4096}, {"Mode": 0o711}]
    mounts = [
        {"Type": "tmpfs", "Target": f"/{number}", "TmpfsOptions": given}
        for number, given in enumerate(options)
    ]
    planned = plan_mounts(Config(), HostConfig.model_validate({"Mounts": mounts}), lambda ref: ())
    modes = [[o for o in mount.options if o.startswith("mode=")] for mount in planned]
    assert modes == [[], [], ["mode=711"]]


def test_where_a_mountinfo_says_that_something_is() -> None:
    text = (
        "22 1 0:20 / /proc rw,nosuid - proc proc rw\n"
        "30 22 0:40 / /a\\040b rw shared:1 master:2 - tmpfs none rw,size=4k\n"
    )
    assert list(mount_points(text)) == [("/proc", "proc"), ("/a b", "tmpfs")]


def test_states_allow_and_refuse_verbs() -> None:
    check(Status.CREATED, Verb.START, id="i", name="n")
    with pytest.raises(NotModified):
        check(Status.RUNNING, Verb.START, id="i", name="n")
    with pytest.raises(Conflict, match="cannot start a paused container"):
        check(Status.PAUSED, Verb.START, id="i", name="n")


def test_restart_policies() -> None:
    on_failure = RestartPolicy(name="on-failure", maximum_retry_count=2)
    always = RestartPolicy(name="always")
    for policy, code, count, manual, expected in (
        (on_failure, 1, 1, False, True),
        (on_failure, 1, 2, False, False),
        (on_failure, 0, 0, False, False),
        (always, 0, 99, False, True),
        (always, 1, 0, True, False),
    ):
        assert (
            should_restart(policy, exit_code=code, restart_count=count, manually_stopped=manual)
            is expected
        )
    backoff = Backoff()
    assert [backoff.after(0) for _ in range(3)] == [0.1, 0.2, 0.4]
    assert backoff.after(11) == 0.1


def test_health_counts_failures_only_after_the_start_period() -> None:
    health = Health()
    bad, good = Probe(0, 1, 1, "no"), Probe(0, 1, 0, "yes")
    apply(health, bad, retries=1, counts=False)
    assert health.status == "starting"
    apply(health, good, retries=1, counts=False)
    assert health.status == "healthy"
    apply(health, bad, retries=1, counts=False)
    assert (health.status, health.failing_streak, len(health.log)) == ("unhealthy", 1, 3)


@pytest.mark.parametrize(
    ("text", "number"), [("SIGTERM", 15), ("kill", 9), ("15", 15), ("RTMIN+3", 37)]
)
def test_signals_by_name_and_number(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "NOSUCH", "RTMIN+99"])
def test_unknown_signals_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        signal_number(text)


def test_capabilities_add_drop_and_never_more_than_the_host() -> None:
    host = frozenset(capabilities.KNOWN) - {"CAP_SYS_RESOURCE"}

    def effective(add: list[str], drop: list[str], privileged: bool = False) -> set[str]:
        return set(capabilities.effective(add=add, drop=drop, privileged=privileged, host=host))

    assert effective([], []) == capabilities.DEFAULT
    assert effective(["net_admin"], ["ALL"]) == {"CAP_NET_ADMIN"}
    assert effective(["ALL"], ["CAP_KILL"]) == host - {"CAP_KILL"}
    assert effective([], [], privileged=True) == host
    with pytest.raises(InvalidArgument, match="not available in the current environment"):
        effective(["SYS_RESOURCE"], [])


def _allowed(profile: dict[str, Any]) -> set[str]:
    allowed: set[str] = set()
    for rule in profile["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW":
            allowed.update(rule["names"])
    return allowed


def test_the_default_filter_guards_what_needs_a_capability() -> None:
    usual = _allowed(seccomp.default_profile(capabilities.DEFAULT, "x86_64"))
    everything = _allowed(seccomp.default_profile(capabilities.KNOWN, "x86_64"))
    assert {"mount", "setns", "reboot", "bpf", "kexec_load", "keyctl"}.isdisjoint(usual)
    assert {"mount", "setns", "reboot", "bpf"} <= everything
    assert {"kexec_load", "keyctl"}.isdisjoint(everything)


@pytest.mark.skipif(not REFERENCE_PROFILE.exists(), reason="containers-common is not installed")
def test_the_default_filter_lacks_nothing_that_others_allow() -> None:
    caps = capabilities.DEFAULT
    reference = seccomp.custom_profile(REFERENCE_PROFILE.read_text(), caps)
    missing = _allowed(reference) - _allowed(seccomp.default_profile(caps))
    assert missing <= NOT_DOCKERS


def test_a_malformed_profile_is_refused() -> None:
    for text in ("{", "[]", json.dumps({"syscalls": 1, "defaultAction": ""})):
        with pytest.raises(InvalidArgument, match="Decoding seccomp profile failed"):
            seccomp.custom_profile(text, capabilities.DEFAULT)
