"""Figures to a JSON document and a Markdown table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Figures = dict[str, dict[str, list[float]]]
"""By step, then by peer: one number a round, in the step's unit, which its name ends with.

Seconds, where it ends with none of these: KiB, MiB/s, requests/s, processes, times up.
"""

OURS = "stackr"
THEIRS = "compose"
_UNITS: Mapping[str, Callable[[float], str]] = {
    "KiB": lambda number: f"{number / 1024:.1f} MiB",
    "MiB/s": lambda number: f"{number:.0f} MiB/s",
    "requests/s": lambda number: f"{number:.0f}/s",
    "processes": lambda number: f"{number:.0f}",
    "times up": lambda number: f"{number:.2f}",
}
_SHOWN = {"KiB": " memory", "MiB/s": " throughput"}
"""What a title ends with in place of the unit, which stands in the cells."""


@dataclass
class Found:
    """What was measured, a line for each attempt that failed, and what else is to be known."""

    figures: Figures = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def recorder(self, peer: str) -> Callable[[str, float], None]:
        """A function that takes a step and its number in this round."""
        return lambda step, value: (
            self.figures.setdefault(step, {}).setdefault(peer, []).append(value)
        )

    def note(self, line: str) -> None:
        """The same one once."""
        if line not in self.notes:
            self.notes.append(line)


def summarize(figures: Figures) -> list[dict[str, object]]:
    """A row for each step and each peer beside us: the medians, and ours divided by its own."""
    return [
        _row(step, peer, by_peer)
        for step, by_peer in figures.items()
        for peer in [peer for peer in by_peer if peer != OURS] or [THEIRS]
    ]


def _row(step: str, beside: str, by_peer: Mapping[str, list[float]]) -> dict[str, object]:
    rounds = {peer: by_peer[peer] for peer in (OURS, beside) if peer in by_peer}
    medians = {peer: statistics.median(numbers) for peer, numbers in rounds.items()}
    row: dict[str, object] = {"step": step, "beside": beside, "median": medians, "rounds": rounds}
    if OURS in medians and medians.get(beside):
        row["ratio"] = round(medians[OURS] / medians[beside], 3)
    return row


def markdown(machine: dict[str, object], found: Found) -> str:
    """The table, with what it was measured on, and below it what failed."""
    rounds = max(len(each) for by_peer in found.figures.values() for each in by_peer.values())
    lines = [
        f"Medians of {rounds} rounds on {machine['cores']} cores ({machine['processor']}), "
        f"{machine['distribution']}, Linux {machine['kernel']}.",
        "",
        "| step | stackr | Docker Compose + dockerd | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(_line(row) for row in summarize(found.figures)),
    ]
    if found.notes:
        lines += ["", *found.notes]
    if found.failures:
        lines += ["", "Attempts that failed, and are not in the table:", ""]
        lines += [f"* `{failure}`" for failure in found.failures]
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, machine: dict[str, object], found: Found) -> Path:
    """Write NAME.json and NAME.md, each whole or not at all; returns the table's path."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine,
        "steps": summarize(found.figures),
        "notes": found.notes,
        "failures": found.failures,
    }
    document = json.dumps(content, indent=1) + "\n"
    for suffix, text in ((".json", document), (".md", markdown(machine, found))):
        beside = folder / f"{name}{suffix}.new"
        beside.write_text(text)
        beside.replace(folder / f"{name}{suffix}")
    return folder / f"{name}.md"


def _line(row: dict[str, object]) -> str:
    """A peer that has no column of its own is named with the step."""
    step, beside, medians = str(row["step"]), str(row["beside"]), row["median"]
    assert isinstance(medians, dict)
    title = _title(step) if beside == THEIRS else f"{_title(step)}, beside {beside}"
    ours, theirs = (_cell(step, medians.get(peer)) for peer in (OURS, beside))
    return f"| {title} | {ours} | {theirs} | {_ratio(row.get('ratio'))} |"


def _unit(step: str) -> str:
    return next((unit for unit in _UNITS if step.endswith(unit)), "")


def _title(step: str) -> str:
    unit = _unit(step)
    return step.removesuffix(f" {unit}") + _SHOWN[unit] if unit in _SHOWN else step


def _cell(step: str, number: float | None) -> str:
    if number is None:
        return "-"
    unit = _unit(step)
    return _UNITS[unit](number) if unit else f"{number:.3f} s"


def _ratio(number: object) -> str:
    return f"{number:.2f}" if isinstance(number, float) else "-"
