"""A stack file as a Swarm's documents, attribute by attribute, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from swarm_stacks import NEW, OLD, rendered, service, web

from stackr.errors import InvalidProject
from stackr.planner.swarm.dialect import Swarm
from stackr.runtime import labels
from stackr.runtime.workloads import DocumentKind, WorkloadCapabilities

_CONTAINER: list[tuple[str, str, Any]] = [
    ("command: [a, b c]", "Args", ["a", "b c"]),
    ("entrypoint: [a]", "Command", ["a"]),
    ("environment: {B: '2', A: '1', C: }", "Env", ["A=1", "B=2", "C"]),
    ("working_dir: /w", "Dir", "/w"),
    ("user: '1:2'", "User", "1:2"),
    ("group_add: ['7']", "Groups", ["7"]),
    ("hostname: h", "Hostname", "h"),
    ("tty: true", "TTY", True),
    ("stdin_open: true", "OpenStdin", True),
    ("read_only: true", "ReadOnly", True),
    ("init: false", "Init", False),
    ("stop_signal: SIGINT", "StopSignal", "SIGINT"),
    ("stop_grace_period: 1m30s", "StopGracePeriod", 90_000_000_000),
    ("sysctls: {net.core.somaxconn: 1024}", "Sysctls", {"net.core.somaxconn": "1024"}),
    ("cap_add: [NET_ADMIN]", "CapabilityAdd", ["NET_ADMIN"]),
    ("cap_drop: [ALL]", "CapabilityDrop", ["ALL"]),
    (
        "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}",
        "Ulimits",
        [{"Hard": 2, "Name": "nofile", "Soft": 1}, {"Hard": 3, "Name": "nproc", "Soft": 3}],
    ),
    ("extra_hosts: ['a:10.0.0.1']", "Hosts", ["10.0.0.1 a"]),
    (
        "dns: 1.1.1.1\n    dns_search: [x]\n    dns_opt: [ndots:1]",
        "DNSConfig",
        {"Nameservers": ["1.1.1.1"], "Options": ["ndots:1"], "Search": ["x"]},
    ),
    (
        "healthcheck: {test: [CMD, a], interval: 5s, timeout: 1s, retries: 2, start_period: 3s}",
        "Healthcheck",
        {
            "Interval": 5_000_000_000,
            "Retries": 2,
            "StartPeriod": 3_000_000_000,
            "Test": ["CMD", "a"],
            "Timeout": 1_000_000_000,
        },
    ),
    ("healthcheck: {disable: true}", "Healthcheck", {"Test": ["NONE"]}),
    (
        "tmpfs: ['/run:size=1m,mode=700,ro']",
        "Mounts",
        [
            {
                "ReadOnly": True,
                "Target": "/run",
                "TmpfsOptions": {"Mode": 0o700, "SizeBytes": 1 << 20},
                "Type": "tmpfs",
            }
        ],
    ),
    (
        "shm_size: 64m",
        "Mounts",
        [{"Target": "/dev/shm", "TmpfsOptions": {"SizeBytes": 64 << 20}, "Type": "tmpfs"}],
    ),
    (
        "volumes: [{type: bind, source: /a, target: /b, read_only: true,"
        " bind: {propagation: rslave}}]",
        "Mounts",
        [
            {
                "BindOptions": {"Propagation": "rslave"},
                "ReadOnly": True,
                "Source": "/a",
                "Target": "/b",
                "Type": "bind",
            }
        ],
    ),
    ("volumes: [/anonymous]", "Mounts", [{"Target": "/anonymous", "Type": "volume"}]),
    ("security_opt: ['label:disable']", "Privileges", {"SELinuxContext": {"Disable": True}}),
]


@pytest.mark.parametrize(("body", "key", "wanted"), _CONTAINER)
def test_container(tmp_path: Path, body: str, key: str, wanted: Any) -> None:
    spec = service(rendered(tmp_path, web(f"    {body}"))).spec
    assert spec["TaskTemplate"]["ContainerSpec"][key] == wanted


_TASK: list[tuple[str, str, Any]] = [
    ("restart: unless-stopped", "RestartPolicy", None),
    ("restart: 'no'", "RestartPolicy", {"Condition": "none"}),
    ("restart: on-failure:3", "RestartPolicy", {"Condition": "on-failure", "MaxAttempts": 3}),
    (
        "restart: always\n    deploy: {restart_policy: {condition: none, delay: 0s, window: 2s}}",
        "RestartPolicy",
        {"Condition": "none", "Delay": 0, "Window": 2_000_000_000},
    ),
    (
        "cpus: 0.5\n    mem_limit: 1m\n    mem_reservation: 512k\n    pids_limit: 9",
        "Resources",
        {
            "Limits": {"MemoryBytes": 1 << 20, "NanoCPUs": 500_000_000, "Pids": 9},
            "Reservations": {"MemoryBytes": 1 << 19},
        },
    ),
    (
        "deploy: {resources: {limits: {cpus: '2', memory: 2m, pids: 5}, reservations: {cpus: '1',"
        " generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]}}}",
        "Resources",
        {
            "Limits": {"MemoryBytes": 2 << 20, "NanoCPUs": 2_000_000_000, "Pids": 5},
            "Reservations": {
                "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}],
                "NanoCPUs": 1_000_000_000,
            },
        },
    ),
    (
        "deploy: {placement: {constraints: [node.role==worker], max_replicas_per_node: 2,"
        " preferences: [{spread: node.labels.zone}]}}",
        "Placement",
        {
            "Constraints": ["node.role==worker"],
            "MaxReplicas": 2,
            "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
        },
    ),
    (
        "platform: linux/arm64/v8",
        "Placement",
        {"Platforms": [{"Architecture": "arm64", "OS": "linux"}]},
    ),
    (
        "logging: {driver: syslog, options: {tag: t}}",
        "LogDriver",
        {"Name": "syslog", "Options": {"tag": "t"}},
    ),
    ("network_mode: host", "Networks", [{"Target": "host"}]),
    (
        "container_name: old\n    networks: {default: {aliases: [www]}}",
        "Networks",
        [{"Aliases": ["old", "web", "www"], "Target": "demo_default"}],
    ),
]


@pytest.mark.parametrize(("body", "key", "wanted"), _TASK)
def test_task(tmp_path: Path, body: str, key: str, wanted: Any) -> None:
    assert service(rendered(tmp_path, web(f"    {body}"))).spec["TaskTemplate"].get(key) == wanted


_SERVICE: list[tuple[str, str, Any]] = [
    ("deploy: {replicas: 0}", "Mode", {"Replicated": {"Replicas": 0}}),
    ("scale: 4", "Mode", {"Replicated": {"Replicas": 4}}),
    ("deploy: {mode: global}", "Mode", {"Global": {}}),
    (
        "deploy: {mode: replicated-job, replicas: 3}",
        "Mode",
        {"ReplicatedJob": {"MaxConcurrent": 3, "TotalCompletions": 3}},
    ),
    ("deploy: {mode: global-job}", "Mode", {"GlobalJob": {}}),
    (
        "deploy: {update_config: {parallelism: 0, delay: 1s, failure_action: rollback,"
        " monitor: 2s, max_failure_ratio: 0.25, order: start-first}}",
        "UpdateConfig",
        {
            "Delay": 1_000_000_000,
            "FailureAction": "rollback",
            "MaxFailureRatio": 0.25,
            "Monitor": 2_000_000_000,
            "Order": "start-first",
            "Parallelism": 0,
        },
    ),
    ("deploy: {rollback_config: {order: stop-first}}", "RollbackConfig", {"Parallelism": 1}),
    (
        "deploy: {endpoint_mode: dnsrr}\n    ports: [{target: 80, published: 8080, mode: host}]",
        "EndpointSpec",
        {
            "Mode": "dnsrr",
            "Ports": [{"PublishMode": "host", "PublishedPort": 8080, "TargetPort": 80}],
        },
    ),
    (
        "ports: ['53:53/udp', '80']",
        "EndpointSpec",
        {
            "Ports": [
                {"Protocol": "udp", "PublishedPort": 53, "TargetPort": 53},
                {"TargetPort": 80},
            ]
        },
    ),
]


@pytest.mark.parametrize(("body", "key", "wanted"), _SERVICE)
def test_service(tmp_path: Path, body: str, key: str, wanted: Any) -> None:
    assert service(rendered(tmp_path, web(f"    {body}"))).spec[key] == wanted


_REFUSED: list[tuple[str, str]] = [
    ("privileged: true", "services.web.privileged: not supported by a Swarm"),
    ("devices: [/dev/fuse]", "services.web.devices: not supported by a Swarm"),
    ("network_mode: none", "services.web.network_mode: not supported by a Swarm"),
    ("pid: host", "services.web.pid: not supported"),
    ("ports: ['127.0.0.1:80:80']", "services.web.ports[0].host_ip: not supported by a Swarm"),
    ("networks: {default: {ipv4_address: 10.0.0.9}}", "ipv4_address: not supported by a Swarm"),
    ("links: ['db:database']\n  db: {image: x}", "services.web.links: not supported"),
    ("security_opt: [no-new-privileges]", "security_opt[0]: not supported by this Swarm: its API"),
    ("healthcheck: {test: a, start_interval: 1s, start_period: 1s}", "1.44 has it first"),
    ("oom_score_adj: 5", "services.web.oom_score_adj: not supported by this Swarm"),
    ("tmpfs: ['/a:noexec']", "services.web.tmpfs[0]: not supported by this Swarm"),
    ("shm_size: 1m\n    tmpfs: [/dev/shm]", '"/dev/shm" is mounted twice'),
    ("volumes: [/proc/sys]", "cannot be mounted at"),
    ("deploy: {placement: {constraints: [zone=a]}}", "not KEY==VALUE"),
    ("deploy: {mode: replicated-job, restart_policy: {condition: any}}", "a job ends"),
    ("deploy: {endpoint_mode: dnsrr}\n    ports: ['80:80']", "dnsrr has not"),
    ("deploy: {rollback_config: {failure_action: rollback}}", "is none of pause, continue"),
    ("deploy: {mode: global, replicas: 2}", "one a node"),
    ("platform: linux/arm/v7", "knows no variants"),
    ("x-stackr: {probe: {tcp: 80}}", "probe: not supported by a Swarm"),
    ("volumes: [{type: bind, source: /a, target: /b, bind: {selinux: z}}]", "selinux"),
    ("x-stackr: {restart_unhealthy: {max_attempts: 2}}", "without limits or waits"),
]


@pytest.mark.parametrize(("body", "message"), _REFUSED)
def test_what_a_swarm_cannot_do_is_refused_with_its_place(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(InvalidProject) as caught:
        rendered(tmp_path, web(f"    {body}"))
    assert message in str(caught.value.problems)
    assert all("compose.yaml:" in problem for problem in caught.value.problems)


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(InvalidProject) as caught:
        rendered(tmp_path, web("    privileged: true\n    pid: host\n    tmpfs: ['/a:noexec']"))
    assert len(caught.value.problems) == 3


def test_what_a_newer_engine_can_do_is_done(tmp_path: Path) -> None:
    body = (
        "    security_opt: [no-new-privileges, 'seccomp=unconfined']\n    oom_score_adj: 5\n"
        "    tmpfs: ['/a:noexec,size=1m']\n    volumes: [/x:/y]\n"
        "    healthcheck: {test: a, start_interval: 1s, start_period: 2s}"
    )
    container = service(rendered(tmp_path, web(body), NEW)).spec["TaskTemplate"]["ContainerSpec"]
    assert container["Privileges"] == {"NoNewPrivileges": True, "Seccomp": {"Mode": "unconfined"}}
    assert container["OomScoreAdj"] == 5
    assert container["Healthcheck"]["StartInterval"] == 1_000_000_000
    assert container["Mounts"][0]["BindOptions"] == {"CreateMountpoint": True}
    assert container["Mounts"][1]["TmpfsOptions"]["Options"] == [["noexec"]]


_AT_B = "target: /b"
_SINCE = [
    ("healthcheck: {test: a, start_interval: 1s, start_period: 1s}", "StartInterval", (1, 44)),
    ("security_opt: [no-new-privileges]", "Privileges", (1, 44)),
    ("security_opt: [apparmor=unconfined]", "Privileges", (1, 44)),
    (
        f"volumes: [{{{_AT_B}, type: bind, source: /a, bind: {{recursive: readonly}}}}]",
        "ReadOnlyForceRecursive",
        (1, 44),
    ),
    ("volumes: [{type: volume, source: v, target: /b, volume: {subpath: c}}]", "Subpath", (1, 45)),
    ("oom_score_adj: 5", "OomScoreAdj", (1, 46)),
    ("tmpfs: ['/a:noexec']", "Options", (1, 46)),
    (
        f"volumes: [{{{_AT_B}, type: image, source: a, image: {{subpath: c}}}}]",
        "ImageOptions",
        (1, 48),
    ),
    ("volumes: [{type: cluster, source: v, target: /b}]", "cluster", (1, 42)),
    ("mem_limit: 64m\n    memswap_limit: 96m", "SwapBytes", (1, 52)),
    ("mem_swappiness: 10", "MemorySwappiness", (1, 52)),
]
_VOLUMES = "\nvolumes: {v: {}}\n"


@pytest.mark.parametrize(("body", "key", "since"), _SINCE)
def test_each_version_is_sent_what_it_knows(
    tmp_path: Path, body: str, key: str, since: tuple[int, int]
) -> None:
    text = web(f"    {body}") + _VOLUMES
    there = service(rendered(tmp_path, text, WorkloadCapabilities(since)))
    assert f'"{key}"' in json.dumps(there.spec)
    before = WorkloadCapabilities((since[0], since[1] - 1))
    with pytest.raises(InvalidProject) as caught:
        rendered(tmp_path, text, before)
    told = f"its API is 1.{before.api[1]}, and 1.{since[1]} has it first"
    assert told in str(caught.value.problems)


@pytest.mark.parametrize("minor", range(41, 53))
def test_what_nobody_asked_for_is_sent_to_no_version(tmp_path: Path, minor: int) -> None:
    """Of what is younger than the oldest version; but folders are made where they can be."""
    lines = ("volumes: ['/a:/b', 'v:/v']", "tmpfs: /t", "mem_limit: 64m", "healthcheck: {test: a}")
    text = web("\n".join(f"    {line}" for line in lines)) + _VOLUMES
    wanted = rendered(tmp_path, text, WorkloadCapabilities((1, minor)))
    text = json.dumps(service(wanted).spec)
    assert not [key for _, key, _ in _SINCE if f'"{key}"' in text]
    assert ('"CreateMountpoint"' in text) == (minor >= 44)


@pytest.mark.parametrize(
    ("limits", "swap"), [("64m/64m", 0), ("64m/96m", 32 << 20), ("64m/-1", -1)]
)
def test_swap_is_what_is_beside_the_memory(tmp_path: Path, limits: str, swap: int) -> None:
    memory, both = limits.split("/")
    text = web(f"    mem_limit: {memory}\n    memswap_limit: {both}")
    document = service(rendered(tmp_path, text, NEW))
    assert document.spec["TaskTemplate"]["Resources"]["SwapBytes"] == swap
    shown = Swarm().attributes(document)["memswap_limit"]
    assert shown == (-1 if swap < 0 else (64 << 20) + swap)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("memswap_limit: 64m", "requires mem_limit"),
        ("mem_limit: 64m\n    memswap_limit: 32m", "less than mem_limit"),
    ],
)
def test_swap_without_memory_is_refused(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(InvalidProject, match=why):
        rendered(tmp_path, web(f"    {body}"), NEW)


def test_names_and_labels_are_those_of_docker_stack(tmp_path: Path) -> None:
    text = "services: {web: {image: nginx, labels: {a: b}, deploy: {labels: {c: d}}}}"
    document = service(rendered(tmp_path, text))
    assert document.name == "demo_web"
    assert {labels.STACK_NAMESPACE: "demo", labels.STACK_IMAGE: "nginx", "c": "d"}.items() <= (
        document.labels.items()
    )
    container = document.spec["TaskTemplate"]["ContainerSpec"]
    assert container["Labels"] == {labels.STACK_NAMESPACE: "demo", "a": "b"}


_FILES = """services:
  web:
    image: nginx
    configs: [{source: conf, target: /etc/app.conf, uid: "7", mode: 0440}]
    secrets: [token]
configs: {conf: {content: hello}, unused: {content: x}}
secrets: {token: {environment: TOKEN, labels: {a: b}}}
"""


def test_configs_and_secrets_are_named_by_what_they_hold(tmp_path: Path) -> None:
    found = rendered(tmp_path, _FILES, TOKEN="t")
    config, secret = found.of_kind(DocumentKind.CONFIG, DocumentKind.SECRET)
    assert config.name == "demo_conf-2cf24dba5fb0"
    assert (config.content, secret.content) == (b"hello", b"t")
    assert secret.labels["a"] == "b"
    container = service(found).spec["TaskTemplate"]["ContainerSpec"]
    assert container["Configs"] == [
        {
            "ConfigName": config.name,
            "File": {"GID": "0", "Mode": 0o440, "Name": "etc/app.conf", "UID": "7"},
        }
    ]
    assert container["Secrets"][0]["File"]["Name"] == "token"
    assert found.uses["demo_web"] == {config.name, secret.name, "demo_default"}
    other = rendered(tmp_path, _FILES, TOKEN="u")
    assert other.of_kind(DocumentKind.SECRET)[0].name != secret.name
    assert service(other).hash != service(found).hash


@pytest.mark.parametrize(
    ("section", "size", "limit"), [("config", 1000, "1000 KiB"), ("secret", 500, "500 KiB")]
)
def test_what_is_too_large_is_refused(tmp_path: Path, section: str, size: int, limit: str) -> None:
    text = web(f"    {section}s: [a]\n") + f"{section}s: {{a: {{file: ./a}}}}"
    (tmp_path / "a").write_bytes(b"x" * (size << 10))
    with pytest.raises(InvalidProject, match=f"{section}s.a: .* less than {limit}"):
        rendered(tmp_path, text)
    (tmp_path / "a").write_bytes(b"x" * ((size << 10) - 1))
    rendered(tmp_path, text)
    (tmp_path / "a").unlink()
    with pytest.raises(InvalidProject, match="file: cannot be read"):
        rendered(tmp_path, text)


def test_a_name_of_63_characters_is_the_longest(tmp_path: Path) -> None:
    long = "a" * (63 - len("demo_"))
    rendered(tmp_path, f"services: {{{long}: {{image: x}}}}")
    with pytest.raises(InvalidProject, match="more than 63 characters"):
        rendered(tmp_path, f"services: {{{long}b: {{image: x}}}}")


@pytest.mark.parametrize(
    "image",
    [
        "nginx",
        "library/nginx:1.27-alpine",
        "localhost:5000/a_b/c.d",
        "registry.example.com/x/y__z:Tag_1.2",
        "127.0.0.1:5000/a",
        f"ghcr.io/a/b@sha256:{'0' * 64}",
    ],
)
def test_images_that_are_taken(tmp_path: Path, image: str) -> None:
    assert service(rendered(tmp_path, f"services: {{web: {{image: '{image}'}}}}"))


@pytest.mark.parametrize("image", ["...", "Nginx", "a b", "nginx:", "x//y", "it''s", "-a", "a:b:c"])
def test_images_that_no_registry_can_have(tmp_path: Path, image: str) -> None:
    with pytest.raises(InvalidProject, match=r"services\.web\.image: not a repository and tag"):
        rendered(tmp_path, f"services: {{web: {{image: '{image}'}}}}")


def test_a_name_is_one_of_the_dns(tmp_path: Path) -> None:
    rendered(tmp_path, "services: {a_b-c: {image: x}}")
    with pytest.raises(InvalidProject, match=r"services\.a\.b: not a name that a Swarm takes"):
        rendered(tmp_path, "services: {a.b: {image: x}}")


_WIDE = "deploy: {replicas: %s, mode: %s, update_config: {order: %s}}\n"


@pytest.mark.parametrize(
    ("replicas", "mode", "order", "publish", "message"),
    [
        ("3", "replicated", "start-first", "host", "wait for ever"),
        ("1", "global", "start-first", "host", "wait for ever"),
        ("2", "replicated", "start-first", "host", ""),
        ("3", "replicated", "stop-first", "host", ""),
        ("3", "replicated", "start-first", "ingress", ""),
        ("4", "replicated", "stop-first", "host", "free once a node"),
    ],
)
def test_host_ports_at_full_width(
    tmp_path: Path, replicas: str, mode: str, order: str, publish: str, message: str
) -> None:
    body = web(
        f"    {_WIDE % (replicas, mode, order)}"
        f"    ports: [{{target: 80, published: 8080, mode: {publish}}}]"
    )
    if not message:
        rendered(tmp_path, body, OLD)
        return
    with pytest.raises(InvalidProject, match=rf"compose\.yaml:\d+:\d+: .*{message}"):
        rendered(tmp_path, body, OLD)
    unknown = WorkloadCapabilities((1, 41))
    if mode == "replicated":
        rendered(tmp_path, body, unknown)


def test_a_port_is_published_by_one_service(tmp_path: Path) -> None:
    text = "services: {a: {image: x, ports: ['80:80']}, b: {image: x, ports: ['80:81']}}"
    with pytest.raises(InvalidProject, match=r"services\.b\.ports\[0\]: port 80/tcp is already"):
        rendered(tmp_path, text)


_JOB = """services:
  web: {image: nginx, depends_on: {migrate: {condition: service_completed_successfully}}}
  migrate: {image: tool, command: [%s]}
"""


def test_what_others_wait_for_is_a_job_of_its_own_name(tmp_path: Path) -> None:
    first = rendered(tmp_path, _JOB % "up")
    job = service(first, "migrate")
    assert job.name == f"demo_migrate-{job.hash[:12]}"
    assert job.spec["Mode"] == {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
    assert job.spec["TaskTemplate"]["RestartPolicy"] == {"Condition": "none"}
    assert [need.name for need in first.needs["demo_web"]] == [job.name]
    assert first.jobs == {job.name}
    assert service(rendered(tmp_path, _JOB % "up"), "migrate").name == job.name
    assert service(rendered(tmp_path, _JOB % "down"), "migrate").name != job.name


_STEPS = """services:
  web:
    image: nginx
    user: www
    volumes: [data:/data]
    environment: {A: "1"}
    ports: ["80:80"]
    depends_on: {db: {condition: service_healthy}}
    deploy: {replicas: 3, placement: {constraints: [node.role==worker]}}
    pre_start:
      - {command: [fill], environment: {B: "2"}}
      - {image: tool, command: [check]}
  db: {image: db}
volumes: {data: {}}
"""


def test_steps_before_a_service_are_jobs(tmp_path: Path) -> None:
    found = rendered(tmp_path, _STEPS)
    first, second = (service(found, f"web.pre_start.{index}") for index in range(2))
    assert first.name == f"demo_web-pre_start-0-{first.hash[:12]}"
    assert first.spec["Mode"] == {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
    container = first.spec["TaskTemplate"]["ContainerSpec"]
    assert (container["Image"], container["Args"], container["User"]) == ("nginx", ["fill"], "www")
    assert container["Env"] == ["A=1", "B=2"]
    assert container["Mounts"][0]["Source"] == "demo_data"
    assert "EndpointSpec" not in first.spec
    assert first.spec["TaskTemplate"]["Networks"] == [{"Target": "demo_default"}]
    assert "User" not in second.spec["TaskTemplate"]["ContainerSpec"]
    needs = {name: [need.name for need in each] for name, each in found.needs.items()}
    assert needs == {
        "demo_db": [],
        first.name: ["demo_db"],
        second.name: [first.name],
        "demo_web": [second.name],
    }
    assert found.jobs == {first.name, second.name}
    with pytest.raises(InvalidProject, match="per_replica: not supported by a Swarm"):
        rendered(tmp_path, _STEPS.replace("[fill]", "[fill], per_replica: true"))


def test_networks_are_overlays(tmp_path: Path) -> None:
    text = """services: {web: {image: x, networks: [a, b, out]}}
networks:
  a: {attachable: true, internal: true, labels: {l: m}, driver_opts: {encrypted: ""}}
  b: {ipam: {config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.1, ip_range: 10.9.0.128/25}]}}
  out: {external: true, name: shared}
"""
    found = rendered(tmp_path, text)
    a, b = found.of_kind(DocumentKind.NETWORK)
    assert a.spec == {
        "Driver": "overlay",
        "Options": {"encrypted": ""},
        "Internal": True,
        "Attachable": True,
    }
    pool = {"Subnet": "10.9.0.0/24", "IPRange": "10.9.0.128/25", "Gateway": "10.9.0.1"}
    assert b.spec["IPAM"] == {"Config": [pool]}
    assert found.external == ((DocumentKind.NETWORK, "shared", "networks.out"),)


def test_a_volume_is_part_of_its_mounts(tmp_path: Path) -> None:
    text = """services:
  web:
    image: x
    volumes: [{type: volume, source: data, target: /d, volume: {nocopy: true}}, "out:/o"]
volumes:
  data: {driver: nfs, driver_opts: {o: addr=a}, labels: {l: m}}
  out: {external: true, name: shared}
"""
    mounts = service(rendered(tmp_path, text)).spec["TaskTemplate"]["ContainerSpec"]["Mounts"]
    assert mounts == [
        {
            "Source": "demo_data",
            "Target": "/d",
            "Type": "volume",
            "VolumeOptions": {
                "DriverConfig": {"Name": "nfs", "Options": {"o": "addr=a"}},
                "Labels": {labels.STACK_NAMESPACE: "demo", "l": "m"},
                "NoCopy": True,
            },
        },
        {"Source": "shared", "Target": "/o", "Type": "volume"},
    ]
