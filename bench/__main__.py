"""`python -m bench`: measure stackr beside Docker Compose on dockerd; results in bench/results.

Both do every step once a round, taking turns at going first. Root is needed. What is started is
stopped again; the host's own engines, networks and images are not touched.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from bench import isolation, machine, planning, report, scenarios
from bench.peers import BenchError, Compose, Peer, Stackr, docker, run

CHECKOUT = Path(__file__).resolve().parent.parent
RESULTS = CHECKOUT / "bench/results"
IMAGES = ("busybox", "layers5")


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    if os.geteuid() != 0:
        sys.stderr.write("bench: root is needed to start the engines\n")
        return 1
    if isolation.INSIDE not in os.environ:
        subprocess.run([CHECKOUT / "scripts/images", "build", *IMAGES], check=True)
    isolation.enter(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    figures: report.Figures = {}
    failures: list[str] = []
    try:
        _measure(options, figures, failures)
    except BenchError as error:
        failures.append(str(error))
        sys.stderr.write(f"bench: {error}\n")
    except KeyboardInterrupt:
        return 130
    if not figures:
        sys.stderr.write("bench: nothing could be measured\n")
        return 1
    table = report.write(options.results, options.name, machine.describe(), figures, failures)
    sys.stdout.write(table.read_text())
    return 1 if failures else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("stackr", "compose"), help="measure one peer alone")
    parser.add_argument(
        "--services", type=int, nargs="+", default=list(scenarios.SERVICE_COUNTS), metavar="COUNT"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--name", default="latest", help="of the two files in the folder")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or min(options.services) < 1:
        parser.error("--rounds and --services: at least 1")
    return options


def _measure(options: argparse.Namespace, figures: report.Figures, failures: list[str]) -> None:
    """Fill in the figures of all rounds, and a line for each attempt at a scenario that failed."""
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="stackr-bench-")))
        images = _serve_images(folder, undo)
        both: list[Peer] = [Stackr(folder / "stackr"), Compose(folder / "compose")]
        peers = [peer for peer in both if options.only in (None, peer.name)]
        for peer in peers:
            undo.callback(peer.stop)
            peer.start()
            scenarios.prepare(peer, images)
        for number in range(options.rounds):
            for peer in peers if number % 2 == 0 else reversed(peers):
                sys.stderr.write(f"round {number + 1} of {options.rounds}: {peer.name}\n")
                stack_files = folder / "stacks" / peer.name

                def record(step: str, value: float, name: str = peer.name) -> None:
                    figures.setdefault(step, {}).setdefault(name, []).append(value)

                for failure in scenarios.run_round(
                    peer, images, stack_files, record, options.services
                ):
                    sys.stderr.write(f"bench: {peer.name}: {failure}\n")
                    failures.append(f"round {number + 1}: {peer.name}: {failure}")
        for peer in peers:
            run(docker(peer, "rmi", images.small), peer.environment())
    if options.only != "compose":
        _plan(options.rounds, figures)


def _plan(rounds: int, figures: report.Figures) -> None:
    """Docker Compose shows no plan: there is nothing to compare with but the growth."""
    for number in range(rounds):
        sys.stderr.write(f"round {number + 1} of {rounds}: plans\n")
        for step, seconds in planning.measure():
            figures.setdefault(step, {}).setdefault(Stackr.name, []).append(seconds)


def _serve_images(folder: Path, undo: ExitStack) -> scenarios.Images:
    """A registry inside the namespace, on loopback."""
    environment = os.environ | {"STACKR_REGISTRY_RUN": str(folder / "registry")}
    script = CHECKOUT / "scripts/images"
    undo.callback(lambda: subprocess.run([script, "stop"], env=environment, check=True))
    done = subprocess.run(
        [script, *IMAGES], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    registry = done.stdout.strip()
    return scenarios.Images(
        small=f"{registry}/busybox:latest", layered=f"{registry}/layers5:latest"
    )


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
