"""A bind source that is missing and looks like a file is told, with the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.errors import InvalidProject
from stackr.spec.load import LoadOptions, load
from stackr.stack.bind_sources import check_grants, folder_hint, missing_context, missing_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("nginx.conf", "Caddyfile", "README.md"):
        (tmp_path / name).touch()
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.mark.parametrize("name", ["nginx.conf", "data", "new-folder", "conf.d", "v1.2", ".cache"])
def test_what_is_there_or_may_be_a_folder_is_fine(folder: Path, name: str) -> None:
    assert missing_file(str(folder / name)) is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ngnix.conf", ': did you mean "nginx.conf"?'),
        ("Cadyfile", ': did you mean "Caddyfile"?'),
        ("prometheus.yml", ""),
        (".env", ""),
        (".env.local", ""),
        ("nowhere/init.sql", ""),
    ],
)
def test_a_missing_file_is_told(folder: Path, name: str, hint: str) -> None:
    source = str(folder / name)
    want = f'"{source}" does not exist, and a folder would be made there{hint}'
    assert missing_file(source) == want


def test_a_folder_that_was_made_for_a_missing_file_is_told(folder: Path) -> None:
    made = folder / "data"
    message = (
        f'error mounting "{made}" to rootfs at "/etc/nginx.conf": not a directory: unknown: '
        "Are you trying to mount a directory onto a file (or vice-versa)?"
    )
    hint = folder_hint(message)
    assert hint is not None
    assert hint.startswith(f'"{made}" is a folder, made where there was no file, and /etc/nginx')
    (made / "kept").touch()
    assert folder_hint(message) is None
    assert folder_hint(message.replace("data", "README.md")) is None


def test_a_missing_context_is_told_with_what_may_be_meant(folder: Path) -> None:
    assert missing_context(str(folder / "data"), "") is None
    assert missing_context("https://example.org/x.git", "Dockerfile") is None
    assert missing_context(str(folder / "dta"), "Dockerfile") == 'did you mean "data"?'
    assert missing_context(str(folder / "other"), "x") == "make the folder, or correct its path"


def test_a_missing_dockerfile_is_told_with_what_may_be_meant(folder: Path) -> None:
    context = folder / "data"
    named = missing_context(str(context), "Dockerfile")
    assert named == "write it, or name another with build.dockerfile"
    (context / "dockerfile.dev").touch()
    assert missing_context(str(context), "Dockerfile") == 'did you mean "dockerfile.dev"?'
    assert missing_context(str(context), "dockerfile.dev") is None


def test_a_link_that_leads_nowhere_is_there(folder: Path) -> None:
    (folder / "x.conf").symlink_to("nowhere")
    assert missing_file(str(folder / "x.conf")) is None


def test_the_file_of_a_secret_is_missing(folder: Path) -> None:
    (folder / "compose.yaml").write_text(
        "services:\n  web: {image: app, secrets: [pw], configs: [here]}\n  db: {image: app}\n"
        "secrets:\n  pw: {file: ngnix.conf}\nconfigs:\n  here: {file: README.md}\n"
    )
    project = load(LoadOptions(), {}, folder)
    check_grants(project, ["db"])
    with pytest.raises(InvalidProject) as caught:
        check_grants(project, ["web", "db"])
    assert str(caught.value) == (
        f'compose.yaml:5:14: secrets.pw.file: "{folder}/ngnix.conf" does not exist; '
        'service "web" is given it'
    )
    assert caught.value.hint == 'did you mean "nginx.conf"?'
