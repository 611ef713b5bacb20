"""Images by the docker CLI: what is removed, and what stays as something needs it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.peers]

Docker = Callable[..., subprocess.CompletedProcess[str]]


def test_a_running_containers_image_loses_its_name_alone(
    docker: Docker, pulled: str, name: str
) -> None:
    docker("tag", pulled, "mine:1")
    docker("run", "--name", name, pulled, "true")
    first = docker("commit", name, "mine:2").stdout.strip()
    docker("rm", name)
    docker("run", "-d", "--name", name, "mine:2", "sleep", "1000")
    assert docker("rmi", "-f", "mine:2").stdout == "Untagged: mine:2\n"
    second = docker("commit", name, "mine:3").stdout.strip()
    assert docker("inspect", "-f", "{{.Parent}}", second).stdout.strip() == first
    assert first not in docker("images", "-q", "--no-trunc").stdout
    assert first in docker("images", "-aq", "--no-trunc").stdout
    assert docker("history", "-q", "--no-trunc", second).stdout.split()[:2] == [second, first]
    refused = docker("rmi", "-f", first, want=1).stderr
    assert "(cannot be forced) - image has dependent child images" in refused
    docker("rm", "-f", name)
    removed = docker("rmi", "mine:3", "mine:1").stdout
    assert f"Deleted: {second}\nDeleted: {first}\n" in removed


def test_a_tag_is_not_named_as_a_digest_is(docker: Docker, pulled: str) -> None:
    refused = docker("tag", pulled, "sha256:abc", want=1).stderr
    assert "refusing to create an ambiguous tag using digest algorithm as name" in refused


def test_a_reference_narrows_what_is_listed(docker: Docker, pulled: str) -> None:
    docker("tag", pulled, "narrow:1")
    docker("tag", pulled, "narrow:2")
    shown = docker("images", "narrow", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert sorted(shown) == ["narrow:1", "narrow:2"]
    docker("rmi", "narrow:1", "narrow:2")


def test_images_go_out_and_come_back_as_archives(
    docker: Docker, pulled: str, name: str, tmp_path: Path
) -> None:
    docker("run", "--name", name, pulled, "sh", "-c", "echo kept > /root/file")
    image = docker("commit", name, "kept:1").stdout.strip()
    docker("save", "-o", str(tmp_path / "kept.tar"), "kept:1")
    docker("export", "-o", str(tmp_path / "root.tar"), name)
    docker("rmi", "kept:1")
    assert docker("load", "-i", str(tmp_path / "kept.tar")).stdout == "Loaded image: kept:1\n"
    assert docker("inspect", "-f", "{{.Id}}", "kept:1").stdout.strip() == image
    imported = docker("import", "-c", "CMD cat /root/file", str(tmp_path / "root.tar"), "kept:2")
    assert docker("run", "--rm", "kept:2").stdout == "kept\n"
    assert imported.stdout.strip() in docker("images", "-q", "--no-trunc", "kept").stdout
    assert "unexpected e" in docker("load", want=1, stdin="junk").stderr.lower()
    docker("rmi", "kept:1", "kept:2")


def test_all_tags_of_a_repository_are_pulled(docker: Docker, pulled: str) -> None:
    repository = f"{pulled.partition('/')[0]}/all-tags"
    for tag in ("one", "two"):
        docker("tag", pulled, f"{repository}:{tag}")
    docker("push", "-aq", repository)
    docker("rmi", f"{repository}:one", f"{repository}:two")
    docker("pull", "-aq", repository)
    shown = docker("images", repository, "--format", "{{.Tag}}").stdout.split()
    assert sorted(shown) == ["one", "two"]
    docker("rmi", f"{repository}:one", f"{repository}:two")
    assert "not found" in docker("pull", "-a", f"{repository}-nonesuch", want=1).stderr


def test_credentials_are_tried_at_the_registry(docker: Docker, pulled: str, tmp_path: Path) -> None:
    login = ("--config", str(tmp_path), "login", "-u", "user", "--password-stdin")
    registry = pulled.partition("/")[0]
    assert "Login Succeeded" in docker(*login, registry, stdin="word").stdout
    refused = docker(*login, "127.0.0.1:1", stdin="word", want=1).stderr
    assert "connection refused" in refused.lower()
