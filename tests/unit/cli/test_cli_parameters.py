"""Flags may have a value, and what is no option is refused."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command

from stackr.cli.main import run
from stackr.cli.parameters import plain_flags


def test_words_that_are_no_option_are_still_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--frmat", "json"]) == 1
    assert "no such option: --frmat" in capsys.readouterr().err


def _command() -> Any:
    def command(
        ctx: typer.Context,
        words: Annotated[list[str] | None, typer.Argument()] = None,
        rm: Annotated[bool, typer.Option("--rm")] = False,
        tty: Annotated[bool, typer.Option("--tty/--no-tty", "-t/-T")] = True,
        env: Annotated[list[str] | None, typer.Option("--env", "-e")] = None,
    ) -> None:
        """Nothing."""

    app = typer.Typer(add_completion=False)
    app.command()(command)
    return get_command(app)


@pytest.mark.parametrize(
    ("argv", "want"),
    [
        (["--rm=true", "web"], ["--rm", "web"]),
        (["--rm=false", "web"], ["web"]),
        (["--rm", "--rm=0", "web"], ["web"]),
        (["--tty=false"], ["--no-tty"]),
        (["-t=false"], ["--no-tty"]),
        (["--tty=T"], ["--tty"]),
        (["--rm=maybe"], ["--rm=maybe"]),
        (["-e", "--rm=false", "web"], ["-e", "--rm=false", "web"]),
        (["--env", "--rm=false", "--rm=true"], ["--env", "--rm=false", "--rm"]),
        (["-Te", "--rm=false"], ["-Te", "--rm=false"]),
        (["-eA=1", "--rm=false"], ["-eA=1"]),
        (["--unknown=false", "--", "--rm=false"], ["--unknown=false", "--", "--rm=false"]),
    ],
)
def test_flags_may_have_a_value(argv: list[str], want: list[str]) -> None:
    assert plain_flags(argv, _command().params, interspersed=True) == want


def test_what_follows_the_first_argument_is_not_ours() -> None:
    argv = ["--rm=true", "web", "ls", "--rm=false"]
    assert plain_flags(argv, _command().params, interspersed=False) == [
        *("--rm", "web", "ls", "--rm=false")
    ]
