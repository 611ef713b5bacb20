from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from container_engine import Engine, refused, until

from stackr.errors import Conflict, Internal, InvalidArgument, NotFound, NotModified
from stackr.runtime.engine.container.records.state import Status

pytestmark = pytest.mark.root


async def test_runs_a_program_and_keeps_its_output_and_exit_code(engine: Engine) -> None:
    id = await engine.create("one", ["sh", "-c", "echo out; echo err >&2; exit 3"])
    await engine.containers.start(id)

    assert await engine.containers.wait(id) == 3
    assert await engine.output(id, stderr=False) == "out\n"
    assert await engine.output(id, stdout=False) == "err\n"
    state = engine.containers.get("one").state
    assert (state.status, state.exit_code) == (Status.EXITED, 3)
    assert 0 < state.started_ns <= state.finished_ns


@pytest.mark.parametrize(
    ("program", "exit_code", "text"),
    [
        ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH: unknown'),
        ("/nosuch", 127, 'exec: "/nosuch": stat /nosuch: no such file or directory: unknown'),
        ("/etc", 126, 'exec: "/etc": permission denied: unknown'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied: unknown'),
    ],
)
async def test_a_program_that_cannot_run_is_explained(
    engine: Engine, program: str, exit_code: int, text: str
) -> None:
    id = await engine.create("bad", [program])

    error = await refused(engine.containers.start(id))

    assert isinstance(error, InvalidArgument)
    assert error.message.startswith("failed to create task for container: ")
    assert error.message.endswith(text)
    state = engine.containers.get(id).state
    assert (state.status, state.exit_code) == (Status.CREATED, exit_code)
    assert text in state.error


async def test_states_are_checked_with_dockers_texts(engine: Engine) -> None:
    id = await engine.create("checked", ["sleep", "600"])
    containers = engine.containers
    assert isinstance(await refused(containers.stop(id)), NotModified)
    assert "is not running" in (await refused(containers.kill(id))).message
    await containers.start(id)
    assert isinstance(await refused(containers.start(id)), NotModified)
    error = await refused(containers.remove(id))
    assert isinstance(error, Conflict)
    assert error.message.startswith('cannot remove container "/checked": container is running')
    error = await refused(engine.create("checked", ["true"]))
    assert error.message.startswith('Conflict. The container name "/checked" is already in use')
    assert isinstance(await refused(containers.start("nobody")), NotFound)


async def test_stop_asks_first_and_kills_after_its_timeout(engine: Engine) -> None:
    for name, answer in (("polite", "echo bye; exit 7"), ("deaf", "")):
        script = f"trap '{answer}' TERM; echo up; while :; do sleep 0.05; done"
        await engine.create(name, ["sh", "-c", script])
        await engine.containers.start(name)
        async with asyncio.timeout(60):
            while await engine.output(name) != "up\n":
                await asyncio.sleep(0.02)

    await asyncio.gather(
        engine.containers.stop("polite", timeout_s=60), engine.containers.stop("deaf", timeout_s=1)
    )

    assert engine.containers.get("polite").state.exit_code == 7
    assert await engine.output("polite") == "up\nbye\n"
    assert engine.containers.get("deaf").state.exit_code == 137
    actions = [event.action for event in engine.events.kept() if event.type == "container"]
    assert {"create", "start", "kill", "die", "stop"} <= set(actions)


async def test_pause_freezes_and_exec_is_refused_meanwhile(engine: Engine) -> None:
    id = await engine.create("frozen", ["sleep", "600"])
    await engine.containers.start(id)
    await engine.containers.pause(id)
    assert engine.containers.get(id).state.status is Status.PAUSED
    with pytest.raises(Conflict, match="is paused, unpause the container before exec"):
        await engine.execute(id, ["true"])
    await engine.containers.unpause(id)
    assert await engine.execute(id, ["true"]) == (0, "")


async def test_exec_carries_streams_codes_and_terminals(engine: Engine) -> None:
    id = await engine.create("busy", ["sleep", "600"])
    await engine.containers.start(id)

    assert await engine.execute(id, ["sh", "-c", "echo hi; exit 5"]) == (5, "hi\n")
    code, output = await engine.execute(id, ["nosuch"])
    assert code == 127
    assert output.startswith("OCI runtime exec failed: exec failed: ")
    # crun 1.8 tells the terminal its size a moment after the program has begun.
    script = "until stty size 2>&1 | grep -q '^30'; do sleep 0.02; done; stty size"
    command = ["sh", "-c", script]
    code, output = await engine.execute(id, command, tty=True, console_size=[30, 100])
    assert (code, output) == (0, "30 100\r\n")
    code, output = await engine.execute(id, ["id"], user="web")
    assert output == "uid=1000(web) gid=1000(web) groups=50(extra),1000(web)\n"


async def test_all_that_is_written_to_a_terminal_arrives(engine: Engine) -> None:
    id = await engine.create("busy", ["sleep", "600"])
    await engine.containers.start(id)
    for _ in range(6):
        runs = [engine.execute(id, ["echo", "said"], tty=True) for _ in range(8)]
        assert await asyncio.gather(*runs) == [(0, "said\r\n")] * 8


async def test_restart_policy_counts_and_gives_up(engine: Engine) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    id = await engine.create("flaky", ["false"], RestartPolicy=policy)
    await engine.containers.start(id)
    container = engine.containers.get(id)
    while container.state.status is not Status.EXITED:
        assert await engine.containers.wait(id) == 1  # each end is one
    assert (container.restart_count, container.state.status) == (2, Status.EXITED)


async def test_auto_remove_leaves_nothing(engine: Engine) -> None:
    id = await engine.create("brief", ["true"], AutoRemove=True, Volumes={"/data": {}})
    removed = engine.containers.waiter(id, "removed")
    await engine.containers.start(id)
    assert await asyncio.wait_for(removed, 60) == 0
    assert isinstance(await refused(engine.containers.start(id)), NotFound)
    assert engine.volumes.list() == []


async def test_auto_remove_of_what_cannot_be_started(engine: Engine) -> None:
    """It is gone when the failure is told."""
    id = await engine.create("broken", ["/no-such"], AutoRemove=True, Volumes={"/data": {}})
    removed = engine.containers.waiter(id, "removed")
    assert "no such file" in (await refused(engine.containers.start(id))).message
    assert removed.done()
    assert engine.containers.list() == []
    assert engine.volumes.list() == []


async def test_health_follows_the_probe(engine: Engine) -> None:
    check = {"Test": ["CMD-SHELL", "cat /ok"], "Interval": 50_000_000, "Retries": 2}
    script = "sleep 0.3; touch /ok; sleep 1000"
    id = await engine.create("checkup", ["sh", "-c", script], Healthcheck=check)
    await engine.containers.start(id)
    health = engine.containers.get(id).state.health
    assert health is not None
    await until(lambda: health.status == "healthy")
    await engine.execute(id, ["sh", "-c", "/bin/busybox rm /ok"])
    await until(lambda: health.status == "unhealthy")
    await until(lambda: "No such file" in health.log[-1].output)
    actions = [event.action for event in engine.events.kept()]
    assert "health_status: healthy" in actions
    assert "health_status: unhealthy" in actions


async def test_limits_and_security_reach_the_kernel(engine: Engine) -> None:
    pattern = "^(CapEff|Seccomp|NoNewPrivs):"
    code, output = await engine.run(["grep", "-E", pattern, "/proc/self/status"])
    assert code == 0
    assert output.split() == ["CapEff:", "00000000a80425fb", "NoNewPrivs:", "0", "Seccomp:", "2"]
    code, output = await engine.run(
        ["cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"],
        Memory=64 << 20,
    )
    assert str(64 << 20) in output.split()
    code, _ = await engine.run(["touch", "/file"], ReadonlyRootfs=True)
    assert code == 1
    assert await engine.run(["cat", "/proc/interrupts"]) == (0, "")  # masked


async def test_an_out_of_memory_kill_is_told(engine: Engine) -> None:
    eat = "x=a; while :; do x=$x$x; done"
    id = await engine.create("greedy", ["sh", "-c", eat], Memory=8 << 20)
    await engine.containers.start(id)
    assert await engine.containers.wait(id) == 137
    assert engine.containers.get(id).state.oom_killed


async def test_volumes_start_with_the_images_content(engine: Engine) -> None:
    host = engine.config.data_root / "made-here"
    code, output = await engine.run(
        ["sh", "-c", "cat /srv/hello; ls -d /host; touch /host/x"],
        Binds=["data:/srv", f"{host}:/host:ro"],
    )
    assert output.startswith("from the image/host\n")
    assert code == 1
    assert host.is_dir()
    mount = {"Type": "bind", "Source": "/nowhere/at/all", "Target": "/x"}
    error = await refused(engine.create("none", ["true"], Mounts=[mount]))
    assert error.message == (
        'invalid mount config for type "bind": bind source path does not exist: /nowhere/at/all'
    )
    assert engine.containers.list() == []


async def test_logs_follow_to_the_end_and_tail_from_it(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done"
    id = await engine.create("chatty", ["sh", "-c", script])
    await engine.containers.start(id)
    assert await asyncio.wait_for(engine.output(id, follow=True), 60) == "1\n2\n3\n4\n5\n"
    assert await engine.output(id, tail=2) == "4\n5\n"
    assert await engine.output(id, tail=0) == ""


async def test_attached_input_reaches_the_program(engine: Engine) -> None:
    id = await engine.create("reader", ["cat"], OpenStdin=True, StdinOnce=True)
    await engine.containers.start(id)
    stream = await engine.containers.attach(id)
    await stream.write(b"typed\n")
    assert await asyncio.wait_for(stream.read(), 60) == (1, b"typed\n")
    await stream.close_stdin()
    assert await asyncio.wait_for(engine.containers.wait(id), 60) == 0
    await stream.close()


async def test_fifty_start_together(engine: Engine) -> None:
    async def one(number: int) -> None:
        id = await engine.create(f"many-{number}", ["sleep", "600"])
        await engine.containers.start(id)

    await asyncio.gather(*(one(number) for number in range(50)))
    assert all(container.pid for container in engine.containers.list())
    fds = len(os.listdir("/proc/self/fd"))
    await engine.clear()
    await until(lambda: len(os.listdir("/proc/self/fd")) <= fds - 50)


async def test_a_removal_that_failed_is_done_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await engine.create("one", ["sleep", "600"], Volumes={"/data": {}})
    await engine.containers.start(id)

    def fail(kind: str, id: str) -> None:
        raise Internal("state: cannot be read or written: database or disk is full")

    with monkeypatch.context() as full_disk:
        full_disk.setattr(engine.state, "delete", fail)
        error = await refused(engine.containers.remove(id, force=True, volumes=True))
    assert "disk is full" in error.message
    await engine.containers.remove(id, volumes=True)
    assert engine.containers.list() == []
    assert engine.volumes.list() == []


async def test_a_forced_removal_comes_after_a_start_under_way(engine: Engine) -> None:
    """In between, the container is neither stopped nor running."""
    ids = []
    for delay_s in (0, 0.005, 0.02, 0.05):
        id = await engine.create("brief", ["sleep", "600"])
        start = asyncio.ensure_future(engine.containers.start(id))
        await asyncio.sleep(delay_s)
        await engine.containers.remove(id, force=True)
        await asyncio.gather(start, return_exceptions=True)
        assert engine.networks.sandbox(id) is None
        ids.append(id)
    await until(lambda: not any(id in line for line in engine.leftovers() for id in ids))


async def test_a_kill_for_want_of_memory_is_told_at_once(engine: Engine) -> None:
    """Though the container goes on. The kernel may notify of one shortage several times."""
    script = "head -c 100m /dev/zero | tail -n 1 >/dev/null; until [ -e /go ]; do sleep 0.05; done"
    id = await engine.create("tight", ["sh", "-c", script], Memory=8 << 20, MemorySwap=8 << 20)

    def told() -> list[str]:
        return [event.action for event in engine.events.kept() if event.id == id]

    await engine.containers.start(id)
    await until(lambda: "oom" in told())
    assert "die" not in told()
    pid = engine.containers.get(id).pid
    Path(f"/proc/{pid}/root/go").touch()
    await engine.containers.wait(id)
    assert "oom" in told()[: told().index("die")]
    assert engine.containers.get(id).state.oom_killed
