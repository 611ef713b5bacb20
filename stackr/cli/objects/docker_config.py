"""What docker's config.json says of its commands' defaults: formats, keys, proxies.

A file that cannot be read says nothing here; credentials are read elsewhere, where it is an error.
Source: docker/cli, cli/config/configfile/file.go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackr.text import parse_json

__all__ = ["configured", "with_proxies"]

_PROXIES = {
    "HTTP_PROXY": "httpProxy",
    "HTTPS_PROXY": "httpsProxy",
    "NO_PROXY": "noProxy",
    "FTP_PROXY": "ftpProxy",
    "ALL_PROXY": "allProxy",
}


def configured(key: str, environ: Mapping[str, str] = os.environ) -> str:
    """A text of it, such as `psFormat`; "" for none."""
    value = _config(environ).get(key)
    return value if isinstance(value, str) else ""


def with_proxies(
    variables: Sequence[str], address: str, environ: Mapping[str, str] = os.environ
) -> list[str]:
    """KEY=VALUE of a container, and those of proxies that it does not name.

    address: of the engine, which may have proxies of its own.
    """
    proxies = _config(environ).get("proxies")
    if not isinstance(proxies, dict):
        return list(variables)
    own = proxies.get(address) or proxies.get("default")
    named = {text.partition("=")[0] for text in variables}
    found = list(variables)
    for name, key in _PROXIES.items():
        value = own.get(key) if isinstance(own, dict) else None
        if isinstance(value, str) and value:
            spelled = (each for each in (name, name.lower()) if each not in named)
            found += [f"{each}={value}" for each in spelled]
    return found


def _config(environ: Mapping[str, str]) -> dict[str, Any]:
    folder = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        found = parse_json((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
