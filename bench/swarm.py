"""`tests/swarm-rig .venv/bin/python -m bench.swarm`: stackr beside `docker stack`, on one Swarm.

Both do each step once a round, taking turns at going first, on the Swarm whose manager DOCKER_HOST
names, with the image of the rig's registry. Each waits until all tasks run: `docker stack deploy`
with `--detach=false`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import machine, peers, report
from bench.peers import BenchError, run

RESULTS = Path(__file__).resolve().parent / "results"
IMAGE = "10.77.0.1:5000/test/busybox:latest"
STACK = "bench"
_SERVE = ["sh", "-c", "trap exit TERM; sleep 99999 & wait"]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.swarm", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--services", type=int, default=20)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--name", default="swarm", help="of the two files in the folder")
    options = parser.parse_args(arguments)
    if "DOCKER_HOST" not in os.environ:
        parser.error("DOCKER_HOST: it has to name a Swarm's manager: run this by tests/swarm-rig")
    found = report.Found()
    with ExitStack() as undo:
        folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="stackr-bench-"))
        file = Path(folder) / "stack.yml"
        file.write_text(json.dumps(_stack(options.services)))
        environment = peers.environment() | {
            "DOCKER_HOST": os.environ["DOCKER_HOST"],
            "XDG_RUNTIME_DIR": f"{folder}/run",
        }
        warm = peers.start_warm(environment)
        undo.callback(warm.wait)
        undo.callback(warm.terminate)
        steps = {report.OURS: _stackr(file), "docker stack": _docker(file)}
        for number in range(options.rounds):
            turns = list(steps) if number % 2 == 0 else list(steps)[::-1]
            for peer in turns:
                sys.stderr.write(f"round {number + 1} of {options.rounds}: {peer}\n")
                _round(steps[peer], environment, found.recorder(peer), options.services)
    table = report.write(options.results, options.name, machine.describe(), found)
    sys.stdout.write(table.read_text())
    return 0


_TIMES = {"diff": 5}
"""How often a round does a step, where that is quick."""
Steps = Mapping[str, Sequence[Sequence[str]]]
"""By step, the commands that it takes."""


def _stack(services: int) -> dict[str, object]:
    """Without a health check, a port or an order: what both do in the same way."""
    service = {"image": IMAGE, "command": _SERVE, "deploy": {"endpoint_mode": "dnsrr"}}
    return {"version": "3.9", "services": {f"web{n}": service for n in range(services)}}


def _stackr(file: Path) -> Steps:
    command = [
        str(Path(sys.executable).with_name("stackr")),
        f"--engine=swarm+{os.environ['DOCKER_HOST']}",
        f"--file={file}",
        f"--project-name={STACK}",
    ]
    return {
        "up": [[*command, "up", "-d"]],
        "up, nothing to do": [[*command, "up", "-d"]],
        "diff": [[*command, "diff"]],
        "down": [[*command, "down"]],
    }


def _docker(file: Path) -> Steps:
    deploy = ["docker", "stack", "deploy", "--detach=false", f"--compose-file={file}", STACK]
    return {
        "up": [deploy],
        "up, nothing to do": [deploy],
        "diff": [
            ["docker", "stack", "config", f"--compose-file={file}"],
            ["docker", "stack", "services", STACK],
        ],
        "down": [["docker", "stack", "rm", "--detach=false", STACK]],
    }


def _round(
    steps: Steps,
    environment: Mapping[str, str],
    record: Callable[[str, float], None],
    services: int,
) -> None:
    for step, commands in steps.items():
        for _ in range(_TIMES.get(step, 1)):
            took = sum(run(command, environment) for command in commands)
            record(f"swarm, {services} services: {step}", took)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BenchError as error:
        sys.exit(f"bench: {error}")
