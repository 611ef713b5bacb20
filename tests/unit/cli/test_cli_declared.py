"""Options that are declared at a dataclass's fields, as the parameters of a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.main import get_command

from stackr.cli.declared import Group, Words, takes
from stackr.cli.group import root_group
from stackr.cli.parameters import FlagCommand
from stackr.cli.registry import COMMANDS
from stackr.cli.targets import Targets
from stackr.errors import InvalidArgument
from stackr.options import Choice, Option, check_conflicts, given
from stackr.planner.plan.options import UpOptions


@dataclass(frozen=True, slots=True)
class Inner:
    quick: Annotated[bool, Option("--quick", help="Be quick")] = False
    keep: Annotated[bool, Option("--no-keep", turns_off=True)] = True
    mode: Annotated[
        Literal["plain", "hard", "soft"],
        Choice({"hard": Option("--hard"), "soft": Option("--soft")}),
    ] = "plain"
    unsaid: int = 7


@dataclass(frozen=True, slots=True)
class Outer:
    targets: Annotated[Targets, Words()] = field(default_factory=Targets)
    inner: Annotated[Inner, Group(("quick", "keep", "mode"), {"--quick": "In no time"})] = field(
        default_factory=Inner
    )
    names: Annotated[tuple[str, ...], Option("--name", "-n")] = ()
    scale: Annotated[Mapping[str, int], Option("--scale")] = field(default_factory=dict)
    count: Annotated[int | None, Option("--count")] = None
    form: Annotated[str, Option("--format")] = "text"
    span_s: Annotated[float | None, Option("--span", kind="span")] = None
    stop_s: Annotated[float | None, Option("--stop", kind="seconds")] = None
    tail: Annotated[int | None, Option("--tail", kind="tail")] = None
    orphans: Annotated[bool, Option("--orphans/--no-orphans")] = True
    terminal: Annotated[bool | None, Option("--tty/--no-tty", "-t/-T")] = None
    prune: Annotated[bool, Option("--prune", variable="PRUNE")] = False

    def __post_init__(self) -> None:
        check_conflicts(self, ("--quick", "--prune"), ("--no-keep", "--hard"))


def read(*words: str) -> Any:
    """What the command gets of these words."""
    found = []

    @takes(Outer, before={"--prune": "--name"})
    def probe(ctx: typer.Context, arguments: Outer) -> None:
        """Probe."""
        found.append(arguments)

    app = typer.Typer(add_completion=False)
    app.command("probe", cls=FlagCommand)(probe)
    command = get_command(app)
    with command.make_context("probe", list(words)) as ctx:
        command.invoke(ctx)
    spelled = [each.opts[0] for each in command.params]
    assert spelled.index("--prune") == spelled.index("--name") - 1
    quick: Any = next(each for each in command.params if each.opts[0] == "--quick")
    assert quick.help == "In no time"
    return found[0]


def test_nothing_given_is_what_the_dataclass_says() -> None:
    assert read() == Outer()
    assert list(given(Outer())) == []


def test_each_kind_of_option() -> None:
    words = "web a.yaml --quick --no-keep --soft -n x --name y --scale a=2 --count 3 --format json"
    more = "--span 1m --stop 2s --tail 5 --no-orphans -T"
    assert read(*words.split(), *more.split()) == Outer(
        Targets(("a.yaml",), ("web",)),
        Inner(quick=True, keep=False, mode="soft"),
        names=("x", "y"),
        scale={"a": 2},
        count=3,
        form="json",
        span_s=60,
        stop_s=2,
        tail=5,
        orphans=False,
        terminal=False,
    )
    assert read("--quick=false", "--tail", "all", "--span", "0") == Outer()


def test_a_variable_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE", "1")
    assert read().prune
    with pytest.raises(InvalidArgument, match="probe: --quick and --prune cannot be combined"):
        read("--quick")


@pytest.mark.parametrize("words", ["--hard --soft", "--no-keep --hard", "--quick --prune"])
def test_contradictions(words: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^probe: {' and '.join(words.split())} cannot be"):
        read(*words.split())


def test_what_is_given_is_known_by_its_spelling() -> None:
    options = UpOptions(scale={"web": 1}, recreate="force", start=False, services=("web",))
    assert list(given(options)) == ["--scale", "--force-recreate", "--no-start"]


_PLAIN = {
    "completion": "one word",
    "doctor": "one option",
    "engine": "it has commands of its own",
    "explain": "one option",
    "port": "two options",
    "scale": "one option",
    "version": "two options",
    "wait": "one option",
}
"""Commands whose parameters are Typer's own, and why."""


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in _PLAIN])
def test_parameters_are_declared_at_a_dataclass(name: str) -> None:
    group = root_group()
    with group.make_context("stackr", [], resilient_parsing=True) as ctx:
        command = group.get_command(ctx, name)
    own = [each for each in command.params if each.expose_value and each.name != "help"]
    assert all(each.name.startswith("own_") for each in own)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "engine"])
def test_no_two_parameters_have_one_name(name: str) -> None:
    """The values of both would go to one of them."""
    group = root_group()
    with group.make_context("stackr", [], resilient_parsing=True) as ctx:
        command = group.get_command(ctx, name)
    names = [each.name for each in command.params]
    assert sorted(names) == sorted(set(names))
