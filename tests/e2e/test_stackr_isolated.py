"""`--isolated`: two git worktrees of one repository, each with the same stack of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from engine_request import request
from stackr_stack import Stack, until

from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

SHOP = """\
    services:
      web:
        image: ${IMAGE}
        command: sh -c 'mkdir /www; echo "$$AT" > /www/index.html; exec httpd -f -p 80 -h /www'
        container_name: fixed-isolated-name
        init: true
        ports: ["18081:80", "18082-18084:90"]
        environment: {AT: "${STACKR_WEB_80_URL:-none}"}
        volumes: [data:/data, ./own:/own, /srv:/srv]
    volumes:
      data: {name: fixed-isolated-data}
    """


@pytest.fixture
def trees(stack: Stack) -> Iterator[tuple[Stack, Stack]]:
    """Two worktrees of the stack's repository; nothing of either is left in the end."""
    stack.write(SHOP)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(stack.folder))
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
        subprocess.run([*git, *words], check=True)
    found = []
    for name in ("one", "two"):
        folder = stack.folder.parent / f"{stack.name}-{name}"
        subprocess.run([*git, "worktree", "add", "-q", str(folder)], check=True)
        found.append(Stack(folder, stack.engine, stack.name))
        found[-1].environ = stack.environ
    yield found[0], found[1]
    for tree in found:
        tree.end()
        tree.folder.mkdir(exist_ok=True)
        tree("down", "-v", "-t", "0", "-p", f"{stack.name}-{tree.folder.name}")
        shutil.rmtree(tree.folder)


def of_copies(engine: EngineConfig, name: str) -> list[str]:
    """The names of all that the copies of a stack have."""
    named: list[str] = []
    for path in ("/containers/json?all=1", "/networks", "/volumes"):
        answer: Any = request(engine.socket, "GET", path)[1]
        items = answer["Volumes"] if isinstance(answer, dict) else answer
        named += [each.get("Name") or each["Names"][0] for each in items]
    return [each for each in named if f"{name}-" in each]


def addresses(tree: Stack) -> dict[str, Any]:
    found = json.loads(tree("env", "--isolated", "--json").stdout)
    assert isinstance(found, dict)
    return found


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as page:
        text: bytes = page.read()
    return text.decode().strip()


def answers(url: str) -> bool:
    try:
        return read(url) == url
    except OSError:
        return False


def test_two_worktrees_at_once(stack: Stack, trees: tuple[Stack, Stack]) -> None:
    starting = [tree.start("up", "-d", "--isolated") for tree in trees]
    told = [process.communicate(timeout=180)[1] for process in starting]
    assert [process.returncode for process in starting] == [0, 0], told
    assert all('service "web": /srv is writable, and shared' in each for each in told)
    assert all("/own" not in each for each in told)
    found = [addresses(tree) for tree in trees]
    urls = [each["STACKR_WEB_80_URL"] for each in found]
    assert urls[0] != urls[1]
    for url in urls:  # each is told where it is reached, and nobody else's page is there
        until(partial(answers, url))
    listed = {row["Name"]: row for row in json.loads(stack("ls", "--format", "json").stdout)}
    for tree, each in zip(trees, found, strict=True):
        row = listed[each["STACKR_PROJECT"]]
        assert (row["Isolated"], row["Folder"]) == (each["STACKR_ISOLATED"], str(tree.folder))
        assert tree("diff", "--isolated", "--exit-code").returncode == 0
    assert stack("ps", "-q").stdout == ""  # the stack itself is another one
    lines = stack("-p", found[0]["STACKR_PROJECT"], "env").stdout.splitlines()
    assert f"STACKR_WEB_80_URL={urls[0]}" in lines

    # the same ports after a change, an end, and by the variable
    one = trees[0]
    one("down", "--isolated", "-t", "0")
    (one.folder / "compose.yaml").write_text(SHOP.replace("18081:80", "18091:80"))
    one.environ = {**one.environ, "STACKR_ISOLATED": "1"}
    one("up", "-d")
    assert addresses(one)["STACKR_WEB_80_URL"] == urls[0]
    one("rollback", "1")
    assert addresses(one)["STACKR_WEB_80_URL"] == urls[0]

    # two folders cannot have one name
    taken = trees[1]("up", "-d", f"--isolated={found[0]['STACKR_ISOLATED']}", want=1).stderr
    assert f"it is the one of {one.folder}" in taken


def test_a_copy_goes_with_its_folder_and_one_that_was_killed_goes_on(
    stack: Stack, trees: tuple[Stack, Stack]
) -> None:
    one, two = trees
    process = one.start("up", "-d", "--isolated", "--ttl", "1h")
    until(lambda: of_copies(stack.engine, stack.name), "the first of it")
    process.send_signal(signal.SIGKILL)
    process.wait()
    one("up", "-d", "--isolated")
    leases: Any = request(stack.engine.socket, "GET", "/stackr/v1/leases")[1]
    [lease] = [each for each in leases if each["project"].startswith(stack.name)]
    assert lease["folder"] == str(one.folder)
    assert lease["expires"]
    two("up", "-d", "--isolated")
    two("down", "--isolated", "-t", "0")  # whose volumes and history stay, without a lease
    for tree in trees:
        shutil.rmtree(tree.folder)
    until(lambda: not [n for n in of_copies(stack.engine, stack.name) if "-one" in n], "its end")
    assert of_copies(stack.engine, stack.name)
    done = stack("up", "-d", "--isolated=three")
    assert f"-two: removed, as its folder {two.folder} is gone" in done.stderr
    stack("down", "-v", "-t", "0", "--isolated=three")
    assert of_copies(stack.engine, stack.name) == []


def test_what_cannot_be_isolated_says_so(stack: Stack) -> None:
    stack.write(SHOP)
    for command, why in (
        (("test", "--isolated", "--", "true"), "a test's copy is isolated in any case"),
        (("ls", "--isolated"), "it is about no"),
        (("config", "--isolated=x"), "it is about no"),
    ):
        assert why in stack(*command, want=1).stderr
    assert "cannot be a name" in stack("--isolated=A/b", "ps", want=1).stderr
    assert "is running" in stack("env", "--isolated", want=1).stderr


def test_an_expired_copy_is_gone_and_its_volume_stays(stack: Stack) -> None:
    stack.write(SHOP)
    for ttl in ("1h", "500ms"):  # the second has nothing to do that its end could disturb
        stack("up", "-d", "--isolated=x", "--ttl", ttl)
    until(lambda: stack("ps", "-aq", "--isolated=x").stdout == "", "its end")
    assert "fixed-isolated-data-x" in stack("volume", "ls", "-q").stdout
    stack("down", "-v", "--isolated=x")
