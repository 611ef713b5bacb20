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
    "build": {"stackr": [1.0], "compose": [4.0], "buildah": [2.0]},
    "port: MiB/s": {"stackr": [1200.4], "compose": [1000.0]},
    "port: requests/s": {"stackr": [950.0], "compose": [1000.0]},
}


def test_ratio_is_ours_by_theirs_of_the_medians() -> None:
    rows = report.summarize(FIGURES)
    assert rows[0]["median"] == {"stackr": 0.6, "compose": 3.0}
    assert rows[0]["ratio"] == 0.2
    assert "ratio" not in rows[2]


def test_table_shows_each_step_in_its_unit() -> None:
    table = report.markdown(MACHINE, report.Found(FIGURES))
    assert "| 20 services: up | 0.600 s | 3.000 s | 0.20 |" in table
    assert "| memory, 0 containers: resident memory | 40.0 MiB | 80.0 MiB | 0.50 |" in table
    assert "| only ours | 1.000 s | - | - |" in table
    assert "| port: throughput | 1200 MiB/s | 1000 MiB/s | 1.20 |" in table
    assert "| port: requests/s | 950/s | 1000/s | 0.95 |" in table


def test_a_peer_without_a_column_has_a_line_of_its_own() -> None:
    table = report.markdown(MACHINE, report.Found(FIGURES))
    assert "| build | 1.000 s | 4.000 s | 0.25 |" in table
    assert "| build, beside buildah | 1.000 s | 2.000 s | 0.50 |" in table


def test_what_is_left_out_is_said_once() -> None:
    found = report.Found(FIGURES)
    for _ in range(2):
        found.note("buildah is not installed, and not in the table.")
    assert report.markdown(MACHINE, found).count("buildah is not installed") == 1


def test_write_leaves_a_document_and_a_table(tmp_path: Path) -> None:
    table = report.write(tmp_path, "now", MACHINE, report.Found(FIGURES))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["now.json", "now.md"]
    document = json.loads((tmp_path / "now.json").read_text())
    assert document["steps"][0]["rounds"]["compose"] == [3.0, 2.0, 9.0]
    assert table.read_text().startswith("Medians of 3 rounds on 2 cores (Abacus)")
