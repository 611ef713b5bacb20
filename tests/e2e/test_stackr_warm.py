"""The warm process: a command run by a worker is as the command itself, and nothing is in its way.

Each test has a run folder of its own, so that its server is nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from polling import until
from pty_process import on_terminal
from stackr_stack import STACKR, Stack

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

_LIMIT_S = 120.0


@dataclass
class Warm:
    """Runs `stackr` where a server of the test's own is there."""

    folder: Path
    environ: dict[str, str]

    def __call__(
        self, *arguments: str, want: int | None = 0, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        settings: dict[str, Any] = {"cwd": self.folder, "env": self.environ, **options}
        done = subprocess.run(
            [STACKR, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            **settings,
        )
        assert want is None or done.returncode == want, done.stdout + done.stderr
        return done

    def servers(self) -> list[int]:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from stackr.warm import launch; print(launch.running_servers())",
            ],
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return [int(word) for word in done.stdout.strip("[]\n").split(",") if word]

    def is_warm(self, *arguments: str, **options: Any) -> bool:
        """Whether a command is run by the server: it says so where it is not."""
        environ = {**self.environ, "STACKR_DEBUG": "1", **options.pop("env", {})}
        return "declines" not in self(*arguments, env=environ, want=None, **options).stderr


def _begin(folder: Path, runtime: str) -> Warm:
    """A server in `runtime`, and a stack file in `folder`."""
    (folder / "compose.yaml").write_text("services: {a: {image: 'i:1', command: [\"$WORD\"]}}\n")
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("COMPOSE_", "DOCKER_"))},
        "XDG_RUNTIME_DIR": runtime,
        "STACKR_WARM": "1",
    }
    made = Warm(folder, environ)
    made("config", "-q")
    until(lambda: made.servers() != [])
    return made


def _end(warm: Warm) -> None:
    """Also one that has just begun, and listens later."""

    def are_gone() -> bool:
        for pid in warm.servers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return not list(Path(warm.environ["XDG_RUNTIME_DIR"]).glob("stackr-warm/*"))

    until(are_gone)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with tempfile.TemporaryDirectory(prefix="stackr-warm-") as runtime:
        made = _begin(tmp_path_factory.mktemp("warm"), runtime)
        yield made
        _end(made)


@pytest.fixture
def warm(shared: Warm, tmp_path: Path) -> Warm:
    """A folder of the test's own, and the server that all tests share, which stays."""
    shutil.copy(shared.folder / "compose.yaml", tmp_path)
    return Warm(tmp_path, shared.environ)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Warm]:
    """A server that the test may kill."""
    with tempfile.TemporaryDirectory(prefix="stackr-warm-") as runtime:
        made = _begin(tmp_path, runtime)
        yield made
        _end(made)


def test_what_a_command_sees_is_the_callers(warm: Warm) -> None:
    """Arguments, environment, folder, umask, limits, priority, locale and time zone."""
    [server] = warm.servers()
    for word in ("one", "two"):
        done = warm("config", env={**warm.environ, "WORD": word})
        assert f"- {word}" in done.stdout
    other = warm.folder / "other"
    other.mkdir()
    (other / "compose.yaml").write_text("services: {b: {image: 'j:2'}}\n")
    assert "image: j:2" in warm("config", cwd=other).stdout

    def before() -> None:
        os.umask(0o027)
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 256))
        os.nice(3)

    kept = warm.folder / "kept.yaml"
    assert warm.is_warm("config", "-o", str(kept), preexec_fn=before)
    assert kept.stat().st_mode & 0o777 == 0o640
    assert warm.servers() == [server]


def test_exit_codes_and_both_streams(warm: Warm) -> None:
    done = warm("config", "--frmat", want=1)
    assert (done.stdout, "no such option" in done.stderr) == ("", True)
    assert warm("config", "--services").stdout == "a\n"


def test_descriptors_that_the_shell_has_opened(warm: Warm) -> None:
    command = f"{STACKR} -f <(echo 'services: {{z: {{image: y}}}}') config --services"
    done = subprocess.run(
        ["bash", "-c", command], env=warm.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "z\n"


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams(warm: Warm, closed: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{STACKR} config {closed}"],
        cwd=warm.folder,
        env=warm.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("image" in done.stdout) == ("1>&-" not in closed)


def test_a_reader_that_goes_away_is_silent(warm: Warm) -> None:
    services = "".join(f"  s{n}: {{image: 'i:1'}}\n" for n in range(3000))
    (warm.folder / "compose.yaml").write_text(f"services:\n{services}")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {STACKR} config | head -1"],
        cwd=warm.folder,
        env=warm.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("name:")


def test_a_folder_that_is_gone(warm: Warm) -> None:
    gone = warm.folder / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["bash", "-c", f"cd {gone} && rmdir {gone} && {STACKR} config"],
        env=warm.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the current folder does not exist any more" in done.stderr


@pytest.fixture
def logs(warm: Warm, stack: Stack) -> Stack:
    """A stack whose service writes all the time; its commands are warm."""
    return _writing(stack, warm)


def _writing(stack: Stack, warm: Warm) -> Stack:
    stack.environ |= {name: warm.environ[name] for name in ("XDG_RUNTIME_DIR", "STACKR_WARM")}
    stack.write(
        """
        services:
          web:
            image: ${IMAGE}
            init: true
            command: [sh, -c, "while :; do echo tick; sleep 0.1; done"]
        """
    )
    stack("up", "-d")
    return stack


def _worker_of(process: subprocess.Popen[str], warm: Warm) -> int:
    """The server's child that was begun for this caller: it leads a group of its own."""
    [server] = warm.servers()
    found: list[int] = []

    def is_there() -> bool:
        text = Path(f"/proc/{server}/task/{server}/children").read_text()
        children = [int(word) for word in text.split()]
        found[:] = [child for child in children if os.getpgid(child) == child]
        return len(found) == 1

    until(is_there)
    return found[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_in_order(warm: Warm, logs: Stack, number: signal.Signals) -> None:
    process = logs.start("logs", "-f")
    assert process.stdout is not None
    assert "tick" in process.stdout.readline()
    process.send_signal(number)
    assert process.wait(_LIMIT_S) == 130


def test_a_killed_caller_takes_its_worker_along(warm: Warm, logs: Stack) -> None:
    process = logs.start("logs", "-f")
    assert process.stdout is not None
    process.stdout.readline()
    worker = os.pidfd_open(_worker_of(process, warm))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    until(lambda: _has_ended(worker))
    os.close(worker)
    assert len(warm.servers()) == 1


def test_a_killed_worker_is_the_commands_death(warm: Warm, logs: Stack) -> None:
    process = logs.start("logs", "-f")
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(_worker_of(process, warm), signal.SIGKILL)
    assert process.wait(_LIMIT_S) == -signal.SIGKILL
    logs("ps")


def test_a_killed_server_leaves_its_workers(own: Warm, stack: Stack) -> None:
    logs = _writing(stack, own)
    process = logs.start("logs", "-f")
    assert process.stdout is not None
    process.stdout.readline()
    [server] = own.servers()
    os.kill(server, signal.SIGKILL)
    until(lambda: own.servers() == [])
    for _ in range(3):
        assert "tick" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(_LIMIT_S) == 130
    logs("ps")  # runs by itself, and has a new server come
    until(lambda: own.servers() not in ([], [server]))


def _has_ended(pidfd: int) -> bool:
    import select

    return bool(select.select([pidfd], [], [], 0)[0])


def test_on_a_terminal(warm: Warm, logs: Stack) -> None:
    """Its size and its changes, raw keys, and Ctrl-C by the terminal."""
    with on_terminal(logs, "exec", "web", "sh", rows=21, columns=77) as shell:
        shell.until_raw()
        shell.type(b"stty size\n")
        shell.read_until(b"21 77")
        shell.resize(33, 99)
        shell.type(b"sleep 0.3; stty size\n")
        shell.read_until(b"33 99")
        shell.type(b"exit 7\n")
        assert shell.wait() == 7


def test_ctrl_z_stops_it_and_fg_goes_on(warm: Warm, logs: Stack) -> None:
    with on_terminal(logs, "--norc", "-i", program="bash") as shell:
        shell.type(f"{STACKR} logs -f --tail 1\n".encode())
        shell.read_until(b"tick", count=2)
        shell.type(b"\x1a")
        shell.read_until(b"Stopped")
        shell.type(b"echo is-$((1+1))-free\n")
        shell.read_until(b"is-2-free")
        shell.type(b"fg\n")
        shell.read_until(b"tick", count=shell.seen.count(b"tick") + 2)
        shell.type(b"\x03")
        shell.type(b"echo code-$?\n")
        shell.read_until(b"code-130")


def test_changed_code_is_never_run_by_an_old_server(own: Warm, tmp_path: Path) -> None:
    """An installation of the test's own, of which one file changes under the server."""
    copy = tmp_path / "site"
    package = Path(sys.modules["stackr"].__file__ or "").parent
    shutil.copytree(package, copy / "stackr", ignore=shutil.ignore_patterns("__pycache__"))
    environ = {**own.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "stackr", "version", "--short"]

    def shown() -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    first = shown()
    until(lambda: len(own.servers()) == 2)
    assert shown() == first
    version = copy / "stackr/version.py"
    version.write_text(version.read_text().replace(f'"{first}"', '"9.9.9"'))
    assert shown() == "9.9.9"
    until(lambda: len(own.servers()) == 1 or shown() == "9.9.9")
    assert shown() == "9.9.9"


@pytest.mark.parametrize(
    ("prefix", "is_warm"),
    [
        (["env"], True),
        (["nice", "-n", "5"], True),
        (["unshare", "--net"], False),
        (["unshare", "--mount"], False),
        (["setpriv", "--no-new-privs"], False),
        (["setpriv", "--bounding-set", "-net_raw"], False),
        (["chroot", "/proc/self/root"], True),
    ],
)
def test_a_caller_with_other_powers_or_another_view_runs_by_itself(
    warm: Warm, prefix: list[str], is_warm: bool
) -> None:
    environ = {**warm.environ, "STACKR_DEBUG": "1", "WORD": "right"}
    done = subprocess.run(
        [*prefix, STACKR, "-f", str(warm.folder / "compose.yaml"), "config"],
        env=environ,
        cwd=warm.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "right" in done.stdout
    assert ("declines" not in done.stderr) == is_warm


def test_limits_that_a_worker_cannot_have(tmp_path: Path) -> None:
    """A server's hard limits are its workers': who has higher ones runs the command itself."""
    (tmp_path / "compose.yaml").write_text("services: {a: {image: 'i:1'}}\n")
    powerless = ["setpriv", "--inh-caps", "-sys_resource", "--bounding-set", "-sys_resource"]
    with tempfile.TemporaryDirectory(prefix="stackr-warm-") as runtime:
        environ = {**os.environ, "XDG_RUNTIME_DIR": runtime, "STACKR_WARM": "1"}
        warm = Warm(tmp_path, environ | {"STACKR_DEBUG": "1"})

        def run(files: int) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["prlimit", f"--nofile={files}:{files}", *powerless, STACKR, "config"],
                env=warm.environ,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=True,
            )

        try:
            assert "image: i:1" in run(800).stdout
            until(lambda: warm.servers() != [])
            for files, is_warm in ((800, True), (900, False)):
                done = run(files)
                assert "image: i:1" in done.stdout
                assert ("declines" not in done.stderr) == is_warm
        finally:
            _end(warm)


def test_a_folder_that_is_not_ours_alone_is_not_used(own: Warm) -> None:
    folder = Path(own.environ["XDG_RUNTIME_DIR"]) / "stackr-warm"
    folder.chmod(0o755)
    try:
        assert own.servers() == []
        own("config", "-q")
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("folder", ["/nonexistent/run", "/proc", "relative"])
def test_no_run_folder_is_only_slower(warm: Warm, folder: str) -> None:
    environ = {**warm.environ, "XDG_RUNTIME_DIR": folder, "WORD": "x"}
    if folder == "relative":
        environ["STACKR_WARM"] = "0"  # the default place is the host's own
    assert "- x" in warm("config", env=environ).stdout


def test_another_user_is_not_served(warm: Warm) -> None:
    """The folder keeps them out; a socket that is handed to them would not serve them either."""
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", STACKR, "version"],
        env={**warm.environ, "STACKR_DEBUG": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "declines" not in done.stderr  # it was not even asked


def test_it_is_off_where_that_is_said_and_ends_with_the_engine(own: Warm) -> None:
    [server] = own.servers()
    cold = {**own.environ, "STACKR_WARM": "0", "WORD": "cold"}
    assert "- cold" in own("config", env=cold).stdout
    assert "off: STACKR_WARM=0" in own("version", env=cold).stdout
    assert f"pid {server}" in own("version").stdout
    with tempfile.TemporaryDirectory() as folder:
        roots = ("--data-root", f"{folder}/data", "--exec-root", f"{folder}/run")
        own("engine", "stop", *roots)
    until(lambda: server not in own.servers())


def test_two_at_once_start_one_server(own: Warm) -> None:
    for pid in own.servers():
        os.kill(pid, signal.SIGTERM)
    until(lambda: own.servers() == [])
    started = [
        subprocess.Popen([STACKR, "config", "-q"], cwd=own.folder, env=own.environ)
        for _ in range(4)
    ]
    assert [process.wait(_LIMIT_S) for process in started] == [0] * 4
    until(lambda: len(own.servers()) == 1)
    [server] = own.servers()
    time.sleep(0.5)  # the others have lost by now, or were about to bind
    assert own.servers() == [server]


def test_what_a_server_holds(warm: Warm) -> None:
    """Workers leave nothing in it; one child waits for the next caller."""
    [server] = warm.servers()

    def held() -> tuple[int, int]:
        """How many descriptors, and whether the only child is the one that waits: 0 or 1."""
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        spares = [child for child in children if os.getpgid(int(child)) != int(child)]
        return len(os.listdir(f"/proc/{server}/fd")), int(len(children) == len(spares) == 1)

    def settled() -> tuple[int, int] | None:
        """What it holds, once that has not changed for a moment."""
        seen = held()
        time.sleep(0.2)
        return seen if seen[1] and held() == seen else None

    before = until(settled)
    for _ in range(5):
        warm("config", "-q")
    until(lambda: held() == before)
