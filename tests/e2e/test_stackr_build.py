"""Stacks with `build:`: what is built when, what `diff` says before, what a failure shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import private_dockerd
import pytest
from pty_process import on_terminal
from stackr_stack import Stack, free_port, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., subprocess.CompletedProcess[str]]

FILE = """\
    services:
      base:
        scale: 0
        build:
          dockerfile_inline: |
            FROM {image}
            RUN echo base > /base
      web:
        build:
          context: ./web
          additional_contexts: {{common: "service:base"}}
          args: {{VERSION: "${{VERSION:-1}}"}}
          secrets: [token]
        command: sleep 1000
        stop_signal: KILL
    secrets:
      token: {{environment: TOKEN}}
    """
DOCKERFILE = """\
FROM common
ARG VERSION
RUN echo "$VERSION" > /version
COPY src /src
RUN --mount=type=secret,id=token test "$(cat /run/secrets/token)" = s3cret && touch /was-told
"""


@pytest.fixture
def built(stack: Stack, busybox_image: str) -> Stack:
    (stack.folder / "web/src").mkdir(parents=True)
    (stack.folder / "web/src/app").write_text("one\n")
    (stack.folder / "web/Dockerfile").write_text(DOCKERFILE)
    stack.write(FILE.format(image=busybox_image))
    stack.environ["TOKEN"] = "s3cret"
    return stack


def changes(plan: dict[str, object]) -> dict[str, tuple[str, str]]:
    listed = plan["changes"]
    assert isinstance(listed, list)
    return {each["resource"]["name"]: (each["change"], each["cause"]) for each in listed}


def test_up_builds_what_is_not_there_and_what_has_changed(built: Stack) -> None:
    base, web = f"{built.name}-base", f"{built.name}-web"
    assert changes(built.plan("diff", "--format", "json"))[web] == ("build", "not built yet")
    built("up", "-d")
    assert built("exec", "web", "cat", "/base", "/version", "/src/app").stdout == "base\n1\none\n"
    assert built.plan("diff", "--format", "json")["changes"] == []
    before = built.ids()
    done = built("up", "-d", "--build")
    assert "Building" not in done.stderr
    assert built.ids() == before
    (built.folder / "web/Dockerfile").write_text(DOCKERFILE + "RUNN x\n")
    for command in ("diff", "up"):
        assert "line 6: unknown instruction: RUNN" in built(command, want=1).stderr
    built("up", "-d", "--no-build")
    (built.folder / "web/Dockerfile").unlink()  # as where an image only runs
    built("diff", "--exit-code")
    (built.folder / "web/Dockerfile").write_text(DOCKERFILE)
    (built.folder / "web/src/app").write_text("two\n")
    found = changes(built.plan("diff", "--format", "json"))
    assert found[web][0] == "build"
    assert found[web][1].startswith("src/app changed; from COPY src /src (line 4) on, 1 step")
    assert found[f"{web}-1"] == ("recreate", "image changed")
    assert built("diff", "--exit-code", want=2).stdout.count("⚒ image") == 1
    built("up", "-d", "--no-build")
    assert built.ids() == before
    built("up", "-d")
    assert built("exec", "web", "cat", "/src/app").stdout == "two\n"
    built.environ["VERSION"] = "2"
    assert "ARG VERSION 1 → 2" in changes(built.plan("diff", "--format", "json"))[web][1]
    text = (built.folder / "compose.yaml").read_text()
    built.write(text.replace("echo base", "echo other"))
    found = changes(built.plan("diff", "--format", "json"))
    assert found[base] == ("build", "Dockerfile:2 changed; from RUN echo other > /base (line 2) on")
    built("up", "-d")
    assert built("exec", "web", "cat", "/base", "/version").stdout == "other\n2\n"
    built("down", "--rmi", "local")


def test_build_and_run_and_create_and_test_and_a_plan_that_is_saved(built: Stack) -> None:
    built("build")
    assert built("build", "-q").stderr == ""
    assert built("run", "--rm", "web", "cat", "/version").stdout == "1\n"
    (built.folder / "web/src/app").write_text("two\n")
    assert built("run", "--rm", "--build", "web", "cat", "/src/app").stdout == "two\n"
    (built.folder / "web/src/app").write_text("three\n")
    built("diff", "--out", "plan.json")
    built("apply", "plan.json")
    assert built("exec", "web", "cat", "/src/app").stdout == "three\n"
    (built.folder / "web/src/app").write_text("four\n")
    built("diff", "--out", "plan.json")
    (built.folder / "web/src/app").write_text("five\n")
    assert "out of date" in built("apply", "plan.json", want=1).stderr
    built("create", "--build")
    done = built("--progress", "plain", "test", "--", "true")
    assert "Building" not in done.stderr
    printed = json.loads(built("build", "--print").stdout)
    assert printed["target"]["web"]["args"] == {"VERSION": "1"}
    assert built("build", "--check").stdout == "Check complete, no warnings found.\n"
    built("down", "--rmi", "local")


def test_a_stage_is_built_anew_and_the_cache_is_removed(stack: Stack, busybox_image: str) -> None:
    stack.write(
        f"""\
        services:
          web:
            build:
              dockerfile_inline: |
                FROM {busybox_image} AS first
                RUN cat /proc/sys/kernel/random/uuid > /first
                FROM first AS last
                RUN cat /proc/sys/kernel/random/uuid > /last
        """
    )

    def made(*options: str) -> list[str]:
        stack("build", *options)
        return stack("run", "--rm", "web", "cat", "/first", "/last").stdout.split()

    before = made()
    after = made("--no-cache-filter", "last")
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert "name of a stage" in stack("build", "--no-cache-filter", "", want=1).stderr

    prune = ("image", "prune", "--build-cache")
    stack("down", "--rmi", "local")
    known = json.loads(stack("--json", *prune, "--filter", "until=24h").stdout)
    assert known == {"deleted": [], "reclaimed_bytes": 0}
    assert json.loads(stack("--json", *prune, "-a", "--keep-storage", "1TB").stdout) == known
    gone = json.loads(stack("--json", *prune, "--all").stdout)
    assert len(gone["deleted"]) >= 2
    asked = stack(*prune, "--all", stdin="n\n").stdout
    assert "remove all build cache.\nAre you sure you want to continue? [y/N]" in asked
    assert "Total reclaimed space: 0B" in stack(*prune, "--all", "--force").stdout
    assert "Total reclaimed space: 0B" in stack("builder", "prune", "-af").stdout
    assert made()[0] != before[0]
    stack("down", "--rmi", "local")
    for words, message in (
        (("--build-cache", "--filter", "label=x"), '"label=x": until=TIME'),
        (("--build-cache", "--filter", "until=soon"), "until"),
        (("--build-cache", "--keep-storage", "much"), "--keep-storage"),
    ):
        assert message in stack("image", "prune", "--force", *words, want=1).stderr


def test_an_image_that_another_service_builds_is_built_before(
    stack: Stack, busybox_image: str
) -> None:
    """Its name in a Dockerfile says so; one that is built on itself is built on what is there."""
    name = f"{stack.name}/base"
    file = f"""\
        services:
          app:
            image: {stack.name}/app:1
            build: {{dockerfile_inline: "FROM {name}:latest\\nCOPY --from={name} /v /copied"}}
          base:
            image: {name}
            scale: 0
            build: {{dockerfile_inline: "FROM {busybox_image}\\nRUN echo 1 > /v"}}
        """
    stack.write(file)
    stack("build", "app")
    assert stack("run", "--rm", "app", "cat", "/copied").stdout == "1\n"
    stack.write(file.replace("echo 1", "echo 2"))
    found = changes(stack.plan("diff", "--format", "json"))
    assert found[f"{stack.name}/app:1"][1].startswith(f"base image {name} moved; from FROM")
    assert stack("run", "--rm", "--build", "app", "cat", "/v").stdout == "2\n"
    stack.write(file.replace(f"FROM {busybox_image}", f"FROM {name}").replace("echo 1", "echo 3"))
    assert stack("run", "--rm", "--build", "base", "cat", "/v").stdout == "3\n"
    stack("down", "--rmi", "all")


def test_a_step_that_fails_shows_itself(built: Stack) -> None:
    (built.folder / "web/Dockerfile").write_text(
        "FROM common\nRUN echo before\nRUN echo said; \\\n    exit 7\nRUN echo after\n"
    )
    done = built("up", "-d", want=1)
    assert 'service "web": build: Dockerfile:3: ' in done.stderr
    assert "  > 3 | RUN echo said; \\\n  > 4 |     exit 7\n    5 | RUN echo after" in done.stderr
    assert f"last output of {built.name}-web:\n    | said\n" in done.stderr
    assert "non-zero code: 7" in done.stderr
    events = [json.loads(line) for line in built("--json", "build", want=1).stdout.splitlines()]
    steps = [e["build"]["text"] for e in events if e.get("build", {}).get("kind") == "step"]
    assert "RUN echo before" in steps
    assert events[-1]["causes"][0]["excerpt"][2] == "> 3 | RUN echo said; \\"
    assert "stackr build --debug opens a shell" in events[-1]["causes"][0]["hint"]
    (built.folder / "web/Dockerfile").write_text("FORM common\n")
    assert "did you mean FROM" in built("build", want=1).stderr


def test_a_shell_in_the_state_before_a_step_that_fails(
    stack: Stack, busybox_image: str, docker: Docker
) -> None:
    stack.write(
        f"""\
        services:
          web:
            build:
              dockerfile_inline: |
                FROM {busybox_image}
                WORKDIR /work
                RUN echo kept > state
                ARG VERSION=7
                RUN echo gone > later && test $$VERSION = 8
        """
    )
    others = docker("ps", "-aq").stdout.split()
    before = docker("images", "-aq", "--no-trunc").stdout
    assert "not a terminal" in stack("build", "--debug", want=1).stderr
    assert "non-zero code: 1" in stack("build", want=1).stderr  # all but the last step is known
    with on_terminal(stack, "build", "--debug") as process:
        process.read_until(b"state before the step")
        process.read_until(b"/work #")
        process.type(b"echo $(cat state) $VERSION $(ls) end\r")
        process.read_until(b"kept 7 state end")
        process.type(b"exit\r")
        assert process.wait() == 1
    assert set(docker("ps", "-aq").stdout.split()) <= {*others}
    assert set(docker("images", "-aq", "--no-trunc").stdout.split()) <= {
        *before.split(),
        docker("images", "-q", "--no-trunc", busybox_image).stdout.strip(),
    }


def test_dockerd_builds_by_its_own_builder(stack: Stack) -> None:
    (stack.folder / "app").write_text("one\n")
    (stack.folder / ".dockerignore").write_text("left-out\n")
    (stack.folder / "left-out").write_text("")
    stack.write(
        """\
        services:
          web:
            build:
              dockerfile_inline: |
                FROM scratch
                ARG VERSION=1
                COPY . /all
                LABEL version=$$VERSION
              args: {VERSION: "2"}
            command: /none
        """
    )
    with private_dockerd.serve() as socket:
        stack.environ["STACKR_ENGINE"] = f"unix://{socket}"
        stack("create")
        image = f"{stack.name}-web"
        said = docker(socket, "image", "inspect", image)
        assert '"version": "2"' in said
        stack("create", "--build")
        assert docker(socket, "image", "inspect", image) == said
        (stack.folder / "app").write_text("two\n")
        assert changes(stack.plan("diff", "--format", "json"))[image][1].startswith("app changed")
        stack("build")
        files = docker(socket, "export", f"{image}-1", raw=True)
        assert b"all/app" in files
        assert b"left-out" not in files.replace(b"left-out\n", b"")
        text = (stack.folder / "compose.yaml").read_text()
        stack.write(text.replace("build:", "build:\n      ssh: [x=/none]", 1))
        done = stack("build", want=1)
        assert "build.ssh: not supported by the engine's builder" in done.stderr
        stack.write(text)
        done = stack("build", "--no-cache-filter", "0", want=1)
        assert "build.no_cache_filter: not supported by the engine's builder" in done.stderr
        stack("builder", "prune", "--force", "--filter", "until=24h")
        stack("down", "--rmi", "local")
    del stack.environ["STACKR_ENGINE"]


def docker(socket: Path, *arguments: str, raw: bool = False) -> Any:
    done = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, "DOCKER_HOST": f"unix://{socket}"},
        capture_output=True,
        check=True,
    )
    return done.stdout if raw else done.stdout.decode()


def test_the_example_is_built_and_watch_rebuilds_it(stack: Stack, busybox_image: str) -> None:
    example = Path(__file__).parents[2] / "examples/stacks/pages"
    shutil.copytree(example, stack.folder, dirs_exist_ok=True)
    stack.environ |= {
        "STACKR_IMAGES": busybox_image.rpartition("/")[0],
        "PAGES_PORT": str(free_port()),
    }
    watch = stack.start("watch")
    pages = ("exec", "web", "cat", "/www/index.html")
    until(lambda: "first.html" in stack(*pages, want=None).stdout)
    until(lambda: stack("ps", "-q").stdout)
    assert watch.stderr is not None
    while "Watch enabled" not in watch.stderr.readline():
        assert watch.poll() is None
    (stack.folder / "site/pages/third.txt").write_text("new\n")
    until(lambda: "third.html" in stack(*pages, want=None).stdout)
    watch.terminate()
    watch.communicate(timeout=60)
    stack("down", "-t", "0", "--rmi", "local")
