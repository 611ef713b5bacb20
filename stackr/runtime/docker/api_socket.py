"""`use_api_socket`: the engine's own API in a container, with the caller's registry credentials.

Source: Docker Compose, pkg/compose/apiSocket.go (`useAPISocket`); docker CLI, `--use-api-socket`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from stackr.registry.credentials import all_credentials
from stackr.runtime.container import ContainerConfig, ContainerFile, Mount

__all__ = ["with_api_socket"]

_SOCKET = "/var/run/docker.sock"
_CONFIG_FOLDER = "/run/secrets/docker"
_VARIABLE = "DOCKER_CONFIG"


async def with_api_socket(
    config: ContainerConfig, socket: str, environ: Mapping[str, str]
) -> ContainerConfig:
    """The configuration with the engine's `socket` where Docker's clients look for one.

    Their configuration is there as well, and they are told of it unless the service does so.
    """
    auths = await all_credentials(environ)
    text = json.dumps({"auths": auths}, indent="\t")
    file = ContainerFile(f"{_CONFIG_FOLDER}/config.json", text.encode())
    variables = {_VARIABLE: _CONFIG_FOLDER, **config.environment}
    mount = Mount("bind", _SOCKET, socket or _SOCKET)
    return replace(
        config,
        mounts=(*config.mounts, mount),
        files=(*config.files, file),
        environment=variables,
    )
