"""Text that is no Unicode, NUL, and targets that are no URL: each costs its own request alone."""

from __future__ import annotations

import socket
import uuid
from pathlib import Path

import pytest
from engine_request import request

from stackr.runtime.engine.config import EngineConfig

pytestmark = pytest.mark.root


def _status(socket_path: Path, method: str, target: str, headers: str = "") -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(60)
        client.connect(str(socket_path))
        head = f"{method} {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{headers}\r\n"
        client.sendall(head.encode("utf-8", "surrogateescape"))
        return int(client.makefile("rb").read().split()[1])


@pytest.mark.parametrize(
    "target",
    [
        "/[",
        "http://[::1",
        f"/v{'9' * 5000}/_ping",
        f"/v1.{'9' * 5000}/_ping",
        "/containers/a%00b/json",
        "/containers/%ff%fe/json",
        "/containers/json?limit=%00",
        f"/containers/json?limit={'9' * 5000}",
        "/containers/json?limit=99999999999999999999",
        "/images/%ed%a0%80/json",
        "/volumes/%00",
    ],
)
def test_a_strange_target_is_refused(engine: EngineConfig, target: str) -> None:
    assert 400 <= _status(engine.socket, "GET", target) < 500


def test_words_for_ps_have_no_nul(engine: EngineConfig) -> None:
    assert _status(engine.socket, "GET", "/containers/x/top?ps_args=%00") == 400


@pytest.mark.parametrize("seconds", ["1e400", "1e308", "9" * 500, "-1", "NaN"])
def test_a_lease_has_a_time(engine: EngineConfig, seconds: str) -> None:
    body = f'{{"project": "p", "stack": "p", "ttl_s": {seconds}}}'
    headers = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(60)
        client.connect(str(engine.socket))
        client.sendall(
            f"POST /stackr/v1/leases HTTP/1.1\r\nHost: d\r\n{headers}\r\n{body}".encode()
        )
        assert client.makefile("rb").readline().split()[1] == b"400"


@pytest.mark.parametrize("length", [237, 255, 300, 70_000])
def test_a_volumes_name_fits_into_a_folders(engine: EngineConfig, length: int) -> None:
    status, answer = request(
        engine.socket, "POST", "/volumes/create", {"Name": "v" * length, "Labels": {}}
    )
    assert status == 400
    assert "longer than 236 characters" in answer["message"]


def test_the_longest_name_of_a_volume_can_be_removed(engine: EngineConfig) -> None:
    name = uuid.uuid4().hex.ljust(236, "v")
    assert request(engine.socket, "POST", "/volumes/create", {"Name": name})[0] == 201
    assert request(engine.socket, "DELETE", f"/volumes/{name}")[0] == 204


def test_labels_that_are_no_unicode_break_no_listing(engine: EngineConfig) -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    labels = {"\ud800": "a\udfffb"}
    for kind, listing in (("volumes", "Volumes"), ("networks", None)):
        body = {"Name": name, "Labels": labels}
        status, made = request(engine.socket, "POST", f"/{kind}/create", body)
        assert status == 201, made
        try:
            status, found = request(engine.socket, "GET", f"/{kind}")
            entries = found[listing] if listing else found
            assert status == 200
            [ours] = [each for each in entries if each["Name"] == name]
            assert ours["Labels"] == {"\ufffd": "a\ufffdb"}
        finally:
            assert request(engine.socket, "DELETE", f"/{kind}/{name}")[0] == 204


def test_a_container_of_such_text_is_listed(engine: EngineConfig, busybox_image: str) -> None:
    assert _status(engine.socket, "POST", f"/images/create?fromImage={busybox_image}") == 200
    body = {
        "Image": busybox_image,
        "Cmd": ["echo", "\ud800"],
        "Env": ["A=\ud800"],
        "Labels": {"a": "\ud800"},
    }
    status, made = request(engine.socket, "POST", "/containers/create", body)
    assert status == 201, made
    try:
        assert request(engine.socket, "GET", "/containers/json?all=1")[0] == 200
        status, found = request(engine.socket, "GET", f"/containers/{made['Id']}/json")
        assert status == 200
        assert (found["Config"]["Cmd"], found["Config"]["Env"][0]) == (
            ["echo", "\ufffd"],
            "A=\ufffd",
        )
    finally:
        assert request(engine.socket, "DELETE", f"/containers/{made['Id']}?force=1")[0] == 204
