"""What is measured of one peer, by name; each can be asked for alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench.peers import BenchError
from bench.scenarios import build, container, image, memory, port, stack
from bench.work import Record, Work

Scenario = Callable[[Work, Record], None]

SCENARIOS: Mapping[str, Scenario] = {
    "stacks": stack.flat,
    "chain": stack.chain,
    "pull": image.pull,
    "push": image.push,
    "build-steps": build.steps,
    "build-many-files": build.many_files,
    "build-large-file": build.large_file,
    "up-build": build.up_build,
    "run": container.run,
    "exec": container.execute,
    "container-list": container.listing,
    "logs": container.logs,
    "port": port.published,
    "memory": memory.held,
    "reading": stack.reading,
}
ATTEMPTS = 2


def run_round(work: Work, record: Record, names: Sequence[str]) -> list[str]:
    """The scenarios once, in the table's order; a line for each attempt that failed."""
    failures: list[str] = []
    for name, scenario in SCENARIOS.items():
        if name in names:
            failures += attempt(partial(scenario, work), record)
    return failures


def attempt(scenario: Callable[[Record], None], record: Record) -> list[str]:
    """Run a scenario, and once more if it fails: a peer's bad moment must not cost all figures.

    Only an attempt that ends well is recorded. Returns a line for each that failed.
    """
    failures: list[str] = []
    for _ in range(ATTEMPTS):
        figures: list[tuple[str, float]] = []
        try:
            scenario(lambda step, value, to=figures: to.append((step, value)))  # type: ignore[misc]
        except BenchError as error:
            failures.append(" ".join(str(error).split()))
            continue
        for step, value in figures:
            record(step, value)
        break
    return failures
