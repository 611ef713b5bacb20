"""The real `docker` command line on the engine, and beside it on dockerd."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
import uuid
from collections.abc import Callable

import pytest
from peer import Peer
from polling import until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.peers]

Docker = Callable[..., subprocess.CompletedProcess[str]]
_DEADLINE_S = 60.0


def _inspect(docker: Docker, name: str, path: str) -> str:
    return docker("inspect", "-f", "{{" + path + "}}", name).stdout.strip()


def test_version_and_info(docker: Docker, peer: Peer) -> None:
    version = json.loads(docker("version", "--format", "json").stdout)["Server"]
    assert version["ApiVersion"] == ("1.41" if peer.is_dockerd else "1.56")
    assert version["Os"] == "linux"
    info = json.loads(docker("info", "--format", "json").stdout)
    assert info["Driver"] == "overlay2"
    assert info["DefaultRuntime"] in ("crun", "runc")
    assert info.get("ServerErrors") is None


def test_images_are_pulled_listed_tagged_and_removed(docker: Docker, busybox_image: str) -> None:
    out = docker("pull", busybox_image).stdout
    assert "Digest: sha256:" in out
    repository = busybox_image.rpartition(":")[0]
    assert repository in docker("images").stdout
    docker("tag", busybox_image, "renamed:one")
    assert "renamed:one" in docker("image", "inspect", busybox_image).stdout
    assert "Untagged: renamed:one" in docker("rmi", "renamed:one").stdout
    assert "step 0" in docker("history", "--no-trunc", busybox_image).stdout
    up_to_date = docker("pull", busybox_image).stdout
    assert "Image is up to date" in up_to_date


def test_pulls_that_fail_say_why(docker: Docker, registry: str, busybox_image: str) -> None:
    missing = docker("pull", f"{busybox_image.rpartition(':')[0]}:nope", want=1).stderr
    assert "not found" in missing
    unreachable = docker("pull", "127.0.0.1:1/x:y", want=1).stderr
    assert "127.0.0.1:1" in unreachable
    assert "invalid reference format" in docker("pull", f"{registry}/UPPER:x", want=1).stderr


def test_run_rm_gives_output_and_the_exit_code(docker: Docker, pulled: str) -> None:
    done = docker("run", "--rm", pulled, "sh", "-c", "echo out; echo err >&2; exit 3", want=3)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_run_rm_leaves_nothing(docker: Docker, pulled: str, name: str) -> None:
    docker("run", "--rm", "--name", name, "-v", "/anonymous", pulled, "true")
    assert docker("ps", "-aq", "--filter", f"name={name}").stdout == ""


def test_run_reads_standard_input(docker: Docker, pulled: str) -> None:
    done = docker("run", "--rm", "-i", pulled, "wc", "-c", stdin="x" * 300_000)
    assert done.stdout.strip() == "300000"


def test_large_output_is_whole(docker: Docker, pulled: str) -> None:
    done = docker("run", "--rm", pulled, "seq", "1", "50000")
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 50001))


def test_run_on_a_terminal(docker_host: dict[str, str], pulled: str) -> None:
    """`docker run -it`: a prompt, an echo, a size, the exit code."""
    ours, theirs = pty.openpty()
    argv = ["docker", "run", "--rm", "-it", pulled, "sh"]
    process = subprocess.Popen(argv, env=docker_host, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        _expect(ours, b"# ")
        os.write(ours, b"echo $((40 + 2)) $(tty); exit 7\r")
        _expect(ours, b"42 /dev/pts/0")
        assert process.wait(_DEADLINE_S) == 7
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _expect(terminal: int, wanted: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + _DEADLINE_S
    while wanted not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"{wanted!r} not in {seen!r}"
        seen += os.read(terminal, 4096)
    return seen


def test_detached_container_its_logs_and_its_end(docker: Docker, pulled: str, name: str) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo one; echo two >&2; sleep 1000 & wait"
    docker("run", "-d", "--name", name, pulled, "sh", "-c", script)

    def output() -> tuple[str, str]:
        done = docker("logs", name)
        return done.stdout, done.stderr

    until(lambda: output() == ("one\n", "two\n"))
    assert name in docker("ps").stdout
    assert docker("logs", "--tail", "1", name).stdout in ("one\n", "")
    stamped = docker("logs", "-t", name).stdout
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z one\n", stamped)
    docker("stop", "-t", "50", name)
    assert docker("wait", name).stdout == "5\n"
    assert "bye" in docker("logs", name).stdout
    assert _inspect(docker, name, ".State.Status") == "exited"
    docker("start", name)
    assert _inspect(docker, name, ".State.Running") == "true"
    docker("restart", "-t", "1", name)
    docker("kill", name)
    assert docker("wait", name).stdout == "137\n"


def test_followed_logs_end_with_the_container(docker: Docker, pulled: str, name: str) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.2; done"
    docker("run", "-d", "--name", name, pulled, "sh", "-c", script)
    assert docker("logs", "-f", name).stdout == "line 1\nline 2\nline 3\n"


def test_a_published_port_is_reached(docker: Docker, peer: Peer, pulled: str, name: str) -> None:
    script = "mkdir /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www"
    docker("run", "-d", "--name", name, "-p", "127.0.0.1::80", pulled, "sh", "-c", script)
    address = docker("port", name, "80").stdout.strip()
    assert address.startswith("127.0.0.1:")

    until(lambda: peer.fetch(address) == "served\n")


def test_exec(docker: Docker, peer: Peer, pulled: str, name: str) -> None:
    docker("run", "-d", "--name", name, pulled, "sleep", "1000")
    assert docker("exec", name, "cat", "/data/hello").stdout == "hello from the image\n"
    failed = docker("exec", name, "sh", "-c", "echo no >&2; exit 9", want=9)
    assert failed.stderr == "no\n"
    assert docker("exec", "-i", name, "cat", stdin="piped\n").stdout == "piped\n"
    assert docker("exec", "-e", "A=b", "-w", "/tmp", name, "sh", "-c", "echo $A; pwd").stdout == (
        "b\n/tmp\n"
    )
    assert docker("exec", "-u", "nobody", name, "id", "-u").stdout == "65534\n"
    docker("exec", "-d", name, "touch", "/made")
    until(lambda: docker("exec", name, "ls", "/").stdout.find("made") >= 0)
    missing = 126 if peer.is_dockerd else 127  # 127 since 23.0
    for program in ("no-such-program", ""):
        why = docker("exec", name, program, want=missing).stdout
        assert f'exec: "{program}": executable file not found in $PATH' in why


@pytest.mark.unlike_dockerd("one as old as Debian's loses output that follows an attach at once")
def test_attach_shows_what_follows_and_passes_input(
    docker: Docker, docker_host: dict[str, str], pulled: str, name: str
) -> None:
    docker("run", "-di", "--name", name, pulled, "sh", "-c", "read x; echo got $x; read y; exit 4")
    done = docker("attach", name, stdin="first\nsecond\n", want=4)
    assert done.stdout == "got first\n"


def test_failed_starts_have_dockers_exit_codes(docker: Docker, pulled: str, name: str) -> None:
    missing = docker("run", "--name", name, pulled, "no-such-program", want=127).stderr
    assert "executable file not found in $PATH" in missing
    assert _inspect(docker, name, ".State.Status") == "created"
    docker("rm", name)
    docker("run", "--name", name, pulled, "/etc/passwd", want=126)
    docker("run", "--rm", "no-such-image-here:1", want=125)


def test_conflicting_names_and_missing_things(docker: Docker, pulled: str, name: str) -> None:
    docker("create", "--name", name, pulled)
    conflict = docker("create", "--name", name, pulled, want=1).stderr
    assert f'The container name "/{name}" is already in use by container' in conflict
    assert "No such container: nope" in docker("start", "nope", want=1).stderr
    assert "is not running" in docker("kill", name, want=1).stderr
    docker("rename", name, f"{name}-2")
    docker("rename", f"{name}-2", name)


def test_a_running_container_is_removed_only_by_force(
    docker: Docker, pulled: str, name: str
) -> None:
    docker("run", "-d", "--name", name, pulled, "sleep", "1000")
    assert "force remove" in docker("rm", name, want=1).stderr
    assert "conflict" in docker("rmi", pulled, want=1).stderr
    docker("rm", "-f", name)
    assert docker("ps", "-aq", "--filter", f"name={name}").stdout == ""


def test_lists_are_filtered(docker: Docker, pulled: str, name: str) -> None:
    docker("run", "-d", "--name", name, "--label", f"test={name}", pulled, "sleep", "1000")

    def listed(*filters: str) -> bool:
        arguments = [argument for text in filters for argument in ("--filter", text)]
        return name in docker("ps", "-a", "--format", "{{.Names}}", *arguments).stdout.split()

    container_id = _inspect(docker, name, ".Id")
    for matching in (
        f"name={name[:5]}",
        f"id={container_id[:6]}",
        f"label=test={name}",
        "label=test",
        "status=running",
        f"ancestor={pulled}",
        "network=bridge",
    ):
        assert listed(matching), matching
    for other in ("name=^x", "label=test=no", "status=exited", "ancestor=none:1", "network=none"):
        assert not listed(other), other
    assert "nvalid filter" in docker("ps", "--filter", "colour=red", want=1).stderr


def test_networks_and_names(docker: Docker, pulled: str, name: str) -> None:
    network = f"net-{name}"
    docker("network", "create", "--label", "a=b", network)
    try:
        options = ("--network", network, "--network-alias", "web")
        docker("run", "-d", "--name", name, *options, pulled, "sleep", "1000")
        address = _inspect(docker, name, f'(index .NetworkSettings.Networks "{network}").IPAddress')
        found = docker("run", "--rm", "--network", network, pulled, "nslookup", "web").stdout
        assert address in found
        assert name in docker("network", "inspect", network).stdout
        assert "has active endpoints" in docker("network", "rm", network, want=1).stderr
        docker("network", "disconnect", network, name)
        assert network not in _inspect(docker, name, "json .NetworkSettings.Networks")
        docker("network", "connect", "--alias", "again", network, name)
        docker("run", "--rm", "--network", network, pulled, "nslookup", "again")
    finally:
        docker("rm", "-f", name)
        docker("network", "rm", network)


def test_volumes_keep_what_containers_write(docker: Docker, pulled: str) -> None:
    volume = f"v-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", "--label", "a=b", volume)
    docker("run", "--rm", "-v", f"{volume}:/kept", pulled, "sh", "-c", "echo kept > /kept/file")
    done = docker("run", "--rm", "-v", f"{volume}:/kept:ro", pulled, "cat", "/kept/file")
    assert done.stdout == "kept\n"
    copied = docker("run", "--rm", "-v", f"{volume}-2:/data", pulled, "cat", "/data/hello")
    assert copied.stdout == "hello from the image\n"
    assert volume in docker("volume", "ls", "--filter", "label=a=b").stdout
    docker("volume", "rm", volume, f"{volume}-2")


def test_a_used_volume_is_kept(docker: Docker, pulled: str, name: str) -> None:
    volume = f"v-{name}"
    docker("create", "--name", name, "-v", f"{volume}:/x", pulled)
    assert "volume is in use" in docker("volume", "rm", volume, want=1).stderr
    docker("rm", "-v", name)
    docker("volume", "rm", volume)


def test_events(docker: Docker, docker_host: dict[str, str], pulled: str, name: str) -> None:
    since = str(time.time())
    docker("run", "--name", name, pulled, "sh", "-c", "exit 3", want=3)
    docker("rm", name)
    argv = ["events", "--since", since, "--until", str(time.time()), "--format", "json"]
    lines = docker(*argv, "--filter", f"container={name}").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    actions = [event["Action"] for event in events]
    assert [a for a in actions if a in ("create", "start", "die", "destroy")] == [
        "create",
        "start",
        "die",
        "destroy",
    ]
    [died] = [event for event in events if event["Action"] == "die"]
    assert died["Actor"]["Attributes"]["exitCode"] == "3"


def test_health_is_shown(docker: Docker, pulled: str, name: str) -> None:
    docker(
        *("run", "-d", "--name", name, "--health-cmd", "test -e /ready", "--health-interval", "1s"),
        *(pulled, "sh", "-c", "touch /ready; sleep 1000"),
    )
    until(lambda: _inspect(docker, name, ".State.Health.Status") == "healthy")
    assert "(healthy)" in docker("ps", "--filter", f"name={name}").stdout


def test_pause_top_and_limits(docker: Docker, pulled: str, name: str) -> None:
    docker("run", "-d", "--name", name, "-m", "64m", pulled, "sleep", "1234")
    until(lambda: "sleep 1234" in docker("top", name).stdout)  # the runtime's own, just before
    docker("pause", name)
    assert "(Paused)" in docker("ps", "--filter", f"name={name}").stdout
    assert "sleep 1234" in docker("top", name).stdout
    docker("unpause", name)
    assert _inspect(docker, name, ".HostConfig.Memory") == str(64 << 20)


def test_stats(docker: Docker, pulled: str, name: str) -> None:
    docker("run", "-d", "--name", name, "-m", "64m", pulled, "sleep", "1000")

    def figures() -> dict[str, str]:
        shown = json.loads(docker("stats", "--no-stream", "--format", "json", name).stdout)
        assert isinstance(shown, dict)
        return shown

    until(lambda: figures()["PIDs"] == "1")  # the runtime's own may have several, just before
    assert figures()["MemUsage"].endswith("/ 64MiB")


def test_what_is_not_offered_is_refused_by_name(docker: Docker, pulled: str, name: str) -> None:
    assert "This node is not a swarm manager" in docker("node", "ls", want=1).stderr
    refused = docker("create", "--name", name, "--storage-opt", "size=1g", pulled, want=1).stderr
    assert re.search("(?i)storage-?opt", refused)


def test_disk_usage_and_prune(docker: Docker, pulled: str, name: str) -> None:
    docker("run", "--name", name, "--label", f"prune={name}", pulled, "true")
    assert "Images" in docker("system", "df").stdout
    docker("system", "df", "-v")
    pruned = docker("container", "prune", "-f", "--filter", f"label=prune={name}").stdout
    assert re.search(r"Deleted Containers:\n[0-9a-f]{64}", pruned)
    since = str(time.time())
    for kind in ("container", "network", "volume", "image"):
        docker(kind, "prune", "-f", "--filter", f"label=prune={name}")
    asked = ("--since", since, "--until", str(time.time()), "--filter", "event=prune")
    kinds = docker("events", *asked, "--format", "{{.Type}}").stdout.split()
    assert kinds == ["container", "network", "volume", "image"]


def test_update_changes_limits_and_the_restart_policy(
    docker: Docker, pulled: str, name: str
) -> None:
    docker("run", "-d", "--name", name, "-m", "64m", "--restart", "always", pulled, "sleep", "1000")
    assert _inspect(docker, name, ".HostConfig.MemorySwap") == str(128 << 20)
    wider = ("--memory", "96m", "--memory-swap", "-1", "--cpus", "0.5", "--pids-limit", "40")
    assert docker("update", *wider, name).stdout.strip() == name
    figures = ".HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit"
    assert _inspect(docker, name, figures) == f"{96 << 20} 500000000 40"
    assert _inspect(docker, name, ".HostConfig.RestartPolicy.Name") == "always"
    docker("update", "--restart", "on-failure:3", name)
    assert _inspect(docker, name, ".HostConfig.RestartPolicy") == "{on-failure 3}"
    assert name in docker("ps", "--format", "{{.Names}} {{.Status}}").stdout
    refused = docker("update", "--memory", "1m", name, want=1).stderr
    assert "Minimum memory limit allowed is 6MB" in refused
    refused = docker("update", "--cpu-quota", "5000", name, want=1).stderr
    assert "CPU Quota cannot be updated as NanoCPUs has already been set" in refused
    assert "No such container: nosuch" in docker("update", "-m", "9m", "nosuch", want=1).stderr


@pytest.mark.unlike_dockerd("one as old as Debian's mounts no images")
def test_an_image_is_mounted_and_then_not_removed(docker: Docker, pulled: str, name: str) -> None:
    docker("tag", pulled, f"{name}:data")
    mount = f"type=image,source={name}:data,target=/data"
    docker("run", "-d", "--name", name, "--mount", mount, pulled, "sleep", "1000")
    assert "sh" in docker("exec", name, "ls", "/data/bin").stdout.split()
    assert _inspect(docker, name, "(index .Mounts 0).Type") == "image"
    whole = docker("image", "inspect", "-f", "{{.Id}}", pulled).stdout.strip()
    assert "conflict" in docker("rmi", "-f", whole, want=1).stderr
    docker("rmi", f"{name}:data")
    part = f"type=image,source={pulled},target=/d,image-subpath=bin/busybox"
    listing = docker("run", "--rm", "--mount", part, pulled, "ls", "-l", "/d").stdout
    assert listing.startswith("-rwx")
