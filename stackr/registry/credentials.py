"""Registry credentials from the docker CLI's configuration.

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
from stackr.registry.auth import RegistryAuth
from stackr.text import parse_json

__all__ = [
    "DOCKER_HUB",
    "all_credentials",
    "credentials_for",
    "known_credentials",
    "read_config",
    "registry_auth",
    "registry_of",
    "run_helper",
]

DOCKER_HUB = "https://index.docker.io/v1/"
_NOT_FOUND = "credentials not found"


def registry_of(reference: str) -> str:
    """The registry's key in config.json: `localhost:5000/a/b` -> `localhost:5000`."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return DOCKER_HUB if first in ("docker.io", "index.docker.io") else first
    return DOCKER_HUB


async def credentials_for(reference: str, environ: Mapping[str, str]) -> RegistryAuth | None:
    """Those for an image's registry; None where there are none. Raises as `registry_auth`."""
    registry = registry_of(reference)
    config, path = read_config(environ)
    found = await known_credentials(config, registry, path) or {}
    if not found:
        return None
    return RegistryAuth(
        username=found.get("username", ""),
        password=found.get("password", ""),
        identity_token=found.get("identitytoken", ""),
        server_address=registry,
    )


async def registry_auth(reference: str, environ: Mapping[str, str]) -> str | None:
    """The header's value for an image's registry, or None where there are no credentials.

    Raises InvalidArgument for a configuration that cannot be read and a helper that fails.
    """
    registry = registry_of(reference)
    config, path = read_config(environ)
    found = await known_credentials(config, registry, path)
    if found is None:
        return None
    return base64.urlsafe_b64encode(
        json.dumps(found | {"serveraddress": registry}).encode()
    ).decode()


async def all_credentials(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The `auths` of a config.json that needs no helper: all that the caller has, by registry.

    Raises as `registry_auth`.
    """
    config, path = read_config(environ)
    registries = {*(config.get("auths") or {}), *(config.get("credHelpers") or {})}
    if config.get("credsStore"):
        registries.update(await _ask_helper(config["credsStore"], "list", ""))
    found = {
        registry: await known_credentials(config, registry, path) for registry in sorted(registries)
    }
    return {registry: _as_entry(each) for registry, each in found.items() if each}


def _as_entry(credentials: dict[str, str]) -> dict[str, str]:
    if "identitytoken" in credentials:
        return credentials
    text = f"{credentials['username']}:{credentials['password']}"
    return {"auth": base64.b64encode(text.encode()).decode()}


def read_config(environ: Mapping[str, str]) -> tuple[dict[str, Any], Path]:
    path = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        config = parse_json(path.read_text())
    except FileNotFoundError:
        return {}, path
    except (OSError, ValueError) as error:
        raise InvalidArgument(f'registry credentials: "{path}": {error}') from error
    if not isinstance(config, dict):
        raise InvalidArgument(f'registry credentials: "{path}": not a JSON object')
    return config, path


async def known_credentials(
    config: dict[str, Any], registry: str, path: Path
) -> dict[str, str] | None:
    helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    found = await _from_helper(helper, registry) if helper else None
    return found if found is not None else _from_file(config, registry, path)


async def _from_helper(helper: str, registry: str) -> dict[str, str] | None:
    answer = await _ask_helper(helper, "get", registry)
    if not answer:
        return None
    try:
        name, secret = answer["Username"], answer["Secret"]
    except KeyError as error:
        raise InvalidArgument(
            f"registry credentials: docker-credential-{helper}: not an answer"
        ) from error
    if name == "<token>":
        return {"identitytoken": secret}
    return {"username": name, "password": secret}


async def _ask_helper(helper: str, verb: str, text: str) -> dict[str, Any]:
    """The program's JSON answer; {} where it has no credentials for `text`."""
    out = await run_helper(helper, verb, text)
    try:
        answer = {} if out is None else parse_json(out)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise InvalidArgument(f"registry credentials: docker-credential-{helper}: not an answer")
    return answer


async def run_helper(helper: str, verb: str, text: str) -> bytes | None:
    """What the program answers to `text` on its stdin; None where it has no such credentials.

    verb: get, store, erase or list. Raises InvalidArgument where it fails, in its words.
    """
    program = f"docker-credential-{helper}"
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            verb,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise InvalidArgument(
            f"registry credentials: {program}: {error.strerror}",
            hint="install the helper, or take it out of docker's config.json",
        ) from error
    out, _ = await process.communicate(text.encode())
    if process.returncode:
        said = out.decode(errors="replace").strip()
        if _NOT_FOUND in said:
            return None
        raise InvalidArgument(f"registry credentials: {program}: {said or 'failed'}")
    return out


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
