"""The options of `container create`, which `container run` has too.

Source: docker/cli, cli/command/container/opts.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from stackr.cli.declared import Argument, Group
from stackr.cli.objects.container.limits import LimitOptions
from stackr.options import Option

__all__ = ["CreateArguments"]


@dataclass(frozen=True, slots=True)
class CreateArguments:
    """All of them, as texts. entrypoint: "" takes away the image's own, None leaves it."""

    image: Annotated[str, Argument("IMAGE")]
    command: Annotated[tuple[str, ...], Argument("[COMMAND] [ARG]...")] = ()
    add_host: Annotated[
        tuple[str, ...], Option("--add-host", metavar="HOST:IP", help="Add a line to /etc/hosts")
    ] = ()
    annotations: Annotated[
        tuple[str, ...],
        Option("--annotation", metavar="KEY=VALUE", help="Pass an annotation to the OCI runtime"),
    ] = ()
    attach: Annotated[
        tuple[str, ...],
        Option("--attach", "-a", metavar="STREAM", help="Attach stdin, stdout or stderr"),
    ] = ()
    blkio_weight_device: Annotated[
        tuple[str, ...],
        Option("--blkio-weight-device", metavar="PATH:NUM", help="Block I/O of a device"),
    ] = ()
    cap_add: Annotated[
        tuple[str, ...], Option("--cap-add", metavar="NAME", help="Add a capability")
    ] = ()
    cap_drop: Annotated[
        tuple[str, ...], Option("--cap-drop", metavar="NAME", help="Drop a capability")
    ] = ()
    cgroup_parent: Annotated[
        str, Option("--cgroup-parent", metavar="PATH", help="The control group above its own")
    ] = ""
    cgroupns: Annotated[
        str,
        Option("--cgroupns", metavar="MODE", help="Namespace of control groups: host or private"),
    ] = ""
    cidfile: Annotated[
        str,
        Option(
            "--cidfile", metavar="PATH", help="Write its ID to this file, which must not be there"
        ),
    ] = ""
    cpu_count: Annotated[int, Option("--cpu-count", metavar="NUM", help="Processors (Windows)")] = 0
    cpu_percent: Annotated[
        int, Option("--cpu-percent", metavar="NUM", help="Share of the processors (Windows)")
    ] = 0
    limits: Annotated[LimitOptions, Group(())] = field(default_factory=LimitOptions)
    devices: Annotated[
        tuple[str, ...],
        Option("--device", metavar="HOST[:PATH[:rwm]]", help="Give it a device of the host"),
    ] = ()
    device_cgroup_rules: Annotated[
        tuple[str, ...],
        Option("--device-cgroup-rule", metavar="RULE", help='Allow devices: "c 1:3 rwm"'),
    ] = ()
    device_read_bps: Annotated[
        tuple[str, ...],
        Option(
            "--device-read-bps", metavar="PATH:BYTES", help="Most bytes a second read from a device"
        ),
    ] = ()
    device_read_iops: Annotated[
        tuple[str, ...],
        Option("--device-read-iops", metavar="PATH:NUM", help="Most reads a second from a device"),
    ] = ()
    device_write_bps: Annotated[
        tuple[str, ...],
        Option(
            "--device-write-bps",
            metavar="PATH:BYTES",
            help="Most bytes a second written to a device",
        ),
    ] = ()
    device_write_iops: Annotated[
        tuple[str, ...],
        Option("--device-write-iops", metavar="PATH:NUM", help="Most writes a second to a device"),
    ] = ()
    trusts_none: Annotated[
        bool, Option("--disable-content-trust/--enable-content-trust", hidden=True)
    ] = True
    dns: Annotated[tuple[str, ...], Option("--dns", metavar="IP", help="A name server")] = ()
    dns_options: Annotated[
        tuple[str, ...],
        Option("--dns-option", "--dns-opt", metavar="OPTION", help="An option of the resolver"),
    ] = ()
    dns_search: Annotated[
        tuple[str, ...], Option("--dns-search", metavar="DOMAIN", help="A domain to search in")
    ] = ()
    domainname: Annotated[str, Option("--domainname", metavar="NAME", help="Its NIS domain")] = ""
    entrypoint: Annotated[
        str | None, Option("--entrypoint", metavar="PROGRAM", help="In place of the image's own")
    ] = None
    environment: Annotated[
        tuple[str, ...],
        Option("--env", "-e", metavar="KEY[=VALUE]", help="Set a variable; KEY alone takes yours"),
    ] = ()
    env_files: Annotated[
        tuple[str, ...], Option("--env-file", metavar="PATH", help="Set the variables of a file")
    ] = ()
    expose: Annotated[
        tuple[str, ...], Option("--expose", metavar="PORT", help="A port that it listens at")
    ] = ()
    gpus: Annotated[
        tuple[str, ...],
        Option("--gpus", metavar="REQUEST", help="GPUs: all, or device=0 and the like"),
    ] = ()
    group_add: Annotated[
        tuple[str, ...], Option("--group-add", metavar="GROUP", help="A further group of its user")
    ] = ()
    health_cmd: Annotated[
        str, Option("--health-cmd", metavar="COMMAND", help="The command of the health check")
    ] = ""
    health_interval: Annotated[
        str, Option("--health-interval", metavar="DURATION", help="Between two checks")
    ] = ""
    health_retries: Annotated[
        int,
        Option("--health-retries", metavar="NUM", help="Failures in a row until it is unhealthy"),
    ] = 0
    health_start_interval: Annotated[
        str,
        Option(
            "--health-start-interval", metavar="DURATION", help="Between two checks while it starts"
        ),
    ] = ""
    health_start_period: Annotated[
        str,
        Option(
            "--health-start-period",
            metavar="DURATION",
            help="Time to start, in which failures do not count",
        ),
    ] = ""
    health_timeout: Annotated[
        str, Option("--health-timeout", metavar="DURATION", help="The most that a check may take")
    ] = ""
    hostname: Annotated[str, Option("--hostname", "-h", metavar="NAME", help="Its host name")] = ""
    init: Annotated[
        bool | None,
        Option(
            "--init/--no-init", help="Run an init in it, which passes signals on and ends zombies"
        ),
    ] = None
    interactive: Annotated[bool, Option("--interactive", "-i", help="Keep stdin open")] = False
    io_maxbandwidth: Annotated[
        str, Option("--io-maxbandwidth", metavar="BYTES", help="Most bytes a second (Windows)")
    ] = ""
    io_maxiops: Annotated[
        int, Option("--io-maxiops", metavar="NUM", help="Most I/O a second (Windows)")
    ] = 0
    ip: Annotated[str, Option("--ip", metavar="IP", help="Its IPv4 address")] = ""
    ip6: Annotated[str, Option("--ip6", metavar="IP", help="Its IPv6 address")] = ""
    ipc: Annotated[
        str,
        Option(
            "--ipc", metavar="MODE", help="IPC namespace: private, shareable, host, container:NAME"
        ),
    ] = ""
    isolation: Annotated[str, Option("--isolation", metavar="NAME", help="How it is isolated")] = ""
    kernel_memory: Annotated[str, Option("--kernel-memory", metavar="BYTES", hidden=True)] = ""
    labels: Annotated[
        tuple[str, ...], Option("--label", "-l", metavar="KEY[=VALUE]", help="Set a label")
    ] = ()
    label_files: Annotated[
        tuple[str, ...], Option("--label-file", metavar="PATH", help="Set the labels of a file")
    ] = ()
    links: Annotated[
        tuple[str, ...],
        Option("--link", metavar="NAME[:ALIAS]", help="Link it to another container"),
    ] = ()
    link_local_ips: Annotated[
        tuple[str, ...], Option("--link-local-ip", metavar="IP", help="A link-local address")
    ] = ()
    log_driver: Annotated[
        str, Option("--log-driver", metavar="NAME", help="Where its output goes")
    ] = ""
    log_opts: Annotated[
        tuple[str, ...],
        Option("--log-opt", metavar="KEY=VALUE", help="An option of the log driver"),
    ] = ()
    mac_address: Annotated[str, Option("--mac-address", metavar="MAC", help="Its MAC address")] = ""
    memory_swappiness: Annotated[
        int, Option("--memory-swappiness", metavar="NUM", help="0 to 100")
    ] = -1
    mounts: Annotated[
        tuple[str, ...],
        Option("--mount", metavar="SPEC", help="Mount: type=bind,source=/a,target=/b,readonly"),
    ] = ()
    name: Annotated[str, Option("--name", metavar="NAME", help="Its name")] = ""
    networks: Annotated[
        tuple[str, ...],
        Option(
            "--network", "--net", metavar="NETWORK", help="A network, or name=NAME,alias=NAME,ip=IP"
        ),
    ] = ()
    network_aliases: Annotated[
        tuple[str, ...],
        Option(
            "--network-alias", "--net-alias", metavar="NAME", help="A further name in its network"
        ),
    ] = ()
    no_healthcheck: Annotated[
        bool, Option("--no-healthcheck", help="Without the image's check")
    ] = False
    oom_kill_disable: Annotated[
        bool, Option("--oom-kill-disable", help="Do not kill it where memory is short")
    ] = False
    oom_score_adj: Annotated[
        int, Option("--oom-score-adj", metavar="NUM", help="-1000 to 1000: which is killed first")
    ] = 0
    pid: Annotated[
        str, Option("--pid", metavar="MODE", help="PID namespace: host or container:NAME")
    ] = ""
    platform: Annotated[
        str, Option("--platform", metavar="OS[/ARCH]", help="Which of the image's platforms")
    ] = ""
    privileged: Annotated[
        bool, Option("--privileged", help="With all capabilities and devices")
    ] = False
    publish: Annotated[
        tuple[str, ...], Option("--publish", "-p", metavar="SPEC", help="Publish a port: 8080:80")
    ] = ()
    publish_all: Annotated[
        bool, Option("--publish-all", "-P", help="Publish all exposed ports, anywhere")
    ] = False
    pull: Annotated[str, Option("--pull", metavar="POLICY", help="always, missing or never")] = (
        "missing"
    )
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show nothing while pulling")] = False
    read_only: Annotated[bool, Option("--read-only", help="Its root file system is read-only")] = (
        False
    )
    auto_remove: Annotated[
        bool, Option("--rm", help="Remove it when it ends, with its anonymous volumes")
    ] = False
    runtime: Annotated[str, Option("--runtime", metavar="NAME", help="The OCI runtime")] = ""
    security_opts: Annotated[
        tuple[str, ...],
        Option(
            "--security-opt", metavar="OPTION", help="no-new-privileges, seccomp=FILE and the like"
        ),
    ] = ()
    shm_size: Annotated[str, Option("--shm-size", metavar="BYTES", help="Size of /dev/shm")] = ""
    stop_signal: Annotated[
        str, Option("--stop-signal", metavar="SIGNAL", help="The signal that stops it")
    ] = ""
    stop_timeout: Annotated[
        int | None, Option("--stop-timeout", metavar="SECONDS", help="Before it is killed")
    ] = None
    storage_opts: Annotated[
        tuple[str, ...],
        Option("--storage-opt", metavar="KEY=VALUE", help="An option of the storage driver"),
    ] = ()
    sysctls: Annotated[
        tuple[str, ...],
        Option("--sysctl", metavar="KEY=VALUE", help="A kernel parameter of its own"),
    ] = ()
    tmpfs: Annotated[
        tuple[str, ...], Option("--tmpfs", metavar="PATH[:OPTIONS]", help="Mount a tmpfs")
    ] = ()
    tty: Annotated[bool, Option("--tty", "-t", help="With a terminal")] = False
    ulimits: Annotated[
        tuple[str, ...],
        Option("--ulimit", metavar="NAME=SOFT[:HARD]", help="A limit of its processes"),
    ] = ()
    api_socket: Annotated[bool, Option("--use-api-socket", hidden=True)] = False
    user: Annotated[
        str, Option("--user", "-u", metavar="USER[:GROUP]", help="Run it as this user")
    ] = ""
    userns: Annotated[str, Option("--userns", metavar="MODE", help="User namespace")] = ""
    uts: Annotated[str, Option("--uts", metavar="MODE", help="UTS namespace: host")] = ""
    volumes: Annotated[
        tuple[str, ...],
        Option(
            "--volume",
            "-v",
            metavar="[SOURCE:]PATH[:OPTIONS]",
            help="Mount a volume or a path of the host",
        ),
    ] = ()
    volume_driver: Annotated[
        str, Option("--volume-driver", metavar="NAME", help="The driver of its volumes")
    ] = ""
    volumes_from: Annotated[
        tuple[str, ...],
        Option("--volumes-from", metavar="CONTAINER", help="All volumes of another container"),
    ] = ()
    working_dir: Annotated[
        str, Option("--workdir", "-w", metavar="PATH", help="Run it in this folder")
    ] = ""
