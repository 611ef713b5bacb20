"""The daemon's life: start, second start, stop, kill, adoption, and what is left at the end."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from killed_daemon import kill_daemon, kill_process
from open_files import many_descriptors
from polling import until

from stackr.errors import Unavailable
from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running, is_running, log_path
from stackr.runtime.engine.lock import DataRootLock, holder
from stackr.runtime.engine.records import VERSION_FIELD
from stackr.runtime.engine.state import State

pytestmark = pytest.mark.root

NewEngine = Callable[[], EngineConfig]
_DEADLINE_S = 60.0


def _client(config: EngineConfig) -> Any:
    return docker.DockerClient(base_url=f"unix://{config.socket}", version="1.47", timeout=60)


def test_concurrent_starters_start_one_daemon(new_engine: NewEngine) -> None:
    config = new_engine()
    control.stop(config, timeout_s=_DEADLINE_S)
    assert not is_running(config)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ensure_running, [config] * 8))
    pid = holder(config.data_root)
    assert pid is not None
    ensure_running(config)
    assert holder(config.data_root) == pid


def test_a_data_root_in_use_is_refused(new_engine: NewEngine, tmp_path: Path) -> None:
    config = new_engine()
    with pytest.raises(Unavailable, match=f"is in use by process {holder(config.data_root)}"):
        DataRootLock.acquire(config.data_root, timeout_s=0)


def test_a_failed_start_says_why(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    connection = sqlite3.connect(data / "state.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    config = EngineConfig.at(data, tmp_path / "run")
    with pytest.raises(Unavailable, match=r"state .*: version 99 is newer than this stackr"):
        ensure_running(config)
    assert not is_running(config)
    assert holder(data) is None


@pytest.mark.parametrize("kind", ["image", "image_name", "layer", "snapshot"])
def test_what_others_stand_on_is_newer(tmp_path: Path, kind: str) -> None:
    """Without it, it could not be told what may be deleted."""
    data = tmp_path / "data"
    data.mkdir()
    state = State.open(data / "state.db")
    newer = {VERSION_FIELD: 2, "layers": []}
    state.put(kind, "newer", newer)
    state.close()
    config = EngineConfig.at(data, tmp_path / "run")
    with pytest.raises(Unavailable, match=f"{kind} newer: its record is of version 2, and this"):
        ensure_running(config)
    state = State.open(data / "state.db")
    assert state.get(kind, "newer") == newer
    state.close()


def test_only_root_starts_and_connects(new_engine: NewEngine, tmp_path: Path) -> None:
    config = new_engine()
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from stackr.errors import PermissionDenied\n"
        "from stackr.runtime.engine.config import EngineConfig\n"
        "from stackr.runtime.engine.launch import ensure_running\n"
        "config = EngineConfig.at(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: ensure_running(config)\n"
        "except PermissionDenied as error: print(error)\n"
    )

    def as_nobody(data: Path, run: Path) -> str:
        argv = [sys.executable, "-c", code, str(data), str(run)]
        return subprocess.run(
            argv, check=True, capture_output=True, text=True, timeout=_DEADLINE_S
        ).stdout

    os.chmod(config.exec_root.parent.parent, 0o755)
    os.chmod(config.exec_root.parent, 0o755)
    assert "permission denied on its socket" in as_nobody(config.data_root, config.exec_root)
    assert "only root may start it" in as_nobody(Path("/nowhere/d"), Path("/nowhere/r"))


def test_a_socket_that_somebody_removed_is_there_again(new_engine: NewEngine) -> None:
    """With the daemon that had it, and with the lock that somebody removed as well."""
    config = new_engine()
    pid = holder(config.data_root)
    lock = config.data_root / "engine.lock"
    removed: tuple[tuple[Callable[[], object], ...], ...] = (
        (config.socket.unlink,),
        (partial(shutil.rmtree, config.exec_root),),
        (lock.unlink, config.socket.unlink),
        (lock.unlink, lock.touch, config.socket.unlink),
    )
    for removals in removed:
        for remove in removals:
            remove()
        assert holder(config.data_root) == pid
        assert not is_running(config)
        with many_descriptors():  # as in a large program that uses stackr
            ensure_running(config)
        assert is_running(config)
        assert holder(config.data_root) == pid
    assert lock.read_text() == f"{pid}\n"
    log_path(config).touch()


def test_a_data_root_whose_lock_was_removed_is_in_use(new_engine: NewEngine) -> None:
    config = new_engine()
    pid = holder(config.data_root)
    (config.data_root / "engine.lock").unlink()
    with pytest.raises(Unavailable, match=f"is in use by process {pid}"):
        DataRootLock.acquire(config.data_root, timeout_s=0)
    assert control.stop(config, timeout_s=_DEADLINE_S)
    assert holder(config.data_root) is None


def test_a_daemon_whose_data_root_was_removed_can_be_stopped(new_engine: NewEngine) -> None:
    config = new_engine()
    pid = holder(config.data_root)
    shutil.rmtree(config.data_root)
    assert holder(config.data_root) is None
    assert control.status(config).pid == pid
    assert control.stop(config, timeout_s=_DEADLINE_S)
    assert not is_running(config)


def test_another_program_that_reads_the_records_is_no_daemon(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("BEGIN EXCLUSIVE")
    look = "import sys; from pathlib import Path; from stackr.runtime.engine.lock import holder; "
    argv = [sys.executable, "-c", f"{look}print(holder(Path(sys.argv[1])))", str(tmp_path)]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_DEADLINE_S)
    assert told.stdout == "None\n"
    connection.close()


def test_containers_outlive_a_stop_and_a_kill(new_engine: NewEngine, busybox_image: str) -> None:
    config = new_engine()
    client = _client(config)
    client.images.pull(busybox_image.rpartition(":")[0], tag="latest")
    script = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 9"
    counter = client.containers.run(
        busybox_image, ["sh", "-c", script], detach=True, ports={"80/tcp": ("127.0.0.1", None)}
    )
    counter.reload()
    pid, ports = counter.attrs["State"]["Pid"], counter.ports
    control.stop(config, timeout_s=_DEADLINE_S)
    assert not config.socket.exists()
    os.kill(pid, 0)
    ensure_running(config)
    counter.reload()
    assert (counter.status, counter.attrs["State"]["Pid"], counter.ports) == (
        "running",
        pid,
        ports,
    )
    kill_daemon(config)
    os.kill(pid, 0)
    ensure_running(config)
    counter.reload()
    assert (counter.status, counter.attrs["State"]["Pid"]) == ("running", pid)
    assert counter.exec_run(["true"]).exit_code == 0
    kill_daemon(config)
    Path(f"/proc/{pid}/root/stop").touch()
    until(lambda: not Path(f"/proc/{pid}").exists())
    ensure_running(config)

    def has_ended() -> bool:  # its monitor writes down the exit code a little later
        counter.reload()
        return bool(counter.status == "exited")

    until(has_ended)
    assert counter.attrs["State"]["ExitCode"] == 9
    lines = counter.logs().decode().split()
    assert lines == [str(number) for number in range(1, len(lines) + 1)]
    client.close()


def test_an_ended_container_is_restarted_by_policy_at_the_next_start(
    new_engine: NewEngine, busybox_image: str
) -> None:
    config = new_engine()
    client = _client(config)
    client.images.pull(busybox_image.rpartition(":")[0], tag="latest")
    kept = client.containers.run(
        busybox_image, ["sleep", "1000"], detach=True, restart_policy={"Name": "always"}
    )
    kept.reload()
    pid = kept.attrs["State"]["Pid"]
    kill_daemon(config)
    kill_process(pid)
    ensure_running(config)

    def is_up_again() -> bool:
        kept.reload()
        state = kept.attrs["State"]
        return bool(state["Running"] and state["Pid"] not in (0, pid))

    until(is_up_again)
    client.close()


def test_an_idle_engine_does_nothing(new_engine: NewEngine) -> None:
    config = new_engine()
    pid = holder(config.data_root)

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def is_idle() -> bool:
        before = ticks()
        time.sleep(1.5)
        return ticks() - before <= 1

    until(is_idle)  # what follows a start takes its time


def test_it_runs_in_the_foreground_and_tells_systemd(tmp_path: Path) -> None:
    notify = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(notify))
        listener.settimeout(_DEADLINE_S)
        argv = [sys.executable, "-m", "stackr.runtime.engine.daemon"]
        argv += ["--data-root", str(tmp_path / "d"), "--exec-root", str(tmp_path / "r")]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                argv, env={**os.environ, "NOTIFY_SOCKET": str(notify)}, stderr=log
            )
        try:
            assert listener.recv(100) == b"READY=1"
            assert is_running(EngineConfig.at(tmp_path / "d", tmp_path / "r"))
            process.terminate()
            assert listener.recv(100) == b"STOPPING=1"
            assert process.wait(_DEADLINE_S) == 0
        finally:
            process.kill()
            process.wait()


def _has_told(container: Any) -> bool:
    return len(container.logs().split()) == 2


def test_the_daemon_may_open_what_the_host_allows_and_containers_what_they_are_given(
    new_engine: NewEngine, busybox_image: str
) -> None:
    config = new_engine()
    control.stop(config, timeout_s=_DEADLINE_S)
    _, most = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, most))  # the shell's that starts it
    try:
        ensure_running(config)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    pid = holder(config.data_root)
    assert pid is not None
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (most, most)
    client = _client(config)
    client.images.pull(busybox_image.rpartition(":")[0], tag="latest")
    given, default = (64, 128), (min(most, 1 << 20),) * 2
    told = ["sh", "-c", "ulimit -Sn; ulimit -Hn; exec sleep 1000"]
    for ulimits, wanted in (([{"Name": "nofile", "Soft": 64, "Hard": 128}], given), ([], default)):
        container = client.containers.run(busybox_image, told, detach=True, ulimits=ulimits)
        until(partial(_has_told, container))
        inside = container.exec_run(["sh", "-c", "ulimit -Sn; ulimit -Hn"]).output
        for output in (container.logs(), inside):
            assert tuple(int(word) for word in output.split()) == wanted
    client.close()
