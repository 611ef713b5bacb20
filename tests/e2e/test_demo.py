"""The README's promise: scripts/demo, a site that answers, scripts/demo down, and nothing left."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import leak_census
import pytest
from killed_daemon import kill_daemon, kill_process
from stackr_stack import free_port, until

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import is_running

CHECKOUT = Path(__file__).resolve().parents[2]
STACK = "examples/stacks/guestbook/compose.yaml"
_PATIENCE_S = 60

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Demo:
    """The demo with an engine, a registry and a port of this test's own."""

    folder: Path
    port: int
    registry_port: int

    @property
    def config(self) -> EngineConfig:
        return EngineConfig.at(self.folder / "data", self.folder / "run")

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name != "STACKR_IMAGES"} | {
            "STACKR_DATA_ROOT": str(self.config.data_root),
            "STACKR_EXEC_ROOT": str(self.config.exec_root),
            "STACKR_DEMO_RUN": str(self.folder / "demo"),
            "STACKR_REGISTRY_RUN": str(self.folder / "registry"),
            "STACKR_REGISTRY_PORT": str(self.registry_port),
            "GUESTBOOK_PORT": str(self.port),
        }

    def run(self, *command: str, want: int = 0, **variables: str) -> str:
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=self.environment() | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == want, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def stackr(self, *arguments: str, want: int = 0, **variables: str) -> str:
        command = [str(CHECKOUT / ".venv/bin/stackr"), "-f", STACK, *arguments]
        images = (self.folder / "demo/images").read_text().strip()
        return self.run(*command, want=want, STACKR_IMAGES=images, **variables)

    def docker(self, *arguments: str) -> list[str]:
        return self.run("docker", "-H", f"unix://{self.config.socket}", *arguments).split()

    def pids(self) -> dict[str, int]:
        """Each service's process on the host; 0 where it does not run. Another is another life."""
        return {
            service: int(*self.docker("inspect", "-f", "{{.State.Pid}}", f"guestbook-{service}-1"))
            for service in ("web", "app", "db", "cache")
        }

    def built(self) -> list[str]:
        """The application's image, and the user of its Dockerfile."""
        return self.docker("image", "inspect", "-f", "{{.Id}} {{.Config.User}}", "guestbook-app")

    def links(self) -> frozenset[str]:
        """The bridges of the engine's networks, and the ends there of the containers' veths."""
        ids = self.docker("network", "ls", "-q", "--filter", "driver=bridge", "--no-trunc")
        bridges = {f"sk-{id[:12]}" for id in ids} & set(os.listdir("/sys/class/net"))
        ports = (os.listdir(f"/sys/class/net/{bridge}/brif") for bridge in bridges)
        return frozenset(bridges.union(*ports))

    def book(self) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            connection.request("GET", "/api")
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert isinstance(answer, dict)
        return answer

    def book_again(self) -> dict[str, object]:
        """Once nginx, which remembers an address for a second, has found the new application."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self.book()
            except ValueError:  # nginx's own page, which is not JSON
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


@pytest.fixture
def demo() -> Iterator[Demo]:
    with tempfile.TemporaryDirectory(prefix="stackr-demo-") as folder:
        made = Demo(Path(folder), free_port(), free_port())
        yield made
        made.run("scripts/demo", "down")
        leak_census.assert_nothing_left(made.config)


def test_guestbook_from_nothing_to_nothing(demo: Demo) -> None:
    shown = demo.run("scripts/demo")
    assert f"http://127.0.0.1:{demo.port}/" in shown
    assert "visits counted in Redis: 1" in shown
    assert "entries kept in PostgreSQL: 1" in shown
    assert [demo.book()["visits"], demo.book()["visits"]] == [2, 3]
    demo.stackr("diff", "--exit-code")
    built = demo.built()
    assert built[1] == "nobody"

    again = demo.run("scripts/demo")
    assert "entries kept in PostgreSQL: 2" in again
    assert demo.built() == built, "nothing has changed"

    links = demo.links()
    assert len(links) >= 2 + 5, "two networks' bridges, and five places on them"
    registry = (demo.folder / "registry/pid").read_text().strip()
    demo.run("scripts/demo", "down")
    assert not (demo.folder / "demo").exists()
    assert not (demo.folder / "registry").exists()
    until(lambda: not Path("/proc", registry).exists())
    leak_census.assert_nothing_left(demo.config, links)


def test_down_without_up_says_so(demo: Demo) -> None:
    assert "not up" in demo.run("scripts/demo", "down")


def test_one_changed_variable_recreates_one_service(demo: Demo) -> None:
    demo.run("scripts/demo")
    title = "Another title"
    shown = demo.stackr("diff", "--exit-code", want=2, GUESTBOOK_TITLE=title)
    assert f'environment.TITLE: "Guestbook" → "{title}"' in shown

    before = demo.pids()
    demo.stackr("up", "-d", "--wait", GUESTBOOK_TITLE=title)
    after = demo.pids()
    assert {service for service in before if before[service] != after[service]} == {"app"}
    assert demo.book_again()["entries"], "the entries outlive the application"
    demo.stackr("diff", "--exit-code", GUESTBOOK_TITLE=title)


def test_the_site_outlives_the_daemon(demo: Demo) -> None:
    """A process of its own goes on answering names, so that each request still finds its way."""
    demo.run("scripts/demo")
    before = demo.pids()
    kill_daemon(demo.config)
    assert [demo.book()["visits"], demo.book()["visits"]] == [2, 3]

    kill_process(before["cache"])
    assert not is_running(demo.config), "nothing of the above has started a daemon"
    demo.run(str(CHECKOUT / ".venv/bin/stackr"), "engine", "start")
    assert "guestbook-cache-1" in demo.stackr("ps", "--all")
    until(lambda: demo.pids()["cache"], "the restart that its policy asks for")
    after = demo.pids()
    assert {service for service in before if before[service] != after[service]} == {"cache"}
    assert demo.book_again()["entries"]
    demo.stackr("diff", "--exit-code")

    links = demo.links()
    demo.run("scripts/demo", "down")
    leak_census.assert_nothing_left(demo.config, links)
