"""Docker contexts: engines by name, as `docker context` keeps them, and which one is meant.

A context's file is `contexts/meta/SHA256(name)/meta.json` in the docker CLI's folder, its
certificates are beside, in `contexts/tls/SHA256(name)/docker`.
Source: docker CLI, cli/context/store; "Docker contexts", "Environment variables".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from stackr.errors import InvalidArgument, NotFound
from stackr.runtime.docker.address import EngineAddress, TlsFolder
from stackr.text import parse_json

__all__ = ["chosen_address", "context_address"]

_DEFAULT = "default"
_SOCKET = "unix:///var/run/docker.sock"


def chosen_address(environ: Mapping[str, str]) -> EngineAddress:
    """The engine that the docker CLI would use: of DOCKER_HOST, or of its context, or its default.

    Raises NotFound for a context that is not there, InvalidArgument for one that is none.
    """
    if host := environ.get("DOCKER_HOST"):
        return EngineAddress.parse(host, environ)
    folder = _folder(environ)
    name = environ.get("DOCKER_CONTEXT") or _current(folder)
    return context_address(name, environ) if name else EngineAddress.parse(_SOCKET, environ)


def context_address(name: str, environ: Mapping[str, str]) -> EngineAddress:
    """Raises NotFound and InvalidArgument."""
    if name == _DEFAULT:
        return EngineAddress.parse(environ.get("DOCKER_HOST") or _SOCKET, environ)
    folder = _folder(environ) / "contexts"
    id = hashlib.sha256(name.encode()).hexdigest()
    path = folder / "meta" / id / "meta.json"
    try:
        endpoint = parse_json(path.read_bytes())["Endpoints"]["docker"]
        host, skips = str(endpoint["Host"]), endpoint.get("SkipTLSVerify") is True
    except FileNotFoundError:
        raise NotFound(
            f'docker context "{name}": not found', hint="docker context ls lists them"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a context of an engine"
        raise InvalidArgument(f'docker context "{name}": "{path}": {why}') from error
    address = EngineAddress.parse(host, {})
    certificates = folder / "tls" / id / "docker"
    tls = TlsFolder(certificates, verify=not skips) if skips or certificates.is_dir() else None
    return EngineAddress(address.url, tls)


def _folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _current(folder: Path) -> str:
    """As `docker context use` has chosen it; "" for none."""
    path = folder / "config.json"
    try:
        found = parse_json(path.read_bytes())
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidArgument(f'docker configuration "{path}": {why}') from error
    current = found.get("currentContext", "") if isinstance(found, dict) else ""
    return current if isinstance(current, str) else ""
