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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from bench import buildah, isolation, machine, planning, report
from bench.peers import BenchError, Compose, Peer, Stackr
from bench.scenarios import SCENARIOS, attempt, run_round
from bench.work import Images, Record, Work

CHECKOUT = Path(__file__).resolve().parent.parent
RESULTS = CHECKOUT / "bench/results"
IMAGES = ("busybox", "layers5", "nginx")
SERVICE_COUNTS = (1, 5, 20, 50)
PLAN = "plan"
"""How long plans take, which needs no engine and has no peer."""


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    if os.geteuid() != 0:
        sys.stderr.write("bench: root is needed to start the engines\n")
        return 1
    if isolation.INSIDE not in os.environ:
        subprocess.run([CHECKOUT / "scripts/images", "build", *IMAGES], check=True)
    isolation.enter(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    found = report.Found()
    try:
        _measure(options, found)
    except BenchError as error:
        found.failures.append(str(error))
        sys.stderr.write(f"bench: {error}\n")
    except KeyboardInterrupt:
        return 130
    if not found.figures:
        sys.stderr.write("bench: nothing could be measured\n")
        return 1
    table = report.write(options.results, options.name, machine.describe(), found)
    sys.stdout.write(table.read_text())
    return 1 if found.failures else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("stackr", "compose"), help="measure one peer alone")
    parser.add_argument(
        "--services", type=int, nargs="+", default=list(SERVICE_COUNTS), metavar="COUNT"
    )
    names = [*SCENARIOS, PLAN]
    parser.add_argument(
        "--scenarios",
        nargs="+",
        choices=names,
        default=names,
        metavar="NAME",
        help=f"some of {', '.join(names)}; all where it is not given",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--name", default="latest", help="of the two files in the folder")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or min(options.services) < 1:
        parser.error("--rounds and --services: at least 1")
    return options


def _measure(options: argparse.Namespace, found: report.Found) -> None:
    """Fill in the figures of all rounds, and a line for each attempt at a scenario that failed."""
    if set(options.scenarios) != {PLAN}:
        _compare(options, found)
    if options.only != Compose.name and PLAN in options.scenarios:
        _plan(options.rounds, found)


def _compare(options: argparse.Namespace, found: report.Found) -> None:
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="stackr-bench-")))
        images = _serve_images(folder, undo)
        works = list(_start(options, folder, images, undo))
        for number in range(options.rounds):
            for work in works if number % 2 == 0 else reversed(works):
                name = work.peer.name
                sys.stderr.write(f"round {number + 1} of {options.rounds}: {name}\n")
                failures = run_round(work, found.recorder(name), options.scenarios)
                found.failures += [f"round {number + 1}: {name}: {line}" for line in failures]
            if options.only is None and "build-steps" in options.scenarios:
                _buildah(works[0], folder / buildah.NAME, found)
        for work in works:
            work.docker("rmi", images.small)


def _start(
    options: argparse.Namespace, folder: Path, images: Images, undo: ExitStack
) -> Iterator[Work]:
    """Each peer's engine, with the image that the stacks run: no pull is measured with them."""
    both: list[Peer] = [Stackr(folder / "stackr"), Compose(folder / "compose")]
    for peer in both:
        if options.only not in (None, peer.name):
            continue
        undo.callback(peer.stop)
        peer.start()
        stack_files = folder / "stacks" / peer.name
        stack_files.mkdir(parents=True)
        work = Work(peer, images, stack_files, tuple(options.services))
        work.docker("pull", "--quiet", images.small)
        yield work


def _buildah(beside: Work, folder: Path, found: report.Found) -> None:
    if not buildah.is_installed():
        found.note(f"{buildah.NAME} is not installed, and not in the table.")
        return

    def steps(record: Record) -> None:
        for step, seconds in buildah.steps(beside.images.small, folder, beside.peer.environment()):
            record(step, seconds)

    failures = attempt(steps, found.recorder(buildah.NAME))
    found.failures += [f"{buildah.NAME}: {line}" for line in failures]


def _plan(rounds: int, found: report.Found) -> None:
    """Docker Compose shows no plan: there is nothing to compare with but the growth."""
    record = found.recorder(Stackr.name)
    for number in range(rounds):
        sys.stderr.write(f"round {number + 1} of {rounds}: plans\n")
        for step, seconds in planning.measure():
            record(step, seconds)


def _serve_images(folder: Path, undo: ExitStack) -> Images:
    """A registry inside the namespace, on loopback."""
    environment = os.environ | {"STACKR_REGISTRY_RUN": str(folder / "registry")}
    script = CHECKOUT / "scripts/images"
    undo.callback(lambda: subprocess.run([script, "stop"], env=environment, check=True))
    done = subprocess.run(
        [script, *IMAGES], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    registry = done.stdout.strip()
    busybox, layers5, nginx = (f"{registry}/{name}:latest" for name in IMAGES)
    return Images(small=busybox, layered=layers5, web=nginx)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
