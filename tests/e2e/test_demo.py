"""The README's promise: scripts/demo, a site that answers, scripts/demo down, and nothing left."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import leak_census
import pytest

from stackr.runtime.engine.config import EngineConfig

CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Demo:
    """The demo with an engine, a registry and a port of this test's own."""

    folder: Path
    port: int

    @property
    def config(self) -> EngineConfig:
        return EngineConfig.at(self.folder / "data", self.folder / "run")

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name != "STACKR_IMAGES"} | {
            "STACKR_DATA_ROOT": str(self.config.data_root),
            "STACKR_EXEC_ROOT": str(self.config.exec_root),
            "STACKR_DEMO_RUN": str(self.folder / "demo"),
            "STACKR_REGISTRY_RUN": str(self.folder / "registry"),
            "GUESTBOOK_PORT": str(self.port),
        }

    def run(self, *command: str, want: int = 0) -> str:
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self.environment(), capture_output=True, text=True
        )
        assert done.returncode == want, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def stackr(self, *arguments: str, want: int = 0) -> str:
        stack = "examples/stacks/guestbook/compose.yaml"
        return self.run(str(CHECKOUT / ".venv/bin/stackr"), "-f", stack, *arguments, want=want)

    def book(self) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/api")
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert isinstance(answer, dict)
        return answer

    def book_again(self) -> dict[str, object]:
        """Once nginx, which remembers an address for a second, has found the new application."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.book()
            except ValueError:  # nginx's own page, which is not JSON
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


@pytest.fixture
def demo() -> Iterator[Demo]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="stackr-demo-") as folder:
        made = Demo(Path(folder), port)
        yield made
        made.run("scripts/demo", "down")
        leak_census.assert_nothing_left(made.config)


def test_guestbook_from_nothing_to_nothing(demo: Demo) -> None:
    shown = demo.run("scripts/demo")
    assert f"http://127.0.0.1:{demo.port}/" in shown
    assert "visits counted in Redis: 1" in shown
    assert "entries kept in PostgreSQL: 1" in shown
    assert [demo.book()["visits"], demo.book()["visits"]] == [2, 3]

    again = demo.run("scripts/demo")
    assert "entries kept in PostgreSQL: 2" in again

    demo.run("scripts/demo", "down")
    assert not (demo.folder / "demo").exists()
    assert not (demo.folder / "registry").exists()
    leak_census.assert_nothing_left(demo.config)


def test_down_without_up_says_so(demo: Demo) -> None:
    assert "not up" in demo.run("scripts/demo", "down")


def test_one_changed_variable_recreates_one_service(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.run("scripts/demo")
    monkeypatch.setenv("GUESTBOOK_TITLE", "Another title")
    images = (demo.folder / "demo/images").read_text().strip()
    env_file = tmp_path / "env"
    env_file.write_text(f"STACKR_IMAGES={images}\n")

    shown = demo.stackr("--env-file", str(env_file), "diff", "--exit-code", want=2)
    assert "TITLE" in shown

    def started(service: str) -> str:
        socket_url = f"unix://{demo.config.socket}"
        format_ = "{{.State.StartedAt}}"
        return demo.run(
            "docker", "-H", socket_url, "inspect", "-f", format_, f"guestbook-{service}-1"
        )

    before = {service: started(service) for service in ("app", "db", "cache")}
    demo.stackr("--env-file", str(env_file), "up", "-d", "--wait")
    after = {service: started(service) for service in before}
    assert {service for service in before if before[service] != after[service]} == {"app"}
    assert demo.book_again()["entries"], "the entries outlive the application"
    demo.stackr("--env-file", str(env_file), "diff", "--exit-code")
