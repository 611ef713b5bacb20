"""What the dashboard's command tells where its library is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.cli.commands.ui import how_to_add_textual


@pytest.mark.parametrize(
    ("mark", "command"),
    [
        ("pipx_metadata.json", "pipx inject stackr textual"),
        ("uv-receipt.toml", "install it again with Textual: uv tool install --with textual, "),
        ("pyvenv.cfg", "{prefix}/bin/python -m pip install textual"),
    ],
)
def test_textual_is_added_as_stackr_was_installed(tmp_path: Path, mark: str, command: str) -> None:
    (tmp_path / mark).touch()
    assert how_to_add_textual(tmp_path).startswith(command.format(prefix=tmp_path))
