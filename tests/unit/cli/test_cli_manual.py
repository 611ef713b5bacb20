"""The manual pages: one for each command, from the same declarations as its help."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stackr.cli.manual import pages, write_pages
from stackr.cli.registry import COMMANDS

PAGES = dict(pages())


def test_each_command_has_a_page() -> None:
    assert {"stackr", "stackr-engine-start"} | {f"stackr-{name}" for name in COMMANDS} <= set(PAGES)


@pytest.mark.parametrize("name", list(PAGES))
def test_a_page_says_what_help_says(name: str) -> None:
    text = PAGES[name]
    found = re.findall(r"^\.SH (.*)$", text, re.M)
    assert found[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
    assert found[-1] == "SEE ALSO"
    assert "COMMON OPTIONS" in found
    assert not re.search(r"^['.](?!SH|TP|TH|B )", text, re.M)


def test_options_stand_as_they_are_typed() -> None:
    assert "\\fB\\-d, \\-\\-detach\\fR\nLeave the containers running\n" in PAGES["stackr-up"]


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_a_page_can_be_read(tmp_path: Path) -> None:
    write_pages(tmp_path)
    assert len(list(tmp_path.iterdir())) == len(PAGES)
    done = subprocess.run(
        ["man", "--warnings", "-l", str(tmp_path / "stackr-up.1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "--wait-timeout DURATION" in done.stdout
