"""Which commands a warm process is never asked to run."""

from __future__ import annotations

import pytest

from stackr.warm import client


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("ps", True),
        ("logs ui", True),
        ("-p demo logs ui", True),
        ("exec ui sh", True),
        ("ui", False),
        ("-f stack.yml ui", False),
        ("--no-color ui", False),
        ("test -- true", False),
    ],
)
def test_what_needs_the_terminal_itself_runs_by_itself(
    monkeypatch: pytest.MonkeyPatch, words: str, wanted: bool
) -> None:
    for name in ("LISTEN_FDS", "STACKR_ENGINE", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STACKR_WARM", "1")
    monkeypatch.setenv("_STACKR_COMPLETE", "x")  # whether it is in the background does not count
    monkeypatch.setattr("sys.argv", ["stackr", *words.split()])
    assert client.is_wanted() == wanted
