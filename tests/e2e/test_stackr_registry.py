"""Images that their registry has anew: told by `diff` without a pull, and brought by `up`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import busybox_image
import loopback_registry
import pytest
from stackr_stack import Stack, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(300)]

Docker = Callable[..., Any]

STACK = """\
    services:
      web:
        image: {image}
        command: sleep 1000
        stop_signal: KILL
        pull_policy: {policy}
    """


@pytest.fixture
def push(registry: str, tmp_path: Path) -> Callable[[str], str]:
    """Push an image that holds this word, always under one name, which is given."""
    reference = f"{registry}/test/{uuid.uuid4().hex[:8]}:1"

    def push_image(word: str) -> str:
        image = busybox_image.busybox_image(Labels={"word": word})
        loopback_registry.push(image, reference, tmp_path / word)
        return reference

    return push_image


def image_id(docker: Docker, reference: str) -> str:
    return str(docker("image", "inspect", "-f", "{{.Id}}", reference).stdout)


@pytest.mark.parametrize("policy", ["always", "every_1s"])
def test_an_image_that_moved(
    stack: Stack, docker: Docker, push: Callable[[str], str], policy: str
) -> None:
    reference = push("one")
    stack.write(STACK.format(image=reference, policy=policy))
    stack("up", "-d")
    ids, old = stack.ids(), image_id(docker, reference)
    stack("diff", "--exit-code")
    push("two")
    until(lambda: stack("diff", "--exit-code", want=None).returncode == 2)
    plan = json.loads(stack("diff", "--format", "json").stdout)
    assert plan["summary"] == {"recreate": 1, "pull": 1}
    [field] = plan["changes"][1]["fields"]
    assert (field["path"], field["note"]) == ("image", "moved at its registry")
    assert field["old"] != field["new"]
    assert "moved at its registry" in stack("up", "--dry-run").stdout
    assert "no changes" in stack("diff", "--pull", "missing").stdout
    assert (stack.ids(), image_id(docker, reference)) == (ids, old)
    stack("up", "-d")
    assert stack.ids() != ids
    digests = docker("image", "inspect", "-f", "{{json .RepoDigests}}", reference).stdout
    assert field["new"] in digests
    stack("diff", "--exit-code")


def test_a_policy_of_time_leaves_a_young_image_alone(
    stack: Stack, push: Callable[[str], str]
) -> None:
    stack.write(STACK.format(image=push("one"), policy="daily"))
    stack("up", "-d")
    push("two")
    assert "no changes" in stack("diff", "--exit-code").stdout
    assert "Pull" not in stack("up", "-d").stderr


def test_a_saved_plan_pulls_what_was_approved(
    stack: Stack, docker: Docker, push: Callable[[str], str]
) -> None:
    reference = push("one")
    stack.write(STACK.format(image=reference, policy="always"))
    stack("up", "-d")
    push("two")
    stack("diff", "--out", "plan.json")
    ids, old = stack.ids(), image_id(docker, reference)
    push("three")
    told = stack("apply", "plan.json", want=1).stderr
    assert f"image {reference} at its registry is changed" in told
    assert (stack.ids(), image_id(docker, reference)) == (ids, old)
    stack("diff", "--out", "plan.json")
    stack("apply", "plan.json")
    assert stack.ids() != ids
    assert image_id(docker, reference) != old
    stack("diff", "--exit-code")


def test_a_registry_that_cannot_be_asked_is_named(stack: Stack, docker: Docker) -> None:
    docker("tag", stack.environ["IMAGE"], "127.0.0.1:1/none:1")
    stack.write(STACK.format(image="127.0.0.1:1/none:1", policy="missing"))
    stack("up", "-d")
    told = stack("diff", "--pull", "always", want=1).stderr
    assert "image 127.0.0.1:1/none:1: cannot ask its registry: " in told
    stack("down")
    docker("rmi", "127.0.0.1:1/none:1")
