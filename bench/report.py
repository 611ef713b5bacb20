"""Figures to a JSON document and a Markdown table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

Figures = dict[str, dict[str, list[float]]]
"""By step, then by peer: one number a round, in the step's unit (seconds, KiB or a count)."""

OURS = "stackr"
THEIRS = "compose"


def summarize(figures: Figures) -> list[dict[str, object]]:
    """A row a step: both medians, and ours divided by theirs."""
    rows: list[dict[str, object]] = []
    for step, by_peer in figures.items():
        medians = {peer: statistics.median(numbers) for peer, numbers in by_peer.items()}
        row: dict[str, object] = {"step": step, "median": medians, "rounds": by_peer}
        if OURS in medians and medians.get(THEIRS):
            row["ratio"] = round(medians[OURS] / medians[THEIRS], 3)
        rows.append(row)
    return rows


def markdown(
    machine: dict[str, object],
    rows: list[dict[str, object]],
    failures: Sequence[str] = (),
    *,
    rounds: int,
) -> str:
    """The table, with what it was measured on, and below it what failed."""
    lines = [
        f"Medians of {rounds} rounds on {machine['cores']} cores ({machine['processor']}), "
        f"{machine['distribution']}, Linux {machine['kernel']}.",
        "",
        "| step | stackr | Docker Compose + dockerd | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        step, medians = str(row["step"]), row["median"]
        assert isinstance(medians, dict)
        cells = [_cell(step, medians.get(peer)) for peer in (OURS, THEIRS)]
        ratio = row.get("ratio")
        lines.append(f"| {_title(step)} | {cells[0]} | {cells[1]} | {_ratio(ratio)} |")
    if failures:
        lines += ["", "Attempts that failed, and are not in the table:", ""]
        lines += [f"* `{failure}`" for failure in failures]
    return "\n".join(lines) + "\n"


def write(
    folder: Path,
    name: str,
    machine: dict[str, object],
    figures: Figures,
    failures: Sequence[str] = (),
) -> Path:
    """Write NAME.json and NAME.md, each whole or not at all; returns the table's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = summarize(figures)
    rounds = max(len(numbers) for by_peer in figures.values() for numbers in by_peer.values())
    content = {"machine": machine, "steps": rows, "failures": list(failures)}
    document = json.dumps(content, indent=1) + "\n"
    table = markdown(machine, rows, failures, rounds=rounds)
    for suffix, text in ((".json", document), (".md", table)):
        beside = folder / f"{name}{suffix}.new"
        beside.write_text(text)
        beside.replace(folder / f"{name}{suffix}")
    return folder / f"{name}.md"


def _title(step: str) -> str:
    return step.removesuffix(" KiB") + (" memory" if step.endswith("KiB") else "")


def _cell(step: str, number: float | None) -> str:
    if number is None:
        return "-"
    if step.endswith("KiB"):
        return f"{number / 1024:.1f} MiB"
    if step.endswith("processes"):
        return f"{number:.0f}"
    return f"{number:.3f} s"


def _ratio(number: object) -> str:
    return f"{number:.2f}" if isinstance(number, float) else "-"
