"""The engine's socket in a container, with what its clients need there."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from stackr.registry.credentials import all_credentials
from stackr.runtime.container import ContainerConfig, Mount
from stackr.runtime.docker.api_socket import with_api_socket


def credentials(folder: Path, config: object) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(config))
    return {"DOCKER_CONFIG": str(folder)}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_socket_configuration_and_variable_are_there(tmp_path: Path) -> None:
    environ = credentials(tmp_path, {"auths": {"localhost:5000": {"auth": encoded("me:pw")}}})
    config = await with_api_socket(ContainerConfig("x"), "/run/stackr.sock", environ)
    assert config.mounts == (Mount("bind", "/var/run/docker.sock", "/run/stackr.sock"),)
    assert config.environment == {"DOCKER_CONFIG": "/run/secrets/docker"}
    [file] = config.files
    assert file.path == "/run/secrets/docker/config.json"
    assert json.loads(file.content) == {"auths": {"localhost:5000": {"auth": encoded("me:pw")}}}


@pytest.mark.parametrize("value", ["/mine", None])
async def test_a_variable_of_the_services_own_wins(tmp_path: Path, value: str | None) -> None:
    asked = ContainerConfig("x", environment={"DOCKER_CONFIG": value})
    config = await with_api_socket(asked, "", {"DOCKER_CONFIG": str(tmp_path)})
    assert config.environment == {"DOCKER_CONFIG": value}
    assert config.mounts[0].source == "/var/run/docker.sock"
    assert json.loads(config.files[0].content) == {"auths": {}}


async def test_credentials_of_helpers_are_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-fake"
    helper.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = list ]; then echo \'{"a.example": "me", "b.example": "<token>"}\'; exit; fi\n'
        "read -r server\n"
        'case "$server" in\n'
        '  a.example) echo \'{"Username": "me", "Secret": "pw"}\';;\n'
        '  b.example) echo \'{"Username": "<token>", "Secret": "t"}\';;\n'
        "  *) echo credentials not found in native keychain; exit 1;;\n"
        "esac\n"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config = {"credsStore": "fake", "auths": {"c.example": {"auth": encoded("x:y")}, "d": {}}}
    assert await all_credentials(credentials(tmp_path, config)) == {
        "a.example": {"auth": encoded("me:pw")},
        "b.example": {"identitytoken": "t"},
        "c.example": {"auth": encoded("x:y")},
    }
