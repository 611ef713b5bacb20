"""A stack of one test: a folder, a project name of its own, and the installed `stackr` command."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
from host_ports import free_port
from polling import until

from stackr.planner.review.schema import plan_schema
from stackr.runtime.engine.config import EngineConfig

__all__ = ["Stack", "compose_program", "free_port", "until"]

_COMMAND_S = 180.0
STACKR = str(Path(sys.executable).with_name("stackr"))


@dataclass
class Stack:
    """Runs `stackr` in `folder` against one engine; the project's name is random."""

    folder: Path
    engine: EngineConfig
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("COMPOSE_", "DOCKER_"))},
            "STACKR_DATA_ROOT": str(self.engine.data_root),
            "STACKR_EXEC_ROOT": str(self.engine.exec_root),
            "COMPOSE_PROJECT_NAME": self.name,
            "PYTHONUNBUFFERED": "1",
        }
        self._started: list[subprocess.Popen[str]] = []

    def write(self, text: str, name: str = "compose.yaml") -> Path:
        """The stack file, dedented."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def __call__(
        self, *arguments: str, want: int | None = 0, stdin: str = "", timeout_s: float = _COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; fails unless the exit code is `want` (None: any)."""
        done = subprocess.run(
            [STACKR, *arguments],
            cwd=self.folder,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        shown = f"stackr {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert want is None or done.returncode == want, shown
        assert "Traceback" not in done.stderr, shown
        return done

    def plan(self, *arguments: str, want: int | None = 0) -> dict[str, Any]:
        """The plan that a command prints as JSON, which is as its schema says."""
        value = json.loads(self(*arguments, want=want).stdout)
        jsonschema.Draft7Validator(plan_schema()).validate(value)
        assert isinstance(value, dict)
        return value

    def compose(
        self, *arguments: str, want: int | None = 0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """The same by Docker Compose v2, with the same folder, project and engine."""
        done = subprocess.run(
            [compose_program(), "--ansi", "never", *arguments],
            cwd=self.folder,
            env={**self.environ, "DOCKER_HOST": f"unix://{self.engine.socket}"},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
        )
        shown = f"compose {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert want is None or done.returncode == want, shown
        return done

    def start(
        self, *arguments: str, program: str = STACKR, **options: Any
    ) -> subprocess.Popen[str]:
        """Run one command in the background, its output in pipes; `end` ends it at the latest."""
        settings: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        }
        process = subprocess.Popen(
            [program, *arguments], cwd=self.folder, env=self.environ, text=True, **settings
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill what was started and still runs, and close its pipes."""
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self._started.clear()

    def containers(self) -> dict[str, dict[str, Any]]:
        """What `ps` says of every container, by name."""
        lines = self("ps", "-a", "--format", "json").stdout.splitlines()
        return {value["Name"]: value for value in map(json.loads, lines)}

    def ids(self) -> dict[str, str]:
        return {name: value["ID"] for name, value in self.containers().items()}

    def states(self) -> dict[str, str]:
        """State by service and number, as `web-1`."""
        prefix = f"{self.name}-"
        return {
            name.removeprefix(prefix): value["State"] for name, value in self.containers().items()
        }


def compose_program() -> str:
    """Docker Compose's own binary; its wrapper in the environment's `bin` loses the exit code."""
    found = importlib.util.find_spec("compose")
    assert found is not None
    return str(Path(found.origin or "").with_name("docker-compose"))
