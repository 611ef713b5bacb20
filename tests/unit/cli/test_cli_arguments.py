"""argv to dataclasses: what is a file, a service, a moment, a signal; what contradicts itself."""

from __future__ import annotations

import pytest

from stackr.cli.arguments import (
    Targets,
    is_set,
    parse_moment,
    parse_pull,
    parse_rmi,
    parse_scale,
    parse_signal,
    parse_tail,
    split_targets,
)
from stackr.cli.up_arguments import UpArguments
from stackr.errors import InvalidArgument
from stackr.planner.plan.options import UpOptions


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (None, Targets()),
        (["stack.yml", "web", "db"], Targets(("stack.yml",), ("web", "db"))),
        (["web", "a.yaml", "b.yml"], Targets(("a.yaml", "b.yml"), ("web",))),
        (["dir/there"], Targets(("dir/there",), ())),
        (["dir/not-there"], Targets((), ("dir/not-there",))),
        (["there"], Targets((), ("there",))),
        (["-", "web"], Targets(("-",), ("web",))),
    ],
)
def test_split_targets(words: list[str] | None, want: Targets) -> None:
    assert split_targets(words, is_file=lambda path: path in {"dir/there", "there"}) == want


def test_scale() -> None:
    assert parse_scale(["web=3", "db=0", "web=2"]) == {"web": 2, "db": 0}
    assert parse_scale(None) == {}


@pytest.mark.parametrize(
    "word", ["web", "web=", "=3", "web=-1", "web=x", "web=1.5", "web=²", f"web={'9' * 5000}"]
)
def test_scale_refuses(word: str) -> None:
    with pytest.raises(InvalidArgument, match="SERVICE=NUM is expected"):
        parse_scale([word])


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (None, None),
        ("10m", 9400.0),
        ("1h30m", 4600.0),
        ("90s", 9910.0),
        ("1.5s", 9998.5),
        ("1767360217", 1767360217.0),
        ("2026-01-02T13:23:37Z", 1767360217.0),
        ("2026-01-02T15:23:37+02:00", 1767360217.0),
        ("2026-01-02T13:23:37.123456789Z", 1767360217.123456),
    ],
)
def test_moments(text: str | None, want: float | None) -> None:
    assert parse_moment("--since", text, now=10000.0) == want


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "10x",
        "2026-13-40",
        "-5m",
        "9" * 5000,
        "9" * 5000 + "h",
        "\u0663m",
        "\u0663",
    ],
)
def test_moments_refuse(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"--since: .* is expected"):
        parse_moment("--since", text, now=0.0)


def test_tail() -> None:
    assert parse_tail("all") is None
    assert parse_tail("0") == 0
    for text in ("-1", "9" * 5000, "²"):
        with pytest.raises(InvalidArgument, match="--tail"):
            parse_tail(text)


def test_signals() -> None:
    assert parse_signal("hup") == "SIGHUP"
    assert parse_signal("SIGKILL") == "SIGKILL"
    assert parse_signal("9") == "9"
    for text in ("SIGNONE", "", "0", "100", "_X"):
        with pytest.raises(InvalidArgument, match="Invalid signal"):
            parse_signal(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"options": UpOptions(wait=True), "watch": True},
            "--wait and --watch cannot be combined",
        ),
        (
            {"detach": True, "abort_on_exit": True},
            "--detach and --abort-on-container-exit cannot be combined",
        ),
        ({"options": UpOptions(wait_timeout_s=5.0)}, "--wait-timeout needs --wait"),
    ],
)
def test_up_refuses_contradictions(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        UpArguments(**options)  # type: ignore[arg-type]


def test_up_is_attached_unless_told_otherwise() -> None:
    assert UpArguments().is_attached
    assert not UpArguments(detach=True).is_attached
    assert not UpArguments(options=UpOptions(wait=True)).is_attached


def test_policies_and_choices() -> None:
    assert parse_pull(None) is None
    assert parse_pull("if_not_present") == "missing"
    assert parse_pull("always") == "always"
    with pytest.raises(InvalidArgument, match='--pull: unknown value "sometimes": always, missing'):
        parse_pull("sometimes")
    assert parse_rmi("local") == "local"
    with pytest.raises(InvalidArgument, match='--rmi: unknown value "some": all or local'):
        parse_rmi("some")


def test_variables_that_say_yes() -> None:
    assert is_set("X", {"X": "true"})
    assert is_set("X", {"X": "1"})
    assert not is_set("X", {"X": "0"})
    assert not is_set("X", {})
