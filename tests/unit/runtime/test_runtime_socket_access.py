"""What a user who may not open an engine's socket is told to do."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from stackr.runtime.socket_access import access_hint

_GROUP = 4321


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of the group box, whose member alice is."""
    path = tmp_path / "s.sock"
    path.touch()
    box = SimpleNamespace(gr_gid=_GROUP, gr_name="box", gr_mem=["alice"])
    monkeypatch.setattr(grp, "getgrgid", lambda gid: box)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="alice"))
    monkeypatch.setattr(os, "getgroups", lambda: [1])
    return path


def test_a_member_whose_login_is_older_logs_in_again(socket: Path) -> None:
    assert access_hint(socket) == "alice is in the group box, but this login is older: log in again"


def test_others_are_told_of_the_group(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="bob"))
    expected = "run it with sudo; or: sudo usermod -aG box bob, and log in again"
    assert access_hint(socket) == expected


def test_where_no_group_may_it_is_root(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = SimpleNamespace(gr_gid=0, gr_name="root", gr_mem=[])
    monkeypatch.setattr(grp, "getgrgid", lambda gid: root)
    assert access_hint(socket) == "run it with sudo"
    assert access_hint(socket, "install it") == "install it"
    assert access_hint(socket.parent / "gone") == "run it with sudo"


def test_a_closed_folder_tells_its_group(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = Path.stat

    def refused(path: Path, **options: bool) -> os.stat_result:
        if path == socket:
            raise PermissionError
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    assert "is in the group box" in access_hint(socket)
