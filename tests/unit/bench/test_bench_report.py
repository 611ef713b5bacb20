"""The benchmark's figures: medians, ratios, units and the table."""

from __future__ import annotations

import json
from pathlib import Path

from bench import report

MACHINE: dict[str, object] = {
    "cores": 2,
    "processor": "Abacus",
    "distribution": "Debian",
    "kernel": "6.1",
}
FIGURES: report.Figures = {
    "20 services: up": {"stackr": [0.9, 0.5, 0.6], "compose": [3.0, 2.0, 9.0]},
    "memory, 0 containers: resident KiB": {"stackr": [40960.0], "compose": [81920.0]},
    "only ours": {"stackr": [1.0]},
}


def test_ratio_is_ours_by_theirs_of_the_medians() -> None:
    rows = report.summarize(FIGURES)
    assert rows[0]["median"] == {"stackr": 0.6, "compose": 3.0}
    assert rows[0]["ratio"] == 0.2
    assert "ratio" not in rows[2]


def test_table_shows_each_step_in_its_unit() -> None:
    table = report.markdown(MACHINE, report.summarize(FIGURES), rounds=3)
    assert "| 20 services: up | 0.600 s | 3.000 s | 0.20 |" in table
    assert "| memory, 0 containers: resident memory | 40.0 MiB | 80.0 MiB | 0.50 |" in table
    assert "| only ours | 1.000 s | - | - |" in table


def test_write_leaves_a_document_and_a_table(tmp_path: Path) -> None:
    table = report.write(tmp_path, "now", MACHINE, FIGURES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["now.json", "now.md"]
    document = json.loads((tmp_path / "now.json").read_text())
    assert document["steps"][0]["rounds"]["compose"] == [3.0, 2.0, 9.0]
    assert table.read_text().startswith("Medians of 3 rounds on 2 cores (Abacus)")
