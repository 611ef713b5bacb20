"""Makes docs/pictures/{up,diff,test}.svg: what a terminal shows after real commands.

`make pictures` (root). The stack is the one at the top of the README, on images of
`scripts/images`; the engine is one of its own, which is gone at the end. Times are masked, so that
nothing changes without a reason. Those of the dashboard are made by its test.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, ROWS = 100, 40
_MASKED = (
    (re.compile(r"(?<![\d.])\d+\.\d+( ?s)\b"), r"1.0\1"),
    (re.compile(r"shop-t-[0-9a-f]{8}"), "shop-t-5f0c2a91"),
    (re.compile(r"\b172(\.\d+){3}\b"), "172.16.0.1"),
    (re.compile(r"\b\d{4}/\d\d/\d\d [\d:]{8}"), "2026/01/02 13:23:37"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:23456"),
    (re.compile(r"\[\d\d/\w+/\d{4}:[\d:]+ [+\d]+\]"), "[02/Jan/2026:13:23:37 +0000]"),
)
"""Times, names and ports that are others each time."""
_FONT_FROM_OUTSIDE = re.compile(r',\s*url\("https://[^;]*(?=;)')
_CHECK = """#!/bin/sh
curl -fsS "$STACKR_WEB_80_URL/cart"
"""


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal in which commands are run, one after the other. folder: where."""

    folder: Path
    environ: dict[str, str]

    def screen(self, command: str) -> Text:
        """What it shows at the end of the command, with the line that was typed."""
        socket, done = str(self.folder.parent / "tmux"), self.folder.parent / "done"
        done.unlink(missing_ok=True)
        script = f"{command}; touch {shlex.quote(str(done))}; exec sleep 600"
        tmux = ["tmux", "-S", socket, "-f", "/dev/null"]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._run([*tmux, "new-session", "-d", *size, "sh", "-c", script])
        try:
            self._run(["sh", "-c", f"until [ -e {shlex.quote(str(done))} ]; do sleep 0.1; done"])
            shown = self._run([*tmux, "capture-pane", "-e", "-p", "-J"])
        finally:
            self._run([*tmux, "kill-server"])
        typed = f"\x1b[1m$ {command}\x1b[0m\n"
        for pattern, instead in _MASKED:
            shown = pattern.sub(instead, shown)
        return Text.from_ansi(typed + shown.rstrip() + "\n")

    def _run(self, words: list[str]) -> str:
        done = subprocess.run(
            words, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{shlex.join(words)}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def stackr(self, *words: str) -> None:
        self._run([str(ROOT / ".venv/bin/stackr"), *words])


def write_picture(name: str, text: Text) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(text, end="", overflow="fold")
    svg = console.export_svg(title="stackr", unique_id=name)
    path = PICTURES / f"{name}.svg"
    path.write_text(_FONT_FROM_OUTSIDE.sub("", svg).rstrip() + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")


def stack_file() -> str:
    """The first YAML of the README."""
    found = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def terminal() -> Iterator[Terminal]:
    """In a folder "shop" with the stack's file, and with an engine that has its images."""
    with tempfile.TemporaryDirectory(prefix="stackr-pictures-") as scratch:
        folder = Path(scratch) / "shop"
        folder.mkdir()
        (folder / "compose.yaml").write_text(stack_file())
        bin_folder = str(ROOT / ".venv/bin")
        environ = {
            **{name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ},
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "STACKR_WARM": "0",
            "STACKR_DATA_ROOT": f"{scratch}/data",
            "STACKR_EXEC_ROOT": f"{scratch}/run",
        }
        made = Terminal(folder, environ)
        try:
            made.stackr("engine", "start")
            _bring_images(made)
            yield made
        finally:
            try:
                made.stackr("down", "-v", "-t", "0")
            finally:
                made.stackr("engine", "stop")


def _bring_images(made: Terminal) -> None:
    """From the registry of `scripts/images`, which runs on only if it ran before."""
    images = str(ROOT / "scripts/images")
    ran = subprocess.run([images, "address"], capture_output=True, check=False).returncode == 0
    words = [images, "redis", "nginx"]
    registry = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    for name, wanted in re.findall(r"image: ((\w+):\S+)", stack_file()):
        made.stackr("image", "pull", "-q", f"{registry[-1]}/{wanted}")
        made.stackr("image", "tag", f"{registry[-1]}/{wanted}", name)
    if not ran:
        subprocess.run([images, "stop"], check=True)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the engine goes then, too
    with terminal() as shown:
        up = shown.screen("stackr up -d --wait")
        if "shop is up" not in up.plain:
            sys.exit(up.plain)
        write_picture("up", up)
        file = shown.folder / "compose.yaml"
        before = file.read_text()
        file.write_text(
            before.replace("8080:80", "8090:80").replace("interval: 1s", "interval: 5s")
        )
        write_picture("diff", shown.screen("stackr diff"))
        file.write_text(before)
        check = shown.folder / "check.sh"
        check.write_text(_CHECK)
        check.chmod(0o755)
        write_picture("test", shown.screen("stackr test -- ./check.sh"))


if __name__ == "__main__":
    main()
