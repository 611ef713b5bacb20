"""`stackr test`, as a user types it: an environment of its own, and nothing left of it."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import private_dockerd
import pytest
from engine_request import request
from killed_daemon import kill_daemon
from pty_process import on_terminal
from stackr_stack import Stack, free_port, until

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running
from stackr.runtime.engine.lock import holder

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

_SUBNET = f"10.{random.randrange(200, 250)}.{random.randrange(16, 256)}"  # of this process alone
WEB = """\
    services:
      web:
        image: ${IMAGE}
        command: sh -c 'mkdir /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www'
        container_name: fixed-name
        ports: ["18080:80"]
        depends_on: {db: {condition: service_healthy}}
        healthcheck: {test: "wget -q -O- http://127.0.0.1/", interval: 100ms, retries: 10000}
      db:
        image: ${IMAGE}
        command: sleep 1000
        ports: ["127.0.0.1::5432", "53:53/udp"]
        healthcheck: {test: ["CMD", "test", "-d", "/data"], interval: 100ms}
        volumes: [data:/data, /anonymous]
        networks: {default: {ipv4_address: SUBNET.5}}
    networks:
      default: {ipam: {config: [{subnet: SUBNET.0/24}]}}
    volumes:
      data: {name: fixed-data}
    """.replace("SUBNET", _SUBNET)
SLEEP = "services: {web: {image: '${IMAGE}', command: sleep 1000, volumes: [/anonymous]}}"


def everything(engine: EngineConfig) -> list[str]:
    """The names of all that there is of any environment."""
    containers, networks, volumes = (
        request(engine.socket, "GET", path)[1]
        for path in ("/containers/json?all=1", "/networks", "/volumes")
    )
    return [
        *(container["Names"][0] for container in containers),
        *(net["Name"] for net in networks if net["Name"] not in ("bridge", "host", "none")),
        *(volume["Name"] for volume in volumes["Volumes"]),
    ]


def leases(engine: EngineConfig) -> list[dict[str, Any]]:
    found = request(engine.socket, "GET", "/stackr/v1/leases")[1]
    assert isinstance(found, list)
    return found


def expire(env: Env) -> None:
    """Let the time of the only lease run out now."""
    [lease] = leases(env.engine)
    path = f"/stackr/v1/leases/{lease['id']}/renew"
    assert request(env.engine.socket, "POST", path, {"ttl_s": 0.001})[0] == 200


@dataclass
class Env(Stack):
    """A stack, and what others had made before on its engine."""

    others: frozenset[str] = frozenset()

    def everything(self) -> list[str]:
        """The names of all that was made since."""
        return [name for name in everything(self.engine) if name not in self.others]


@pytest.fixture
def env(stack: Stack) -> Iterator[Env]:
    """A stack of which nothing is left in the end, by itself."""
    made = Env(stack.folder, stack.engine, stack.name, frozenset(everything(stack.engine)))
    made.environ = stack.environ
    yield made
    made.end()
    until(lambda: not leases(stack.engine), "the end of every lease")
    until(lambda: not made.everything(), "the end of what was being made for a killed command")


def script(text: str) -> tuple[str, ...]:
    """A command that is Python, as containers' ports are on this host."""
    return ("--", sys.executable, "-c", textwrap.dedent(text))


def started(env: Env, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A `stackr test` in the background whose command has begun, and says so on stdout."""
    process = env.start("test", *arguments, **options)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n", process.communicate()[1]
    return process


_WAIT = """\
    import signal, sys, time
    print("begun", flush=True)
    time.sleep(1000)
    """


def test_the_command_is_told_where_everything_answers(env: Env) -> None:
    env.write(WEB)
    done = env(
        "test",
        *script(
            """\
            import json, os, sys, urllib.request
            told = {k: v for k, v in os.environ.items() if k.startswith("STACKR_")}
            with urllib.request.urlopen(told["STACKR_WEB_80_URL"], timeout=60) as page:
                told["page"] = page.read().decode()
            print(json.dumps(told))
            sys.exit(7)
            """
        ),
        want=7,
    )
    told = json.loads(done.stdout)
    name = told["STACKR_PROJECT"]
    assert re.fullmatch(f"{env.name}-t-[0-9a-f]{{8}}", name)
    port = told["STACKR_WEB_80_PORT"]
    assert told["STACKR_WEB_80"] == f"127.0.0.1:{port}"
    assert told["STACKR_WEB_80_HOST"] == "127.0.0.1"
    assert told["STACKR_WEB_80_URL"] == f"http://127.0.0.1:{port}"
    assert told["STACKR_DB_5432_URL"].startswith("postgresql://127.0.0.1:")
    assert told["STACKR_DB_53_UDP_URL"].startswith("udp://127.0.0.1:")
    services = json.loads(told["STACKR_SERVICES"])
    assert set(services) == {"web", "db"}
    [web] = services["web"]
    assert told["page"].strip() == web["id"][:12]
    assert web["name"].startswith("fixed-name-t-")
    assert [each["port"] for each in web["ports"]] == [int(port)]
    assert services["db"][0]["health"] == "healthy"
    assert f"{name}: ready in" in done.stderr
    assert "note: network default: its subnet" in done.stderr
    assert re.search(
        rf"{name}: removed in [0-9.]+ s \(2 containers, 1 network, 1 volume\)", done.stderr
    )


def test_the_same_instance_gets_the_same_ports(env: Env) -> None:
    env.write(WEB)
    ports = {env("test", "--", "printenv", "STACKR_WEB_80").stdout for _ in range(2)}
    assert len(ports) == 1


def test_ten_environments_at_once(env: Env) -> None:
    env.write(WEB)
    (env.folder / "ports").mkdir()
    text = """\
        import json, os, time, urllib.request
        from pathlib import Path
        web = json.loads(os.environ["STACKR_SERVICES"])["web"][0]
        Path("ports", os.environ["STACKR_WEB_80_PORT"]).write_text(os.environ["STACKR_DB_5432"])
        deadline = time.monotonic() + 200
        while len(list(Path("ports").iterdir())) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        page = urllib.request.urlopen(os.environ["STACKR_WEB_80_URL"], timeout=60).read().decode()
        assert page.strip() == web["id"][:12], page
        """
    processes = [env.start("test", *script(text)) for _ in range(10)]
    told = [process.communicate(timeout=250) for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, told
    databases = {path.read_text() for path in (env.folder / "ports").iterdir()}
    assert len(databases) == 10


def test_two_engines_and_other_programs_share_the_hosts_ports(
    env: Env, tmp_path: Path, new_engine: Any, busybox_image: str
) -> None:
    """The same ports are preferred by both; who comes second takes others."""
    other = Stack(tmp_path, new_engine(), name=env.name)
    other.environ["IMAGE"] = busybox_image
    env.write(WEB)
    wait = """\
        import os, sys
        print(os.environ["STACKR_WEB_80_PORT"], flush=True)
        sys.stdin.readline()
        """
    processes = [each.start("test", *script(wait), stdin=-1) for each in (env, other)]
    ports = [int(process.stdout.readline()) for process in processes if process.stdout]
    assert len(set(ports)) == 2
    for process in processes:
        assert process.communicate("done\n", timeout=60)[0] == ""
        assert process.returncode == 0
    with socket.create_server(("127.0.0.1", min(ports))), socket.create_server(("", max(ports))):
        third = env("test", "--", "printenv", "STACKR_WEB_80_PORT").stdout
    assert int(third) not in ports


def test_a_killed_stackr_leaves_nothing(env: Env) -> None:
    env.write(WEB)
    process = started(env, *script(_WAIT))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.kill()
    process.communicate()
    until(lambda: not env.everything(), "the end of the environment")
    until(lambda: not Path(f"/proc/{children[0]}").exists(), "the end of the command")


def test_stackr_killed_while_it_brings_up_leaves_nothing(env: Env) -> None:
    env.write(WEB.replace("100ms", "60s, start_period: 60s"))
    for delay_s in (0.0, 0.1, 0.3):
        process = env.start("test", "--", "true")
        until(lambda: leases(env.engine))
        time.sleep(delay_s)
        process.kill()
        process.communicate()
        until(lambda: not leases(env.engine) and not env.everything())


def test_stackr_and_the_daemon_killed(tmp_path: Path, new_engine: Any, busybox_image: str) -> None:
    env = Env(tmp_path, new_engine())
    env.environ["IMAGE"] = busybox_image
    env.write(WEB)
    process = started(env, *script(_WAIT))
    kill_daemon(env.engine)
    process.kill()
    process.communicate()
    ensure_running(env.engine)
    until(lambda: not env.everything() and not leases(env.engine))


def test_the_daemon_killed_alone_is_started_again(
    tmp_path: Path, new_engine: Any, busybox_image: str
) -> None:
    env = Env(tmp_path, new_engine())
    env.environ["IMAGE"] = busybox_image
    env.write(WEB)
    daemon = holder(env.engine.data_root)
    assert daemon is not None
    done = env("test", "--", "kill", "-KILL", str(daemon))
    assert "removed in" in done.stderr
    assert env.everything() == []
    until(lambda: not leases(env.engine))


def test_time_is_limited(env: Env) -> None:
    env.write(SLEEP)
    done = env("test", "--timeout", "0.5", "--", "sleep", "100", want=124)
    assert "the command did not end within 0.5 s" in done.stderr
    for ttl in ("3s", "30s"):  # of all, also of what comes before the command
        done = env("test", "--ttl", ttl, "--", "sleep", "100", want=None)
        if "ready in" in done.stderr:
            break
    assert done.returncode == 124
    assert "did not end within" in done.stderr
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(100)"
    done = env("test", "--timeout", "500ms", "--", sys.executable, "-c", stubborn, want=124)
    assert "removed in" in done.stderr


def test_the_engine_ends_what_outlives_its_time(env: Env) -> None:
    """Even where stackr itself does not move any more."""
    env.write(SLEEP)
    process = started(env, "--ttl", "1h", *script(_WAIT))
    process.send_signal(signal.SIGSTOP)
    expire(env)
    until(lambda: not env.everything(), "the end of the environment")
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command_and_removes_all(env: Env, number: signal.Signals) -> None:
    env.write(SLEEP)
    process = started(
        env,
        *script(
            f"""\
            import signal, sys, time
            signal.signal({number}, lambda *_: (print("told", flush=True), sys.exit(5)))
            print("begun", flush=True)
            time.sleep(1000)
            """
        ),
    )
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == "told\n"
    assert "removed in" in err
    assert "timeline" not in err


def test_a_second_signal_does_not_wait_for_the_command(env: Env) -> None:
    env.write(SLEEP)
    process = started(
        env,
        *script(
            """\
            import signal, time
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            print("begun", flush=True)
            time.sleep(1000)
            """
        ),
    )
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_signal_while_it_comes_up(env: Env) -> None:
    env.write(WEB.replace("100ms", "60s, start_period: 60s"))
    process = env.start("test", "--", "true")
    until(lambda: len(env.everything()) > 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted" in err


def test_ctrl_c_on_a_terminal(env: Env) -> None:
    """It reaches the command by the terminal, once, and the terminal is as it was."""
    env.write(SLEEP)
    command = """\
        import signal, sys, time
        try: print("begun", flush=True); time.sleep(1000)
        except KeyboardInterrupt: print("first", flush=True); time.sleep(0.5); sys.exit(0)
        """
    with on_terminal(env, "test", *script(command)) as process:
        before = termios.tcgetattr(process.terminal)
        process.read_until(b"begun")
        process.type(b"\x03")
        assert b"first" in process.read_until(b"removed in")
        assert process.wait() == 130
        assert termios.tcgetattr(process.terminal) == before


def test_it_is_kept_when_asked(env: Env) -> None:
    env.write(WEB)
    done = env("test", "--keep", "--print-env", "json")
    told = json.loads(done.stdout)
    name = told["STACKR_PROJECT"]
    assert f"kept; to remove it: stackr down -v -p {name}" in done.stderr
    assert len(env.everything()) == 5
    assert leases(env.engine) == []
    port = int(told["STACKR_WEB_80_PORT"])
    assert env("port", "-p", name, "web", "80").stdout.strip().endswith(f":{port}")
    env("down", "-v", "-t", "0", "-p", name)


def test_a_failure_is_kept_when_asked(env: Env) -> None:
    env.write(SLEEP)
    assert "removed in" in env("test", "--keep-on-failure", "--", "true").stderr
    done = env("test", "--keep-on-failure", "--", "false", want=1)
    told = re.search(r"stackr down -v -p (\S+)", done.stderr)
    assert told is not None
    assert len(env.everything()) == 3
    env("down", "-v", "-t", "0", "-p", told[1])


def test_what_is_kept_for_a_time_goes_then(env: Env) -> None:
    env.write(SLEEP)
    done = env("test", "--keep", "--ttl", "1h", "--", "true")
    assert "kept until 20" in done.stderr
    assert len(env.everything()) == 3
    [lease] = leases(env.engine)
    assert f"kept until {lease['expires']}" in done.stderr
    assert lease["owner"] is None
    expire(env)
    until(lambda: not env.everything(), "the end of the environment")


def test_variables_in_files(env: Env) -> None:
    env.write(WEB)
    printed = env("test", "--ports-file", "p.env", "--print-env", "dotenv", "--", "true").stdout
    assert (env.folder / "p.env").read_text() == printed
    read = subprocess.run(
        ["sh", "-c", ". ./p.env; echo $STACKR_WEB_80; echo $STACKR_SERVICES"],
        cwd=env.folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert f"STACKR_WEB_80={read[0]}\n" in printed
    assert json.loads(read[1])["web"][0]["ports"][0]["port"] == int(read[0].split(":")[1])
    env("test", "--ports-file", "p.json", "--", "true")
    told = json.loads((env.folder / "p.json").read_text())
    assert told["STACKR_SERVICES"]["web"][0]["number"] == 1
    done = env("test", "--ports-file", "/dev/null/x", "--", "true", want=125)
    assert "cannot write /dev/null/x: file exists" in done.stderr


def test_a_stack_that_knows_its_own_host_port(env: Env) -> None:
    env.write(
        """\
        services:
          broker:
            image: ${IMAGE}
            command: sleep 1000
            ports: ["9092:9092"]
            environment: {ADVERTISED: "localhost:${STACKR_BROKER_9092_PORT:-9092}"}
        """
    )
    text = (
        "stackr exec -T -p $STACKR_PROJECT broker env"
        " | grep -qx ADVERTISED=localhost:$STACKR_BROKER_9092_PORT"
    )
    env.environ["PATH"] = f"{Path(sys.executable).parent}:{env.environ['PATH']}"
    env("test", "--", "sh", "-c", text)


def test_a_port_may_stay_fixed(env: Env) -> None:
    port = free_port()
    env.write(WEB.replace("18080", str(port)))
    options = ("--fixed-port", "web:80", "--fixed-subnet", "default")
    done = env("test", *options, "--", "printenv", "STACKR_WEB_80_PORT")
    assert done.stdout.strip() == str(port)
    assert "its subnet" not in done.stderr
    done = env("test", "--fixed-port", "web:81", "--", "true", want=1)
    assert 'service "web" publishes no port 81' in done.stderr


def test_several_containers_of_a_service(env: Env) -> None:
    env.write(
        """\
        services:
          my.web-app:
            image: ${IMAGE}
            command: sleep 1000
            ports: ["8080:80"]
            scale: 3
          my_web.app: {image: "${IMAGE}", command: sleep 1000, ports: ["80", "81"]}
        """
    )
    done = env("test", *script("import os, json; print(json.dumps(dict(os.environ)))"))
    told = json.loads(done.stdout)
    services = json.loads(told["STACKR_SERVICES"])
    ports = {each["number"]: each["ports"][0]["port"] for each in services["my.web-app"]}
    assert len(set(ports.values())) == 3
    numbered = {n: int(told[f"STACKR_MY_WEB_APP_{n}_80_PORT"]) for n in (1, 2, 3)}
    assert numbered == ports
    assert "STACKR_MY_WEB_APP_80" not in told
    assert "STACKR_MY_WEB_APP_80 would mean several ports, and is left out" in done.stderr
    assert "STACKR_MY_WEB_APP_81" in told


FAILING = """\
    services:
      web:
        image: ${IMAGE}
        command: sleep 1000
        environment: {API_TOKEN: tok-12345-secret, DATABASE: "postgres://app:hunter22@db/app"}
        depends_on: {db: {condition: service_healthy}}
      db:
        image: ${IMAGE}
        command: sh -c 'echo starting with tok-12345-secret; echo ::error::forged; :>/t; sleep 1000'
        environment: {POSTGRES_USER: postgres, POSTGRES_PASSWORD: postgres}
        healthcheck:
          test: until [ -e /t ]; do sleep 0.1; done; sleep 0.5; echo postgres refuses; exit 3
          interval: 100ms
          retries: 2
    """


def test_what_is_not_ready_is_explained(env: Env) -> None:
    env.write(FAILING)
    done = env("test", "--artifacts", "art", "--", "touch", "ran", want=125)
    assert not (env.folder / "ran").exists()
    summary = done.stderr
    assert re.search(r'not ready after [0-9.]+ s: service "db" is unhealthy', summary)
    assert 'root cause: service "db": is unhealthy' in summary
    assert "at compose.yaml:12:" in summary
    assert 'last health check exited 3: "postgres refuses"' in summary
    assert "| starting with ********" in summary
    assert re.search(r"\+ +[0-9.]+ s  db-1 is unhealthy|\+[0-9.]+ s  db-1 is unhealthy", summary)
    folder = env.folder / "art"
    found = {path.name for path in folder.iterdir()}
    assert found == {
        *(".stackr-test", "summary.txt", "findings.json", "junit.xml", "timeline.txt"),
        *("config.yaml", "plan.json", "state.json", "environment.env", "versions.json", "logs"),
        "command",
    }
    assert (folder / "summary.txt").read_text().splitlines()[0] in summary
    findings = json.loads((folder / "findings.json").read_text())
    assert [suspect["service"] for suspect in findings["suspects"]] == ["db"]
    assert {s["service"]: (bool(s["failure"]), s["skipped"]) for s in findings["services"]} == {
        "web": (False, "waits for db"),
        "db": (True, ""),
    }
    [log] = (folder / "logs").iterdir()
    lines = log.read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        "starting with ********",
        "::error::forged",
    ]
    state = json.loads((folder / "state.json").read_text())
    assert {container["State"]["Status"] for container in state["containers"]} == {
        "running",
        "created",
    }
    assert "DATABASE=postgres://app:********@db/app" in str(state)
    config = (folder / "config.yaml").read_text()
    assert "POSTGRES_USER: postgres" in config
    assert "POSTGRES_PASSWORD: '********'" in config
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["engine"]["api_version"]
    for path in folder.rglob("*"):
        if path.is_file():
            assert "tok-12345-secret" not in path.read_text(), path
            assert "hunter22" not in path.read_text(), path


def test_a_failed_command_is_explained_with_what_failed_meanwhile(env: Env) -> None:
    env.write(
        """\
        services:
          api:
            image: ${IMAGE}
            command: sh -c 'until [ -e /stop ]; do sleep 0.05; done; echo fatal; exit 9'
            depends_on: [cache]
          cache: {image: "${IMAGE}", command: sleep 1000}
        """
    )
    env.environ["PATH"] = f"{Path(sys.executable).parent}:{env.environ['PATH']}"
    text = (
        "stackr exec -T -p $STACKR_PROJECT api touch /stop;"
        " until stackr ps -a -p $STACKR_PROJECT --status exited -q | grep -q .; do sleep 0.1; done;"
        " exit 4"
    )
    done = env("test", "--artifacts", "art", "--", "sh", "-c", text, want=4)
    assert "the command exited with code 4 after" in done.stderr
    assert 'root cause: service "api": exited with code 9' in done.stderr
    assert "| fatal" in done.stderr
    assert "api-1 exited with code 9" in done.stderr
    [suite] = _suites(env.folder / "art" / "junit.xml")
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    done = env("test", "--artifacts", "art", "--", "true")
    assert {path.name for path in (env.folder / "art").iterdir()} == {
        *(".stackr-test", "junit.xml", "logs", "command"),
    }
    assert list((env.folder / "art" / "logs").iterdir()) == []
    [suite] = _suites(env.folder / "art" / "junit.xml")
    assert (suite.get("tests"), suite.get("failures")) == ("3", "0")


def _suites(path: Path) -> Any:
    from xml.etree.ElementTree import parse

    return list(parse(path).getroot())


def test_a_container_that_ends_at_once_is_no_readiness(env: Env) -> None:
    env.write(
        """\
        services:
          web: {image: "${IMAGE}", command: sleep 1000}
          broken:
            image: ${IMAGE}
            command: sh -c 'echo cannot; touch /shared/ends; exit 6'
            volumes: [shared:/shared]
          slow:
            image: ${IMAGE}
            command: sleep 1000
            depends_on: [broken]
            healthcheck:
              test: until [ -e /shared/ends ]; do sleep 0.1; done; sleep 3
              interval: 100ms
            volumes: [shared:/shared]
        volumes: {shared: }
        """
    )
    done = env("test", "--", "true", want=125)
    assert 'service "broken" exited with code 6' in done.stderr
    assert "| cannot" in done.stderr


def test_an_out_of_memory_kill_is_named(env: Env) -> None:
    env.write(
        """\
        services:
          web: {image: "${IMAGE}", command: sleep 1000, depends_on: [greedy]}
          greedy:
            image: ${IMAGE}
            command: sh -c 'echo hungry; until [ -e /go ]; do sleep 0.1; done; exec tail /dev/zero'
            mem_limit: 16m
            memswap_limit: 16m
        """
    )
    env.environ["PATH"] = f"{Path(sys.executable).parent}:{env.environ['PATH']}"
    text = (
        "stackr exec -T -p $STACKR_PROJECT greedy touch /go;"
        " until stackr ps -a -p $STACKR_PROJECT --status exited -q | grep -q .; do sleep 0.1; done;"
        " exit 1"
    )
    done = env("test", "--", "sh", "-c", text, want=1)
    assert 'root cause: service "greedy": ran out of memory (exit code 137)' in done.stderr
    assert "greedy-1 ran out of memory" in done.stderr
    assert "| hungry" in done.stderr


def test_logs_of_a_container_that_is_gone_are_kept(env: Env) -> None:
    env.write(
        """\
        services:
          web:
            image: ${IMAGE}
            command: sh -c 'echo alive; sleep 1000'
            stop_grace_period: 0s
        """
    )
    env.environ["PATH"] = f"{Path(sys.executable).parent}:{env.environ['PATH']}"
    text = (
        "until stackr logs -p $STACKR_PROJECT web | grep -q alive; do sleep 0.1; done;"
        " stackr rm -sf -p $STACKR_PROJECT web; exit 1"
    )
    env("test", "--artifacts", "art", "--", "sh", "-c", text, want=1)
    [log] = (env.folder / "art" / "logs").iterdir()
    assert log.read_text().endswith(" alive\n")
    assert "web-1 exited with code 137" in (env.folder / "art" / "summary.txt").read_text()


def test_github_annotations(env: Env) -> None:
    env.write(FAILING)
    env.environ |= {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(env.folder.parent)}
    done = env("test", "--progress", "quiet", "--", "true", want=125)
    lines = done.stderr.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert token != lines[0]
    end = lines.index(f"::{token}::")
    assert "      | ::error::forged" in lines[:end]
    [error] = lines[end + 1 :]
    assert error.startswith(
        f"::error file={env.folder.name}/compose.yaml,line=12,col=7,"
        f"title=stackr test%3A {env.name}%3A db::"
        'service "db": is unhealthy; last health check exited 3: "postgres refuses"'
    )
    done = env("test", "--progress", "quiet", "--format", "text", "--", "true", want=125)
    assert "::" not in done.stderr.replace("::error::forged", "")


def test_nothing_to_run(env: Env) -> None:
    env.write(SLEEP)
    assert (
        "no-such-program: command not found"
        in env("test", "--", "no-such-program", want=127).stderr
    )
    (env.folder / "data").write_text("no program")
    assert "./data: permission denied" in env("test", "--", "./data", want=126).stderr
    assert "a command is expected" in env("test", want=1).stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--ttl", "soon"], '--ttl: "soon": a duration is expected'),
        (["--wait-timeout=-1"], '--wait-timeout: "-1": a duration is expected'),
        (["--fixed-port", "web"], '--fixed-port: "web": SERVICE:PORT is expected'),
        (["--print-env", "xml"], '--print-env: unknown value "xml"'),
        (["--format", "xml"], '--format: unknown value "xml"'),
        (["--service", "nosuch"], "no such service: nosuch"),
        (["--scale", "nosuch=2"], "no such service: nosuch"),
        (["--artifacts", "compose.yaml"], "--artifacts: compose.yaml: file exists"),
        (["--artifacts", "."], "--artifacts: .: there are files of others in it"),
        (["-f", "nosuch.yaml"], "nosuch.yaml"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(env: Env, options: list[str], told: str) -> None:
    env.write(SLEEP)
    done = env("test", *options, "--", "touch", "ran", want=1)
    assert told in done.stderr
    assert not (env.folder / "ran").exists()
    assert leases(env.engine) == []


def test_a_wait_is_limited_and_explained(env: Env) -> None:
    env.write(FAILING.replace("retries: 2", "retries: 1000"))
    done = env("test", "--wait-timeout", "10s", "--", "true", want=125)
    assert 'root cause: service "db"' in done.stderr
    assert "is not healthy after 10 s: it is starting" in done.stderr
    assert 'last health check exited 3: "postgres refuses"' in done.stderr


def test_json_events(env: Env) -> None:
    env.write(SLEEP)
    done = env("test", "--json", "--", "false", want=1)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds.index("plan_finished") < kinds.index("environment")
    assert kinds.index("environment") < kinds.index("environment_failed")
    failed = events[kinds.index("environment_failed")]
    assert failed["command"]["failure"] == "exited with code 1"
    assert failed["suspects"] == []


def test_some_services_only(env: Env) -> None:
    env.write(WEB)
    done = env("test", "--service", "db", "--", "printenv", "STACKR_SERVICES")
    assert set(json.loads(done.stdout)) == {"db"}


def test_containers_may_stop_in_peace(env: Env) -> None:
    env.write(
        """\
        services:
          web:
            image: ${IMAGE}
            command: >
              sh -c 'trap "echo bye > /out/bye; exit" TERM; touch /out/up;
              while :; do sleep 0.1; done'
            volumes: [./out:/out]
        """
    )
    text = "until [ -e out/up ]; do sleep 0.1; done; rm out/up"
    env("test", "--", "sh", "-c", text)
    assert not (env.folder / "out" / "bye").exists()
    done = env("test", "--stop-timeout", "60s", "--", "sh", "-c", text)
    assert (env.folder / "out" / "bye").exists()
    assert f'note: service "web": {env.folder}/out is writable, and shared' in done.stderr


def test_dockerd_has_no_leases_and_is_cleaned_up_all_the_same(tmp_path: Path) -> None:
    image = "suite/busybox:latest"
    with private_dockerd.serve() as socket:
        private_dockerd.load_image(socket, image)
        engine = EngineConfig.at(tmp_path / "none", tmp_path / "none")
        env = Env(tmp_path, engine)
        env.environ["IMAGE"] = image
        env.write(
            """\
            services:
              web:
                image: ${IMAGE}
                command: sleep 1000
                network_mode: none
                volumes: [data:/data, /anonymous]
            volumes: {data: }
            """
        )
        url = f"unix://{socket}"
        done = env("test", "--engine", url, "--", "false", want=1)
        assert done.stderr.count("this engine has no leases") == 1
        assert "removed in" in done.stderr
        process = started(env, "--engine", url, *script(_WAIT))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 130
        for path in ("/containers/json?all=1", "/volumes"):
            left = request(socket, "GET", path)[1]
            assert not (left["Volumes"] if isinstance(left, dict) else left)


def test_up_for_a_time(stack: Stack) -> None:
    stack.write(WEB.replace("container_name: fixed-name", "init: false"))
    path = stack.folder / "compose.yaml"
    text = path.read_text().replace("sleep 1000", "sh -c 'trap exit TERM; sleep 1000 & wait'")
    path.write_text(re.sub(r"18080:|53:|\{name: fixed-data\}", "", text))
    assert "--ttl needs --detach or --wait" in stack("up", "--ttl", "1h", want=1).stderr
    done = stack("up", "-d", "--ttl", "1h")
    assert f"{stack.name}: is taken down at 20" in done.stderr
    [lease] = leases(stack.engine)
    assert (lease["project"], lease["owner"], lease["volumes"]) == (stack.name, None, False)
    stack("up", "-d", "--ttl", "2h")
    assert [each["id"] for each in leases(stack.engine)] == [lease["id"]]
    stack("down", "-t", "0")
    assert leases(stack.engine) == []
    stack("up", "-d", "--ttl", "1h")
    stack("up", "-d", "--ttl", "500ms")
    until(lambda: not leases(stack.engine))
    assert stack.states() == {}
    assert f"{stack.name}_data" in everything(stack.engine)
