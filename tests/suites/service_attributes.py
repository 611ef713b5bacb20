"""A change of every attribute of a service: a value before and one after, and where it shows.

`CASES` has at least one for each row of `stackr.planner.change.effects`, but for what is refused.
`stack_file` makes one stack of many of them, each a service of its own, and `mixed_file` one of
services that have many of them; `environ` are its variables, and `write_files` makes the files
that they name.
"""

from __future__ import annotations

import json
import random
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Literal

import yaml

__all__ = [
    "CASES",
    "PORTS",
    "Case",
    "Side",
    "environ",
    "filled",
    "found_at",
    "has_value",
    "mixed_file",
    "mixtures",
    "stack_file",
    "write_files",
]

PORTS = 12
"""How many free ports of the host the stack needs: the variables P1, P2..."""


@dataclass(frozen=True, slots=True)
class Case:
    """A change of one attribute of one service.

    path: the row of the table. before, after: attributes of the service, in YAML. shown: the paths
    that a diff names, the row's own if it is empty. at: where `docker inspect` has the new value
    (`~` is a dot in a key); value: what is there then, or, of a list or map, among others (`...`:
    anything). needs: what not every engine or host has. networked: it is in the default network,
    not in none.
    """

    path: str
    before: str
    after: str
    shown: tuple[str, ...] = ()
    at: str = ""
    value: Any = None
    needs: frozenset[str] = frozenset()
    networked: bool = False

    @property
    def service(self) -> str:
        """The service's name: the path's words, and the case's number."""
        words = "-".join(re.findall(r"[a-z0-9]+", self.path.lower()))
        return f"{words}-{CASES.index(self)}"

    @property
    def fields(self) -> tuple[str, ...]:
        return self.shown or (self.path,)


def _case(
    path: str,
    before: str,
    after: str,
    at: str = "",
    value: Any = None,
    *,
    shown: str = "",
    needs: str = "",
    networked: bool = False,
) -> Case:
    """shown, needs: words."""
    return Case(
        path, before, after, (*shown.split(),), at, value, frozenset(needs.split()), networked
    )


def _plain(
    path: str, before: Any, after: Any, at: str = "", value: Any = None, **rest: Any
) -> Case:
    """An attribute with these values; None: it is left out. value: the new one, unless given."""
    old, new = ("" if each is None else json.dumps(_nested(path, each)) for each in (before, after))
    return _case(path, old, new, at, after if value is None else value, **rest)


def _nested(path: str, value: Any) -> Any:
    for name in reversed(path.partition(".*")[0].split(".")):
        value = {name: value}
    return value


_HOST = "HostConfig."
_CGROUP_MODES = ("host", "private")  # what a container has by itself on cgroup v1, and the other
if Path("/sys/fs/cgroup/cgroup.controllers").exists():
    _CGROUP_MODES = ("private", "host")
_MIB = 1 << 20
_HOOK = '{command: ["true"]}'


def _hooks(name: str) -> list[Case]:
    def hooks(first: str, second: str) -> tuple[str, str]:
        return f"{name}: [{first}]", f"{name}: [{second}]"

    def option(text: str) -> tuple[str, str]:
        return hooks(_HOOK, _HOOK.replace("{", "{" + text + ", ", 1))

    return [
        _case(name, "", f"{name}: [{_HOOK}]"),
        _case(f"{name}.*.command", *hooks(_HOOK, '{command: [echo, "1"]}'), shown=name),
        _case(f"{name}.*.user", *option('user: "0"'), shown=name),
        _case(
            f"{name}.*.privileged",
            *option("privileged: true"),
            shown=name,
            needs="privileged_hooks",
        ),
        _case(f"{name}.*.working_dir", *option("working_dir: /tmp"), shown=name),
        _case(f"{name}.*.environment", *option("environment: {A: b}"), shown=name),
    ]


def _init_steps() -> list[Case]:
    def option(name: str, text: str, needs: str = "") -> Case:
        step = _HOOK.replace("{", "{" + text + ", ", 1)
        old, new = f"pre_start: [{_HOOK}]", f"pre_start: [{step}]"
        return _case(f"pre_start.*.{name}", old, new, shown="pre_start", needs=needs)

    return [
        _case("pre_start", "", f"pre_start: [{_HOOK}]"),
        _case(
            "pre_start.*.command",
            f"pre_start: [{_HOOK}]",
            'pre_start: [{command: [echo, "1"]}]',
            shown="pre_start",
        ),
        option("image", "image: '${OTHER_IMAGE}'"),
        option("user", 'user: "0"'),
        option("privileged", "privileged: true", needs="privileged"),
        option("working_dir", "working_dir: /tmp"),
        option("environment", "environment: {A: b}"),
        option("per_replica", "per_replica: true"),
    ]


def _grants(kind: str, name: str) -> list[Case]:
    """Configs and secrets, which have the same attributes."""

    def granted(first: str, second: str) -> tuple[str, str]:
        grant = f"{kind}: [{{source: {name}_a, target: /etc/{name}, "
        return f"{grant}{first}}}]", f"{grant}{second}}}]"

    one = f"{kind}[{name}_a]"
    return [
        _case(
            kind, f"{kind}: [{name}_a]", f"{kind}: [{name}_a, {name}_b]", shown=f"{kind}[{name}_b]"
        ),
        _case(
            f"{kind}.*.source",
            f"{kind}: [{{source: {name}_a, target: /x}}]",
            f"{kind}: [{{source: {name}_b, target: /x}}]",
            shown=f"{one} {kind}[{name}_b]",
        ),
        _case(
            f"{kind}.*.target",
            f"{kind}: [{{source: {name}_a, target: /x}}, {{source: {name}_a, target: /y}}]",
            f"{kind}: [{{source: {name}_a, target: /x}}, {{source: {name}_a, target: /z}}]",
            shown=f"{kind}[{name}_a:/y] {kind}[{name}_a:/z]",
        ),
        _case(
            f"{kind}.*.target",
            f"{kind}: [{{source: {name}_a, target: /x}}]",
            f"{kind}: [{{source: {name}_a, target: /y}}]",
            shown=f"{one}.target",
        ),
        _case(f"{kind}.*.uid", *granted('uid: "1"', 'uid: "2"'), shown=f"{one}.uid"),
        _case(f"{kind}.*.gid", *granted('gid: "1"', 'gid: "2"'), shown=f"{one}.gid"),
        _case(f"{kind}.*.mode", *granted("mode: 0400", "mode: 0440"), shown=f"{one}.mode"),
    ]


def _throttles() -> list[Case]:
    cases = []
    for name, key in (
        ("device_read_bps", "BlkioDeviceReadBps"),
        ("device_read_iops", "BlkioDeviceReadIOps"),
        ("device_write_bps", "BlkioDeviceWriteBps"),
        ("device_write_iops", "BlkioDeviceWriteIOps"),
    ):
        path = f"blkio_config.{name}"

        def of(device: str, rate: int, name: str = name) -> str:
            return f'blkio_config: {{{name}: [{{path: "{device}", rate: {rate}}}]}}'

        cases += [
            _case(
                path,
                "",
                of("${DISK}", 9000),
                _HOST + key,
                {"Path": "${DISK}", "Rate": 9000},
                shown="blkio_config",
                needs="disk",
            ),
            _case(
                f"{path}.*.path",
                of("/dev/loop0", 9000),
                of("${DISK}", 9000),
                _HOST + key,
                {"Path": "${DISK}", "Rate": 9000},
                shown=path,
                needs="disk",
            ),
            _case(
                f"{path}.*.rate",
                of("${DISK}", 9000),
                of("${DISK}", 9500),
                _HOST + key,
                {"Path": "${DISK}", "Rate": 9500},
                shown=path,
                needs="disk",
            ),
        ]
    return cases


def _weights() -> list[Case]:
    def of(device: str, weight: int) -> str:
        return f'blkio_config: {{weight_device: [{{path: "{device}", weight: {weight}}}]}}'

    path, at = "blkio_config.weight_device", _HOST + "BlkioWeightDevice"
    new = {"Path": "${DISK}", "Weight": 200}
    return [
        _case(
            "blkio_config.weight",
            "blkio_config: {weight: 100}",
            "blkio_config: {weight: 200}",
            _HOST + "BlkioWeight",
            200,
            needs="weight",
        ),
        _case(path, "", of("${DISK}", 200), at, new, shown="blkio_config", needs="bfq"),
        _case(
            f"{path}.*.path",
            of("/dev/loop0", 200),
            of("${DISK}", 200),
            at,
            new,
            shown=path,
            needs="bfq",
        ),
        _case(
            f"{path}.*.weight",
            of("${DISK}", 100),
            of("${DISK}", 200),
            at,
            new,
            shown=path,
            needs="bfq",
        ),
    ]


def _health() -> list[Case]:
    key = "Config.Healthcheck."

    def of(text: str) -> str:
        return f'healthcheck: {{test: ["CMD", "true"], interval: 20s, start_period: 1s, {text}}}'

    return [
        _case(
            "healthcheck.test",
            of(""),
            'healthcheck: {test: ["CMD", "echo"], interval: 20s, start_period: 1s}',
            key + "Test",
            ["CMD", "echo"],
        ),
        _case(
            "healthcheck.interval",
            'healthcheck: {test: [CMD, "true"], interval: 20s}',
            'healthcheck: {test: [CMD, "true"], interval: 21s}',
            key + "Interval",
            21 * 10**9,
        ),
        _case(
            "healthcheck.timeout", of("timeout: 1s"), of("timeout: 2s"), key + "Timeout", 2 * 10**9
        ),
        _case("healthcheck.retries", of("retries: 1"), of("retries: 2"), key + "Retries", 2),
        _case(
            "healthcheck.start_period",
            'healthcheck: {test: [CMD, "true"], start_period: 3s}',
            'healthcheck: {test: [CMD, "true"], start_period: 4s}',
            key + "StartPeriod",
            4 * 10**9,
        ),
        _case(
            "healthcheck.start_interval",
            of("start_interval: 1s"),
            of("start_interval: 2s"),
            key + "StartInterval",
            2 * 10**9,
            needs="start_interval",
        ),
        _case("healthcheck.disable", of(""), of("disable: true"), key + "Test", ["NONE"]),
    ]


def _limits() -> list[Case]:
    def of(text: str) -> str:
        return f"deploy: {{resources: {{limits: {{{text}}}}}}}"

    def reserved(text: str) -> str:
        return f"deploy: {{resources: {{reservations: {{{text}}}}}}}"

    path = "deploy.resources."
    return [
        _case(
            f"{path}limits.cpus",
            of("cpus: '0.5'"),
            of("cpus: '0.75'"),
            _HOST + "NanoCpus",
            750_000_000,
        ),
        _case(
            f"{path}limits.memory",
            of("memory: 64m"),
            of("memory: 80m"),
            _HOST + "Memory",
            80 * _MIB,
        ),
        _case(f"{path}limits.pids", of("pids: 50"), of("pids: 60"), _HOST + "PidsLimit", 60),
        _case(
            f"{path}reservations.memory",
            reserved("memory: 32m"),
            reserved("memory: 48m"),
            _HOST + "MemoryReservation",
            48 * _MIB,
        ),
        _case(f"{path}reservations.cpus", reserved("cpus: '0.1'"), reserved("cpus: '0.2'")),
        _case(
            f"{path}reservations.generic_resources",
            "",
            reserved("generic_resources: [{discrete_resource_spec: {kind: gpu, value: 1}}]"),
        ),
    ]


def _device_requests(path: str) -> list[Case]:
    """Of `gpus`, and of what `deploy` reserves; devices by the Container Device Interface."""

    def of(text: str) -> str:
        written = f"[{{{text}}}]"
        for name in reversed(path.split(".")):
            written = f"{{{name}: {written}}}"
        return written.removeprefix("{").removesuffix("}")

    def case(name: str, before: str, after: str) -> Case:
        return _case(f"{path}.*.{name}", of(before), of(after), shown=path, needs="cdi")

    cdi = "driver: cdi, capabilities: [a], device_ids"
    one, two = f"{cdi}: [a.com/b=one]", f"{cdi}: [a.com/b=two]"
    return [
        _case(path, "", of(one), shown=path.partition(".")[0], needs="cdi"),
        case("driver", "driver: nvidia, capabilities: [gpu]", "driver: cdi, capabilities: [gpu]"),
        case("count", "count: 1, capabilities: [gpu]", "count: 2, capabilities: [gpu]"),
        case("device_ids", one, two),
        case("capabilities", "capabilities: [gpu]", "capabilities: [gpu, utility]"),
        case("options", one, f"{one}, options: {{a: b}}"),
    ]


def _deploy() -> list[Case]:
    def restart(text: str) -> str:
        return f"deploy: {{restart_policy: {{{text}}}}}"

    path, at = "deploy.restart_policy.", _HOST + "RestartPolicy"
    failing = "condition: on-failure, max_attempts: "
    return [
        _plain("deploy.endpoint_mode", "vip", "dnsrr"),
        _plain("deploy.labels", {"a": "b"}, {"a": "c"}),
        _plain("deploy.mode", "replicated", "global"),
        _case(
            "deploy.placement",
            "deploy: {placement: {constraints: [a]}}",
            "deploy: {placement: {constraints: [b]}}",
        ),
        _plain("deploy.replicas", 1, 2),
        _case("deploy.rollback_config", "", "deploy: {rollback_config: {parallelism: 2}}"),
        _case("deploy.update_config", "", "deploy: {update_config: {parallelism: 2}}"),
        _case(
            f"{path}condition",
            restart("condition: any"),
            restart("condition: on-failure"),
            at,
            {"Name": "on-failure", "MaximumRetryCount": 0},
        ),
        _case(
            f"{path}max_attempts",
            restart(failing + "2"),
            restart(failing + "3"),
            at,
            {"Name": "on-failure", "MaximumRetryCount": 3},
        ),
        _case(
            f"{path}delay",
            restart("condition: any, delay: 1s"),
            restart("condition: any, delay: 2s"),
        ),
        _case(
            f"{path}window",
            restart("condition: any, window: 1s"),
            restart("condition: any, window: 2s"),
        ),
        *_device_requests("deploy.resources.reservations.devices"),
        *_device_requests("gpus"),
        *_limits(),
    ]


def _depends() -> list[Case]:
    def of(text: str) -> str:
        return f"depends_on: {{helper: {{condition: service_started, {text}}}}}"

    at = "Config.Labels.com~docker~compose~depends_on"
    return [
        _case(
            "depends_on",
            "",
            "depends_on: [helper]",
            at,
            "helper:service_started:false",
            shown="depends_on.helper",
        ),
        _case(
            "depends_on.*.condition",
            of(""),
            "depends_on: {helper: {condition: service_healthy}}",
            at,
            "helper:service_healthy:false",
            shown="depends_on.helper.condition",
        ),
        _case(
            "depends_on.*.restart",
            of(""),
            of("restart: true"),
            at,
            "helper:service_started:true",
            shown="depends_on.helper.restart",
        ),
        _case("depends_on.*.required", of(""), of("required: false")),
    ]


def _networks() -> list[Case]:
    def of(text: str, network: str = "front") -> str:
        return f"networks: {{{network}: {{{text}}}}}"

    def at(key: str, network: str = "front") -> str:
        return f"NetworkSettings.Networks.${{PROJECT}}_{network}.{key}"

    path = "networks.*."
    option = "com.docker.network.endpoint.sysctls"
    return [
        _case(
            "networks",
            "networks: [front]",
            "networks: [front, back]",
            at("NetworkID", "back"),
            ...,
            shown="networks.back",
        ),
        _case(
            f"{path}aliases",
            of("aliases: [one]"),
            of("aliases: [two]"),
            at("Aliases"),
            "two",
            shown="networks.front.aliases",
        ),
        _case(
            f"{path}driver_opts",
            of(f"driver_opts: {{{option}: net.ipv4.conf.IFNAME.log_martians=0}}"),
            of(f"driver_opts: {{{option}: net.ipv4.conf.IFNAME.log_martians=1}}"),
            shown=f"networks.front.driver_opts.{option}",
            needs="endpoint_options",
        ),
        _case(
            f"{path}gw_priority",
            of("gw_priority: 1"),
            of("gw_priority: 2"),
            at("GwPriority"),
            2,
            shown="networks.front.gw_priority",
            needs="gw_priority",
        ),
        _case(
            f"{path}interface_name",
            of("interface_name: one0"),
            of("interface_name: two0"),
            shown="networks.front.interface_name",
            needs="interface_name",
        ),
        _case(
            f"{path}ipv4_address",
            of("ipv4_address: '${POOL}.131'", "pool"),
            of("ipv4_address: '${POOL}.132'", "pool"),
            at("IPAddress", "pool"),
            "${POOL}.132",
            shown="networks.pool.ipv4_address",
        ),
        _case(
            f"{path}ipv6_address",
            of("ipv6_address: '${POOL6}::91'", "pool"),
            of("ipv6_address: '${POOL6}::92'", "pool"),
            at("GlobalIPv6Address", "pool"),
            "${POOL6}::92",
            shown="networks.pool.ipv6_address",
            needs="ipv6",
        ),
        _case(
            f"{path}link_local_ips",
            of("link_local_ips: [169.254.97.1]"),
            of("link_local_ips: [169.254.97.2]"),
            at("IPAMConfig.LinkLocalIPs"),
            "169.254.97.2",
            shown="networks.front.link_local_ips",
        ),
        _case(
            f"{path}mac_address",
            of("mac_address: '02:42:0a:00:00:01'"),
            of("mac_address: '02:42:0a:00:00:02'"),
            at("MacAddress"),
            "02:42:0a:00:00:02",
            shown="networks.front.mac_address",
            needs="endpoint_mac",
        ),
        _case(
            f"{path}priority",
            "networks: {front: {priority: 1}, back: {}}",
            "networks: {front: {priority: 2}, back: {}}",
            shown="networks.front.priority",
        ),
    ]


def _ports() -> list[Case]:
    def of(text: str) -> str:
        return f"ports: [{{target: 80, host_ip: 127.0.0.1, {text}}}]"

    at = _HOST + "PortBindings"
    return [
        _case("ports", "", of("published: '${P1}'"), at, "80/tcp", networked=True),
        _case(
            "ports.*.host_ip",
            of("published: '${P2}'"),
            "ports: [{target: 80, host_ip: 127.0.0.2, published: '${P2}'}]",
            f"{at}.80/tcp",
            {"HostIp": "127.0.0.2", "HostPort": "${P2}"},
            shown="ports",
            networked=True,
        ),
        _case(
            "ports.*.published",
            of("published: '${P3}'"),
            of("published: '${P4}'"),
            f"{at}.80/tcp",
            {"HostIp": "127.0.0.1", "HostPort": "${P4}"},
            shown="ports",
            networked=True,
        ),
        _case(
            "ports.*.target",
            of("published: '${P5}'"),
            "ports: [{target: 81, host_ip: 127.0.0.1, published: '${P5}'}]",
            at,
            "81/tcp",
            shown="ports",
            networked=True,
        ),
        _case(
            "ports.*.protocol",
            of("published: '${P6}'"),
            of("published: '${P6}', protocol: udp"),
            at,
            "80/udp",
            shown="ports",
            networked=True,
        ),
        _case(
            "ports.*.mode",
            of("published: '${P7}'"),
            of("published: '${P7}', mode: host"),
            shown="ports",
            networked=True,
        ),
        _case(
            "ports.*.name",
            of("published: '${P8}', name: a"),
            of("published: '${P8}', name: b"),
            networked=True,
        ),
        _case(
            "ports.*.app_protocol",
            of("published: '${P9}', app_protocol: http"),
            of("published: '${P9}', app_protocol: smtp"),
            networked=True,
        ),
    ]


def _devices() -> list[Case]:
    at, one = _HOST + "Devices.", "devices[/dev/x]"
    return [
        _plain("devices", None, ["/dev/null:/dev/x"], at + "PathInContainer", "/dev/x", shown=one),
        _plain(
            "devices.*.source",
            ["/dev/null:/dev/x"],
            ["/dev/zero:/dev/x"],
            at + "PathOnHost",
            "/dev/zero",
            shown=f"{one}.source",
        ),
        _plain(
            "devices.*.target",
            ["/dev/null:/dev/x"],
            ["/dev/null:/dev/y"],
            at + "PathInContainer",
            "/dev/y",
            shown=f"{one} devices[/dev/y]",
        ),
        _plain(
            "devices.*.permissions",
            ["/dev/null:/dev/x:r"],
            ["/dev/null:/dev/x:rw"],
            at + "CgroupPermissions",
            "rw",
            shown=f"{one}.permissions",
        ),
    ]


def _mounts() -> list[Case]:
    def of(kind: str, text: str, target: str = "/m") -> str:
        return f"volumes: [{{type: {kind}, target: {target}, {text}}}]"

    def bind(text: str) -> str:
        return of("bind", f"source: ./files/a, bind: {{{text}}}")

    def data(text: str) -> str:
        return of("volume", f"source: data, {text}")

    path, one = "volumes.*.", "volumes[/m]"
    return [
        _case("volumes", "", "volumes: ['data:/m']", "Mounts.Destination", "/m", shown=one),
        _case(
            f"{path}type",
            data(""),
            of("tmpfs", "source: ''"),
            "Mounts.Type",
            "tmpfs",
            shown=f"{one}.type {one}.source",
        ),
        _case(
            f"{path}source",
            data(""),
            of("volume", "source: other"),
            "Mounts.Name",
            "${PROJECT}_other",
            shown=f"{one}.source",
        ),
        _case(
            f"{path}target",
            data(""),
            of("volume", "source: data", "/n"),
            "Mounts.Destination",
            "/n",
            shown="volumes[/m] volumes[/n]",
        ),
        _case(
            f"{path}read_only",
            data(""),
            data("read_only: true"),
            "Mounts.RW",
            False,
            shown=f"{one}.read_only",
        ),
        _case(
            f"{path}consistency",
            data("consistency: cached"),
            data("consistency: delegated"),
            shown=f"{one}.consistency",
        ),
        _case(
            f"{path}bind.create_host_path",
            bind("create_host_path: true"),
            bind("create_host_path: false"),
            shown=f"{one}.bind.create_host_path",
        ),
        _case(
            f"{path}bind.propagation",
            bind("propagation: rprivate"),
            bind("propagation: private"),
            "Mounts.Propagation",
            "private",
            shown=f"{one}.bind.propagation",
        ),
        _case(
            f"{path}bind.recursive",
            bind("recursive: enabled"),
            bind("recursive: disabled"),
            shown=f"{one}.bind.recursive",
        ),
        _case(
            f"{path}bind.selinux",
            bind("selinux: z"),
            bind("selinux: Z"),
            shown=f"{one}.bind.selinux",
        ),
        _case(
            f"{path}image.subpath",
            of("image", "source: '${IMAGE}', image: {subpath: etc}"),
            of("image", "source: '${IMAGE}', image: {subpath: bin}"),
            shown=f"{one}.image.subpath",
            needs="image_mounts",
        ),
        _case(
            f"{path}tmpfs.size",
            of("tmpfs", "tmpfs: {size: 1m}"),
            of("tmpfs", "tmpfs: {size: 2m}"),
            _HOST + "Mounts.TmpfsOptions.SizeBytes",
            2 * _MIB,
            shown=f"{one}.tmpfs.size",
        ),
        _case(
            f"{path}tmpfs.mode",
            of("tmpfs", "tmpfs: {mode: 0700}"),
            of("tmpfs", "tmpfs: {mode: 0750}"),
            _HOST + "Mounts.TmpfsOptions.Mode",
            0o750,
            shown=f"{one}.tmpfs.mode",
        ),
        _case(
            f"{path}volume.labels",
            of("volume", "volume: {labels: {a: b}}"),
            of("volume", "volume: {labels: {a: c}}"),
            shown=f"{one}.volume.labels.a",
        ),
        _case(
            f"{path}volume.nocopy",
            data("volume: {nocopy: false}"),
            data("volume: {nocopy: true}"),
            shown=f"{one}.volume.nocopy",
        ),
        _case(
            f"{path}volume.subpath",
            data("volume: {subpath: a}"),
            data("volume: {subpath: b}"),
            shown=f"{one}.volume.subpath",
            needs="volume_subpath",
        ),
        _plain("tmpfs", ["/t"], ["/t:size=1m"], _HOST + "Tmpfs", {"/t": "size=1m"}),
        _case(
            "volumes_from",
            "volumes_from: [helper]",
            "volumes_from: ['helper:ro']",
            "Mounts.RW",
            False,
        ),
    ]


CASES: tuple[Case, ...] = (
    _plain(
        "annotations",
        {"note": "a"},
        {"note": "b"},
        _HOST + "Annotations.note",
        "b",
        shown="annotations.note",
        needs="annotations",
    ),
    _plain("attach", False, True),
    *_weights(),
    *_throttles(),
    _case("build", "", "build: {context: ., dockerfile: x}"),
    _plain("cap_add", ["NET_ADMIN"], ["SYS_TIME"], _HOST + "CapAdd", "SYS_TIME"),
    _plain("cap_drop", ["CHOWN"], ["KILL"], _HOST + "CapDrop", "KILL"),
    _plain("cgroup", *_CGROUP_MODES, _HOST + "CgroupnsMode"),
    _plain("cgroup_parent", "${CGROUP}/a", "${CGROUP}/b", _HOST + "CgroupParent"),
    _plain("command", ["sleep", "1000"], ["sleep", "2000"], "Config.Cmd"),
    *_grants("configs", "conf"),
    _plain("container_name", "${PROJECT}-one", "${PROJECT}-two", "Name", "/${PROJECT}-two"),
    _plain("cpu_count", 1, 2, needs="windows"),
    _plain("cpu_percent", 1, 2, needs="windows"),
    _plain("cpu_period", 50_000, 60_000, _HOST + "CpuPeriod"),
    _plain("cpu_quota", 50_000, 60_000, _HOST + "CpuQuota"),
    _plain("cpu_rt_period", 500_000, 600_000, _HOST + "CpuRealtimePeriod", needs="realtime"),
    _plain("cpu_rt_runtime", 1000, 2000, _HOST + "CpuRealtimeRuntime", needs="realtime"),
    _plain("cpu_shares", 512, 600, _HOST + "CpuShares"),
    _plain("cpus", 0.5, 0.75, _HOST + "NanoCpus", 750_000_000),
    _plain("cpuset", None, "0", _HOST + "CpusetCpus"),
    *_depends(),
    *_deploy(),
    _case("develop", "", "develop: {watch: [{path: ., action: sync, target: /x}]}"),
    _plain(
        "device_cgroup_rules", ["c 1:3 mr"], ["c 1:5 mr"], _HOST + "DeviceCgroupRules", "c 1:5 mr"
    ),
    *_devices(),
    _plain("dns", ["10.0.0.1"], ["10.0.0.2"], _HOST + "Dns", networked=True),
    _plain("dns_opt", ["ndots:1"], ["ndots:2"], _HOST + "DnsOptions", networked=True),
    _plain("dns_search", ["a.test"], ["b.test"], _HOST + "DnsSearch", networked=True),
    _plain("domainname", "a.test", "b.test", "Config.Domainname"),
    _case(
        "entrypoint",
        "{entrypoint: [sleep], command: ['1000']}",
        "{entrypoint: [/bin/sleep], command: ['1000']}",
        "Config.Entrypoint",
        ["/bin/sleep"],
    ),
    _plain(
        "env_file", "a.env", "b.env", "Config.Env", "FROM_FILE=b", shown="environment.FROM_FILE"
    ),
    _plain("environment", {"A": "1"}, {"A": "2"}, "Config.Env", "A=2", shown="environment.A"),
    _case("environment", "", "environment: {PATH: }", shown="environment.PATH"),
    _plain("expose", ["80"], ["81"], "Config.ExposedPorts", "81/tcp"),
    _case(
        "extends",
        "extends: {file: bases.yaml, service: a}",
        "extends: {file: bases.yaml, service: b}",
        "Config.Env",
        "FROM=b",
        shown="environment.FROM",
    ),
    _plain(
        "external_links", ["${PROJECT}-helper-1:one"], ["${PROJECT}-helper-1:two"], networked=True
    ),
    _plain(
        "extra_hosts",
        {"a.test": "10.0.0.1"},
        {"a.test": "10.0.0.2"},
        _HOST + "ExtraHosts",
        "a.test:10.0.0.2",
        shown="extra_hosts.a.test",
        networked=True,
    ),
    _plain("group_add", ["10"], ["11"], _HOST + "GroupAdd"),
    *_health(),
    _plain("hostname", "one", "two", "Config.Hostname"),
    _plain("image", "${IMAGE}", "${OTHER_IMAGE}", "Config.Image"),
    _plain("init", False, True, _HOST + "Init"),
    _plain("ipc", "private", "shareable", _HOST + "IpcMode"),
    _plain("isolation", None, "default", _HOST + "Isolation"),
    _plain(
        "label_file",
        "a.labels",
        "b.labels",
        "Config.Labels.from_file",
        "b",
        shown="labels.from_file",
    ),
    _plain("labels", {"a": "b"}, {"a": "c"}, "Config.Labels.a", "c", shown="labels.a"),
    _plain("links", ["helper:one"], ["helper:two"], networked=True),
    _case(
        "logging.driver",
        "logging: {driver: json-file}",
        "logging: {driver: local}",
        _HOST + "LogConfig.Type",
        "local",
    ),
    _case(
        "logging.options",
        "logging: {options: {max-size: 1m}}",
        "logging: {options: {max-size: 2m}}",
        _HOST + "LogConfig.Config.max-size",
        "2m",
        shown="logging.options.max-size",
    ),
    _plain(
        "mac_address",
        "02:42:0a:00:00:03",
        "02:42:0a:00:00:04",
        "NetworkSettings.Networks.${PROJECT}_default.MacAddress",
        networked=True,
    ),
    _plain("mem_limit", "64m", "96m", _HOST + "Memory", 96 * _MIB),
    _plain("mem_reservation", "32m", "48m", _HOST + "MemoryReservation", 48 * _MIB),
    _plain("mem_swappiness", 10, 20, _HOST + "MemorySwappiness", needs="swappiness"),
    _case(
        "memswap_limit",
        "{mem_limit: 64m, memswap_limit: 128m}",
        "{mem_limit: 64m, memswap_limit: 160m}",
        _HOST + "MemorySwap",
        160 * _MIB,
        needs="swap",
    ),
    _plain("network_mode", "none", "host", _HOST + "NetworkMode"),
    *_networks(),
    _plain("oom_kill_disable", False, True, _HOST + "OomKillDisable", needs="oom_kill_disable"),
    _plain("oom_score_adj", 100, 200, _HOST + "OomScoreAdj"),
    _plain("pid", None, "host", _HOST + "PidMode"),
    _plain("pids_limit", 50, 60, _HOST + "PidsLimit"),
    _plain("platform", None, "linux/${ARCH}"),
    *_ports(),
    *_hooks("post_start"),
    *_init_steps(),
    *_hooks("pre_stop"),
    _plain("privileged", False, True, _HOST + "Privileged", needs="privileged"),
    _plain("profiles", None, ["on"]),
    _plain("pull_policy", "missing", "never"),
    _plain("read_only", False, True, _HOST + "ReadonlyRootfs"),
    _plain(
        "restart",
        "on-failure",
        "always",
        _HOST + "RestartPolicy",
        {"Name": "always", "MaximumRetryCount": 0},
    ),
    _plain("runtime", None, "runc", _HOST + "Runtime"),
    _plain("scale", 1, 2),
    *_grants("secrets", "sec"),
    _plain("security_opt", None, ["no-new-privileges:true"], _HOST + "SecurityOpt"),
    _plain("shm_size", "1m", "2m", _HOST + "ShmSize", 2 * _MIB),
    _plain("stdin_open", False, True, "Config.OpenStdin"),
    _plain("stop_grace_period", "2s", "3s", "Config.StopTimeout", 3),
    _plain("stop_signal", "SIGINT", "SIGKILL", "Config.StopSignal"),
    _plain(
        "storage_opt", {"size": "1G"}, {"size": "2G"}, shown="storage_opt.size", needs="storage_opt"
    ),
    _plain(
        "sysctls",
        {"net.ipv4.ip_default_ttl": "60"},
        {"net.ipv4.ip_default_ttl": "61"},
        _HOST + "Sysctls.net~ipv4~ip_default_ttl",
        "61",
        shown="sysctls.net.ipv4.ip_default_ttl",
    ),
    _plain("tty", False, True, "Config.Tty"),
    _plain(
        "ulimits",
        {"nofile": 1024},
        {"nofile": 2048},
        _HOST + "Ulimits",
        {"Name": "nofile", "Soft": 2048, "Hard": 2048},
        shown="ulimits.nofile.single",
    ),
    _plain(
        "use_api_socket",
        False,
        True,
        "Mounts.Destination",
        "/var/run/docker.sock",
        needs="api_socket",
    ),
    _plain("user", None, "1000", "Config.User"),
    _plain("userns_mode", None, "host", _HOST + "UsernsMode"),
    _plain("uts", None, "host", _HOST + "UTSMode"),
    *_mounts(),
    _plain("working_dir", "/tmp", "/data", "Config.WorkingDir"),
    _case(
        "x-stackr.probe",
        "x-stackr: {probe: {tcp: 1}}",
        "x-stackr: {probe: {file: /etc/passwd}}",
        "Config.Healthcheck.Test",
        ["FILE", "/etc/passwd"],
        shown="x-stackr.probe.tcp x-stackr.probe.file",
        needs="probes",
    ),
    _plain("x-stackr.ready_timeout", "10s", "20s"),
    _case(
        "x-stackr.restart_unhealthy",
        "x-stackr: {probe: {tcp: 1}}",
        "x-stackr: {probe: {tcp: 1}, restart_unhealthy: {max_attempts: 3, delay: 1m}}",
        "Config.Labels.io~stackr~restart_unhealthy",
        "max_attempts=3,delay=1m0s",
        needs="probes",
    ),
    _plain("x-stackr.stateful", False, True),
)


_HELPER = """
image: ${IMAGE}
command: [sh, -c, "mkdir -p /helped/a /helped/b; exec sleep 1000"]
stop_signal: KILL
volumes: ["data:/helped"]
healthcheck: {test: [CMD, test, -d, /helped/b], interval: 1s, retries: 60}
"""
_TOP = """
networks:
  default: {}
  front: {}
  back: {}
  pool: {enable_ipv6: true, ipam: {config: [{subnet: "${POOL}.0/24"}, {subnet: "${POOL6}::/64"}]}}
volumes: {data: {}, other: {}}
configs: {conf_a: {content: a}, conf_b: {content: b}}
secrets: {sec_a: {environment: SECRET_A}, sec_b: {environment: SECRET_B}}
"""
_FILES = {
    "a.env": "FROM_FILE=a",
    "b.env": "FROM_FILE=b",
    "a.labels": "from_file=a",
    "b.labels": "from_file=b",
    "bases.yaml": "services: {a: {environment: {FROM: a}}, b: {environment: {FROM: b}}}",
    "files/a/hello": "hello",
}
_NETWORK_KEYS = ("networks", "network_mode")


def write_files(folder: Path) -> None:
    """The files that the cases name."""
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


Side = Literal["before", "after", "bare"]


def stack_file(cases: Iterable[Case], side: Side) -> str:
    """A stack with a service for each case: before its change, after it, or without the attribute.

    They may use what `helper` has made in the volume `data`, so it has to be up first.
    """
    return _stack_file({case.service: [case] for case in cases}, side)


def mixed_file(mixtures: Iterable[Sequence[Case]], side: Side) -> str:
    """A stack with a service for each mixture, which has the attributes of all of its cases."""
    return _stack_file({f"mixed-{n}": cases for n, cases in enumerate(mixtures)}, side)


def mixtures(cases: Sequence[Case], count: int, dice: random.Random) -> list[list[Case]]:
    """As many of the cases as can be had together in so many services, each in the first."""
    made: list[list[Case]] = [[] for _ in range(count)]
    taken: list[set[str]] = [set() for _ in range(count)]
    for case in dice.sample(cases, len(cases)):
        keys = _keys(case)
        place = next((n for n, others in enumerate(taken) if _fit(keys, others)), None)
        if place is not None:
            made[place].append(case)
            taken[place] |= keys
    return made


_APART = (
    ("network_mode", "networks ports dns dns_opt dns_search expose extra_hosts sysctls hostname"),
    ("network_mode", "domainname links external_links mac_address"),
    ("networks", "links external_links mac_address"),
    ("deploy", "cpus cpu_quota cpu_period restart scale container_name mem_limit mem_reservation"),
    ("deploy", "memswap_limit pids_limit ports networks"),
    ("scale", "container_name ports networks"),
    ("cpus", "cpu_quota cpu_period"),
    ("healthcheck", "x-stackr"),
    ("read_only", "configs secrets use_api_socket"),
    ("uts", "hostname domainname"),
    ("command", "entrypoint"),
)
"""Attributes that exclude those after them: one is refused beside the other, or gives way to it."""


def _fit(keys: set[str], others: set[str]) -> bool:
    return not keys & others and not any(
        (name in keys and others & {*rest.split()}) or (name in others and keys & {*rest.split()})
        for name, rest in _APART
    )


def _keys(case: Case) -> set[str]:
    sides = (yaml.safe_load(text) or {} for text in (case.before, case.after))
    return {key for side in sides for key in side}


def _stack_file(services: Mapping[str, Sequence[Case]], side: Side) -> str:
    made = {name: _service(cases, side) for name, cases in services.items()}
    made["helper"] = yaml.safe_load(_HELPER)
    return json.dumps({"services": made, **yaml.safe_load(_TOP)}, indent=1)


def _service(cases: Sequence[Case], side: Side) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for case in cases:
        attributes |= yaml.safe_load("" if side == "bare" else getattr(case, side)) or {}
    base = {"image": "${IMAGE}", "command": ["sleep", "1000"], "stop_signal": "KILL"}
    is_networked = any(case.networked for case in cases)
    if not is_networked and not any(key in attributes for key in _NETWORK_KEYS):
        base["network_mode"] = "none"
    return {**base, **attributes}


def environ(ports: Iterable[int], **values: str) -> dict[str, str]:
    """The variables of the stack. values: IMAGE, OTHER_IMAGE, PROJECT and so on.

    Its subnets are random, as several runs may share a host.
    """
    numbered = {f"P{number}": str(port) for number, port in enumerate(ports, start=1)}
    pool = secrets.randbelow(1 << 13)
    subnets = {
        "POOL": f"10.{96 + (pool >> 8)}.{pool & 255}",
        "POOL6": f"fd00:97:{pool:x}",
    }
    return {"SECRET_A": "a", "SECRET_B": "b", **subnets, **numbered, **values}


def found_at(value: Any, path: str) -> Any:
    """What an inspection has at a path; of a list, what each of its items has there."""
    for place, name in enumerate(path.split(".")):
        if isinstance(value, list):
            rest = ".".join(path.split(".")[place:])
            return [found_at(item, rest) for item in value]
        value = (value or {}).get(name.replace("~", "."))
    return value


def has_value(found: Any, value: Any) -> bool:
    """Whether it is this value, or a list or map that has it among others."""
    if value is ...:
        return bool(found)
    if isinstance(found, (list, dict)) and not isinstance(value, type(found)):
        return value in found
    return bool(found == value)


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """A value with the stack's variables in it."""
    if value is ...:
        return value
    return json.loads(Template(json.dumps(value)).substitute(variables))
