"""Registry credentials from the docker CLI's configuration, as the `X-Registry-Auth` header.

`$DOCKER_CONFIG/config.json` (`~/.docker` by default): `credHelpers`, `credsStore`, `auths`, in this
order. A helper is `docker-credential-NAME get`, which reads the registry's name on standard input.
Source: docker CLI reference, "docker login", "Credential stores" and "Credential helper protocol".
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackr.errors import InvalidArgument

__all__ = ["registry_auth", "registry_of"]

_DOCKER_HUB = "https://index.docker.io/v1/"
_NOT_FOUND = "credentials not found"


def registry_of(reference: str) -> str:
    """The registry's key in config.json: `localhost:5000/a/b` -> `localhost:5000`."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return _DOCKER_HUB if first in ("docker.io", "index.docker.io") else first
    return _DOCKER_HUB


async def registry_auth(reference: str, environ: Mapping[str, str]) -> str | None:
    """The header's value for pulling this image, or None where there are no credentials.

    Raises InvalidArgument for a configuration that cannot be read and a helper that fails.
    """
    path = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidArgument(f'registry credentials: "{path}": {error}') from error
    if not isinstance(config, dict):
        raise InvalidArgument(f'registry credentials: "{path}": not a JSON object')
    registry = registry_of(reference)
    helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    found = await _from_helper(helper, registry) if helper else None
    if found is None:
        found = _from_file(config, registry, path)
    if found is None:
        return None
    return base64.urlsafe_b64encode(
        json.dumps(found | {"serveraddress": registry}).encode()
    ).decode()


async def _from_helper(helper: str, registry: str) -> dict[str, str] | None:
    program = f"docker-credential-{helper}"
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise InvalidArgument(
            f"registry credentials: {program}: {error.strerror}",
            hint="install the helper, or take it out of docker's config.json",
        ) from error
    out, _ = await process.communicate(registry.encode())
    if process.returncode:
        text = out.decode(errors="replace").strip()
        if _NOT_FOUND in text:
            return None
        raise InvalidArgument(f"registry credentials: {program}: {text or 'failed'}")
    try:
        answer = json.loads(out)
        name, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"registry credentials: {program}: not an answer") from error
    if name == "<token>":
        return {"identitytoken": secret}
    return {"username": name, "password": secret}


def _from_file(config: dict[str, Any], registry: str, path: Path) -> dict[str, str] | None:
    auths = config.get("auths") or {}
    entry = auths.get(registry) or auths.get(f"https://{registry}") or {}
    if entry.get("identitytoken"):
        return {"identitytoken": entry["identitytoken"]}
    if not entry.get("auth"):
        return None
    try:
        name, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f'registry credentials: "{path}": auths["{registry}"].auth is not base64'
        ) from error
    return {"username": name, "password": password.rstrip("\0")}
