"""Commands on single things beside the docker CLI's own, on one engine: output and exit code."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest
from polling import until
from pty_process import on_terminal
from stackr_stack import Stack

from stackr.cli.main import run
from stackr.runtime.docker.client import NEWEST_API
from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e]

Docker = Callable[..., subprocess.CompletedProcess[str]]
_LISTS = Path(__file__).with_name("objects") / "lists.txt"
_AGO = re.compile(r"(\d+|About an?|Less than a) (second|minute)s?( ago)?")


class Done(NamedTuple):
    code: int
    out: str


class Both:
    """Runs a command by docker and by stackr, on one engine."""

    def __init__(self, engine: str) -> None:
        self._environ = {
            **os.environ,
            "DOCKER_HOST": engine,
            "DOCKER_CLI_HINTS": "0",
            "DOCKER_API_VERSION": ".".join(map(str, NEWEST_API)),  # the same answers for both
        }
        self._engine = engine

    def docker(self, words: str) -> Done:
        done = subprocess.run(
            ["docker", *shlex.split(words)],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
        return Done(done.returncode, _ageless(done.stdout.decode()))

    def stackr(self, words: str) -> Done:
        """In this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "oe")
        with (
            open(os.devnull) as nothing,
            mock.patch("sys.stdin", nothing),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = run(["--engine", self._engine, *shlex.split(words)])
        return Done(code, _ageless(out.buffer.getvalue().decode()))

    def same(self, words: str) -> None:
        """A command that changes nothing. docker shows the names of one image in any order."""
        ours, theirs = self.stackr(words), self.docker(words)
        if words.startswith("image ls"):
            assert (ours.code, sorted(ours.out.splitlines())) == (
                theirs.code,
                sorted(theirs.out.splitlines()),
            )
        else:
            assert ours == theirs

    def is_same(self, words: str) -> bool:
        return self.stackr(words) == self.docker(words)


def _ageless(text: str) -> str:
    return re.sub(" +", " ", _AGO.sub("AGO", text))


@pytest.fixture(scope="module")
def both(engine: EngineConfig, busybox_image: str) -> Iterator[Both]:
    """With a container `obj-up` that runs, and `obj-made` that never did."""
    both = Both(f"unix://{engine.socket}")
    for words in (
        # What other tests have left would be there for the first of both to remove.
        *("builder prune -af", "image prune -f", "container prune -f", "volume prune -f"),
        "network prune -f",
        f"pull -q {busybox_image}",
        f"run -d --name obj-up -p 127.0.0.1::80 -l a=b -v obj-data:/data {busybox_image} sleep 900",
        f"create --name obj-made {busybox_image} true",
    ):
        assert both.docker(words).code == 0
    try:
        yield both
    finally:
        both.docker("rm -f -v obj-up obj-made")
        both.docker("volume rm obj-data")


@pytest.mark.parametrize(
    "words",
    [
        *("container ls", "container ps -a", "container list -aq --no-trunc", "container ls -as"),
        "container ls -a --filter name=obj- --filter label=a=b",
        "container ls -n 1 --format json",
        "container ls -l --format '{{.ID}} {{.Names}} {{.Label \"a\"}} {{json .Ports}}'",
        "container ls -a --format 'table {{.Names}}\\t{{.State}}\\t{{.Mounts}}'",
        *("container ls -f nonsense", "container ls --nonsense", "container ls -f a=b"),
        *("container inspect obj-up", "inspect obj-up obj-none obj-data bridge", "inspect none"),
        "container inspect -f '{{.State.Status}} {{json .Config.Labels}}' obj-up obj-none",
        *("inspect --type volume obj-up", "container inspect --size -f {{.SizeRw}} obj-up"),
        *(
            "container rm",
            "container rm obj-none",
            "container rm -f obj-none",
            "container rm obj-up",
        ),
        *("container stop obj-none", "container kill -s NOPE obj-up", "container unpause obj-up"),
        *("container run --rm {image} sh -c 'echo out; exit 3'", "container run --rm {image} none"),
        *("container run --rm {image} /etc/passwd", "container run --rm -t {image} echo hi"),
        *("container run --rm --pull never none true", "container run --rm -it {image} true"),
        "container run --rm --network none -h h1 -e A=b -w /tmp {image} sh -c 'hostname; pwd; env'",
        *("container exec obj-up sh -c 'exit 9'", "container exec obj-up none"),
        *("container exec -t obj-up tty", "container exec -e X=1 -u 1000 obj-up id -u"),
        *("container exec obj-made true", "container attach obj-made", "container logs obj-up"),
        *("container port obj-up", "container port obj-up 80", "container port obj-up 99/udp"),
        *("container top obj-up", "container top obj-up -o pid,comm", "container top obj-made"),
        *("container stats --no-stream obj-none", "container update obj-up", "container prune"),
        "container stats --no-stream --format '{{.Name}} {{.PIDs}}' obj-up",
        *("container update --cpus x obj-up", "container update -m 64m --memory-swap 1g obj-up"),
        *("container cp obj-up:/none x", "container cp a b", "container export -o /none/x obj-up"),
        *("container commit obj-none", "container diff obj-none", "container start obj-none"),
        *("container start obj-up obj-none", "container start -a obj-up obj-made"),
        *("container rename obj-none x", "container pause obj-made", "container wait obj-none"),
    ],
)
def test_the_same_as_docker(both: Both, busybox_image: str, words: str) -> None:
    both.same(words.replace("{image}", busybox_image))


def test_images_networks_and_volumes(both: Both, busybox_image: str) -> None:
    for words in _LISTS.read_text().splitlines():
        if " --until 0s" in words:  # "now" is a whole second, and may be another one for the other
            until(partial(both.is_same, words), words)
        else:
            both.same(words.replace("{image}", busybox_image))


def test_things_are_made_and_removed(both: Both, busybox_image: str) -> None:
    for words, out in (
        ("volume create --label a=b obj-v", "obj-v\n"),
        ("volume ls -f label=a=b --format '{{.Name}} {{.Label \"a\"}}'", "obj-v b\n"),
        ("volume rm obj-v", "obj-v\n"),
        ("network connect --alias web obj-n obj-up", ""),
        ("network disconnect obj-n obj-up", ""),
        ("network rm obj-n", "obj-n\n"),
        (f"image tag {busybox_image} obj-i:1", ""),
        ("image rm obj-i:1", "Untagged: obj-i:1\n"),
        (f"image pull -q {busybox_image}", f"{busybox_image}\n"),
    ):
        if words.startswith("network connect"):
            made = both.stackr("network create --internal --label a=b obj-n")
            assert made == both.docker("network inspect -f {{.Id}} obj-n")
        assert both.stackr(words) == Done(0, out), words


def test_a_container_is_stopped_renamed_and_removed(both: Both, busybox_image: str) -> None:
    assert both.docker(f"run -d --name obj-a {busybox_image} sleep 900").code == 0
    for words in ("pause obj-a", "unpause obj-a", "restart -t 0 obj-a", "kill obj-a", "stop obj-a"):
        assert both.stackr(f"container {words}") == Done(0, "obj-a\n"), words
    assert both.stackr("container wait obj-a") == Done(0, "137\n")
    assert both.stackr("container rename obj-a obj-b") == Done(0, "")
    assert both.stackr("container rm -v obj-b obj-none") == Done(1, "obj-b\n")
    assert both.docker("inspect obj-b").code == 1


def test_input_output_and_the_id(both: Both, busybox_image: str, tmp_path: Path) -> None:
    file = tmp_path / "id"
    done = both.stackr(f"container run -d --name obj-c --cidfile {file} {busybox_image} sleep 900")
    assert done == Done(0, f"{file.read_text()}\n")
    try:
        for words in (
            f"container run --cidfile {file} {busybox_image} true",
            f"container run --cidfile {tmp_path / 'other'} --pull never none",
        ):
            assert both.stackr(words) == Done(125, "")
        assert [path.name for path in tmp_path.iterdir()] == ["id"]
    finally:
        both.docker("rm -f obj-c")


def test_a_terminal_its_size_and_the_way_out(stack: Stack, name: str) -> None:
    stack.environ["STACKR_ENGINE"] = f"unix://{stack.engine.socket}"
    image = stack.environ["IMAGE"]
    with on_terminal(stack, "container", "run", "-it", "--name", name, image, "sh") as shell:
        shell.resize(33, 99)
        shell.until_raw()
        shell.read_until(b"# ")
        shell.type(b"stty size\r")
        shell.read_until(b"33 99")
        shell.type(b"\x10\x11")
        assert shell.wait() == 0
    with on_terminal(stack, "container", "exec", "-it", name, "sh", "-c", "tty; exit 5") as program:
        assert program.wait() == 5
        assert b"/dev/pts/" in program.seen
    stack("container", "kill", name)
    with on_terminal(stack, "container", "start", "-ai", name) as shell:
        shell.until_raw()
        shell.read_until(b"# ")
        shell.type(b"exit 7\r")
        assert shell.wait() == 7
