"""The pictures of docs/pictures show what the README says of them, and ask no other host."""

from __future__ import annotations

import re

import pytest
from pictures import PICTURES, rows

SHOWN = {
    "up": ("$ stackr up -d --wait", "shop-cache-1 Healthy", "shop is up in", "http://localhost:"),
    "diff": ("$ stackr diff", "2 to recreate", "(forces recreate)", "compose.yaml:7"),
    "test": (
        "$ stackr test -- ./check.sh",
        "the command exited with code",
        "web-1 |",
        "removed in",
    ),
    "ui": ("CONTAINER", "web-1", "8080->80", "l logs"),
    "ui-plan": ("what up would do", "shop/web:2.5", "u up"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_shows_what_is_said_of_it(name: str) -> None:
    svg = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    text = "\n".join(rows(svg))
    assert [each for each in SHOWN[name] if each not in text] == []
    assert len(svg) < 50_000
    assert not re.search(r"url\([\"']?https?:", svg)


def test_every_picture_is_of_something() -> None:
    assert {path.stem for path in PICTURES.glob("*.svg")} == set(SHOWN)
