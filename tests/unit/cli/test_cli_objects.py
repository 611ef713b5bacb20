"""Commands on single things: their words, tables and figures, without an engine."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stackr.cli.main import run
from stackr.cli.objects.command import FlagError
from stackr.cli.objects.docker_config import configured, with_proxies
from stackr.cli.objects.engine import path
from stackr.cli.objects.filters import filters
from stackr.cli.objects.image.platform import parse_platform
from stackr.cli.objects.listing import natural
from stackr.cli.objects.network import go_time
from stackr.cli.objects.progress import show_progress
from stackr.cli.objects.system.df import usage_rows
from stackr.cli.objects.system.events import event_text
from stackr.cli.objects.system.info import info_lines
from stackr.cli.views.table import table
from stackr.cli.views.units import age, size
from stackr.errors import InvalidArgument, NotFound


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("container ls --nonsense", 125, "no such option: --nonsense"),
        ("container ls -n x", 125, "invalid value for '--last' / '-n'"),
        ("container rm", 1, "'stackr container rm' requires at least 1 argument"),
        ("container nonsense", 1, 'unknown command "container nonsense"'),
        ("container lss", 1, 'unknown command "container lss", did you mean "ls"?'),
        ("image build .", 1, "image build: not supported: stackr build makes what a stack"),
        ("volume update x", 1, "volume update: not supported: it is for volumes of clusters"),
        ("--dry-run container ls", 1, "container: --dry-run: not supported: it does what"),
        ("-f x.yaml container ls", 1, "container: --file: not supported: it is about a stack"),
        ("--json inspect x", 1, "inspect: --json: not supported: its output is JSON"),
    ],
)
def test_mistakes_end_as_with_docker(
    words: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == code
    assert said in capsys.readouterr().err


def test_filters() -> None:
    assert filters([]) is None
    assert json.loads(filters(["label=a=b", "label=c", "Status= x"]) or "") == {
        "label": {"a=b": True, "c": True},
        "status": {"x": True},
    }
    with pytest.raises(FlagError, match="bad format of filter"):
        filters(["x"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (119, "About a minute"),
        (3599, "59 minutes"),
        (5399, "About an hour"),
        (5401, "2 hours"),
        (47.4 * 3600, "47 hours"),
        (47.6 * 3600, "2 days"),
        (15 * 86400, "2 weeks"),
        (61 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_ages_are_rounded_as_docker_does(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_a_table_keeps_the_spaces_before_an_empty_last_cell() -> None:
    assert table(("A", "B"), [("x", "")], keeps_end=True) == ["A   B", "x   "]
    assert table(("A", "B"), [("x", "")]) == ["A   B", "x"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-29T21:20:34.042651790Z", "2026-11-29 21:20:34.04265179 +0000 UTC"),
        ("2026-11-29T21:20:34.000000000Z", "2026-11-29 21:20:34 +0000 UTC"),
        ("2026-11-29T21:20:34.5+01:00", "2026-11-29 21:20:34.5 +0100 +0100"),
    ],
)
def test_times_as_go_prints_them(text: str, wanted: str) -> None:
    assert go_time(text) == wanted


def test_totals_have_four_digits() -> None:
    assert [size(1_982_302), size(1_982_302, digits=4)] == ["1.98MB", "1.982MB"]
    assert [size(999_950, digits=4), size(123_456, digits=4)] == ["1MB", "123.5kB"]


async def _lines(*items: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for item in items:
        yield item


def _shown(*items: dict[str, Any]) -> str:
    out = io.StringIO()
    asyncio.run(show_progress(_lines(*items), out))
    return out.getvalue()


def test_progress_where_nobody_looks_has_no_bars() -> None:
    bar = {"current": 1, "total": 2}
    assert (
        _shown(
            {"status": "Pulling from a/b", "id": "latest"},
            {"status": "Downloading", "id": "12ab", "progressDetail": bar},
            {"status": "Pull complete", "id": "12ab", "progressDetail": {}},
            {"stream": "Loaded image: x\n"},
            {"aux": {"Tag": "latest"}},
        )
        == "latest: Pulling from a/b\n12ab: Pull complete\nLoaded image: x\n"
    )
    with pytest.raises(NotFound, match="manifest unknown"):
        _shown({"error": "no", "errorDetail": {"message": "manifest unknown"}})


def test_what_is_used_and_what_can_be_freed() -> None:
    images = [{"Size": 900, "SharedSize": 100, "Containers": 1}, {"Size": 50, "Containers": 0}]
    rows = usage_rows({"LayersSize": 1000, "Images": images, "BuildCache": [{"Size": 5}]})
    assert [tuple(row.values()) for row in rows] == [
        ("Images", "2", "1", "1kB", "200B (20%)"),
        ("Containers", "0", "0", "0B", "0B"),
        ("Local Volumes", "0", "0", "0B", "0B"),
        ("Build Cache", "1", "0", "5B", "5B"),
    ]


def test_an_event_as_docker_prints_it() -> None:
    actor = {"ID": "1", "Attributes": {"name": "web", "image": "app"}}
    event = {"Type": "container", "Action": "start", "Actor": actor, "timeNano": 5}
    assert event_text(event).endswith("container start 1 (image=app, name=web)")
    assert ".000000005" in event_text(event)


def test_information_of_an_engine_that_says_little() -> None:
    lines = list(info_lines({"OSType": "linux", "SecurityOptions": ["name=seccomp,profile=x"]}))
    assert lines[0] == " Containers: 0"
    place = lines.index(" Security Options:")
    assert lines[place + 1 : place + 3] == ["  seccomp", "   Profile: x"]


def test_other_commands_do_not_load_these() -> None:
    """Where no warm process runs."""
    program = "import sys; from stackr.cli.group import load_command; load_command('ps')"
    shown = "print([name for name in sys.modules if name.startswith('stackr.cli.objects')])"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; {shown}"],
        env=os.environ | {"STACKR_WARM": "0"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "[]\n"


def test_defaults_of_dockers_configuration(tmp_path: Path) -> None:
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert configured("psFormat", environ) == ""
    assert with_proxies(["A=b"], "", environ) == ["A=b"]
    proxies = {"default": {"httpProxy": "http://p:1"}, "tcp://x:1": {"noProxy": "a"}}
    config = {"psFormat": "{{.ID}}", "proxies": proxies, "detachKeys": 5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert configured("psFormat", environ) == "{{.ID}}"
    assert configured("detachKeys", environ) == ""
    found = with_proxies(["HTTP_PROXY=mine"], "", environ)
    assert found == ["HTTP_PROXY=mine", "http_proxy=http://p:1"]
    assert with_proxies([], "tcp://x:1", environ) == ["NO_PROXY=a", "no_proxy=a"]


def test_names_are_in_the_order_that_people_expect() -> None:
    names = ["9f", "10a", "a10", "a2", "a02", "a", "B", "a2b", "-x", ""]
    assert sorted(names, key=natural) == [
        "",
        "-x",
        "9f",
        "10a",
        "B",
        "a",
        "a2",
        "a2b",
        "a02",
        "a10",
    ]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("linux/arm64/v8", {"architecture": "arm64", "os": "linux"}),
        ("ARM/v6", {"architecture": "v6", "os": "arm"}),
        ("armhf", {"architecture": "arm", "os": "linux", "variant": "v7"}),
        ("windows/amd64", {"architecture": "amd64", "os": "windows"}),
    ],
)
def test_platforms_as_the_api_has_them(text: str, want: dict[str, str]) -> None:
    assert parse_platform(text) == want


def test_the_host_is_what_a_platform_does_not_say() -> None:
    assert parse_platform("linux")["os"] == "linux"
    assert parse_platform("linux")["architecture"]


@pytest.mark.parametrize("text", ["/", "linux/", "a/b/c/d", "linux/a b"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid platform"):
        parse_platform(text)


def test_an_empty_name_makes_no_call() -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid network name or ID: value is empty$"):
        path("networks", "")
