"""Registry credentials are kept and forgotten, where the docker CLI keeps them.

With a helper (`credHelpers`, `credsStore`) they are the helper's; else they are in config.json,
which is readable by its owner alone and replaced as a whole.
Source: docker/cli, cli/config/configfile/file.go; cli/config/credentials.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stackr.errors import InvalidArgument, StackrError
from stackr.registry.credentials import read_config, run_helper

__all__ = ["erase_credentials", "store_credentials"]

_TOKEN_USER = "<token>"


async def store_credentials(
    environ: Mapping[str, str], registry: str, *, username: str, password: str, token: str = ""
) -> Path | None:
    """Keep them; the file in which they stand readable, None for a helper's.

    token: an identity token, in place of the password. Raises InvalidArgument and StackrError.
    """
    config, path = read_config(environ)
    helper = _helper(config, registry)
    if helper:
        secret = {
            "ServerURL": registry,
            "Username": _TOKEN_USER if token else username,
            "Secret": token or password,
        }
        await run_helper(helper, "store", json.dumps(secret))
        entry: dict[str, str] = {}
    else:
        text = f"{username}:{'' if token else password}"
        entry = {"auth": base64.b64encode(text.encode()).decode()}
        entry |= {"identitytoken": token} if token else {}
    _write(path, config | {"auths": {**(config.get("auths") or {}), registry: entry}})
    return None if helper else path


async def erase_credentials(environ: Mapping[str, str], registry: str) -> bool:
    """Forget them; whether there were any in the file. Raises as `store_credentials`."""
    config, path = read_config(environ)
    helper = _helper(config, registry)
    if helper:
        await run_helper(helper, "erase", registry)
    auths = dict(config.get("auths") or {})
    if auths.pop(registry, None) is None:
        return False
    _write(path, config | {"auths": auths})
    return True


def _helper(config: Mapping[str, Any], registry: str) -> str:
    own = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    return own if isinstance(own, str) else ""


def _write(path: Path, config: Mapping[str, Any]) -> None:
    """A symlink stays one; its target is replaced."""
    target = path.resolve()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, beside = tempfile.mkstemp(prefix=f"{target.name}.", dir=target.parent)
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(json.dumps(config, indent="\t", ensure_ascii=False))
            os.replace(beside, target)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StackrError(f"registry credentials: {path}: {why}") from error
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"registry credentials: {path}: {error}") from error
