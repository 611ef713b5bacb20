"""A project folder on a real Swarm, and the installed command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swarm_rig import Rig

__all__ = ["Stack"]

_SERVE = "trap exit TERM; echo {word}; sleep 999 & wait"


class Stack:
    """A project folder whose file is written anew for each change."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.file = folder / "stack.yml"

    def write(self, services: Mapping[str, Any], **sections: Any) -> None:
        self.file.write_text(json.dumps({"name": "shop", "services": services, **sections}))

    def service(self, word: str = "up", **more: Any) -> dict[str, Any]:
        deploy = {
            "endpoint_mode": "dnsrr",
            "update_config": {"monitor": "300ms", "failure_action": "pause"},
            **more.pop("deploy", {}),
        }
        script = ["sh", "-c", _SERVE.format(word=word)]
        return {"image": self.rig.image, "command": script, "deploy": deploy, **more}

    def __call__(
        self, *words: str, want: int = 0, files: bool = True
    ) -> subprocess.CompletedProcess[str]:
        argv = [each for each in self.argv(*words) if files or not each.startswith("--file=")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600)
        assert done.returncode == want, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def argv(self, *words: str) -> list[str]:
        engine = f"--engine=swarm+{self.rig.manager.url}"
        return ["stackr", engine, f"--file={self.file}", *words]

    def changes(self, *words: str) -> list[dict[str, Any]]:
        changes: list[dict[str, Any]] = json.loads(self("diff", "--format=json").stdout)["changes"]
        return changes

    def spec(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = self.rig.manager.call("GET", f"/services/shop_{service}")
        return found
