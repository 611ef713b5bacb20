"""buildah, which builds without a daemon: beside both engines where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.peers import run
from bench.scenarios import build

NAME = "buildah"


def is_installed() -> bool:
    """Without it, the table goes without it."""
    return shutil.which(NAME) is not None


def steps(base: str, folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Steps and seconds of the ten RUN steps, with a store in `folder`. Raises BenchError."""
    context = build.ten_steps(base, folder)
    store = [f"--root={folder / 'root'}", f"--runroot={folder / 'run'}", "--storage-driver=overlay"]
    command = [NAME, *store]
    try:
        run([*command, "pull", "--tls-verify=false", base], environment)
        options = ["--runtime=runc", "--network=none", "--layers", "--tag", "bench-build"]
        bud = [*command, "bud", "--quiet", "--pull-never", *options]
        yield build.STEPS, run([*bud, "--no-cache", str(context)], environment)
        yield f"{build.STEPS}: all cached", run([*bud, str(context)], environment)
    finally:
        run([*command, "rmi", "--all", "--force"], environment)
