"""The parameters of a build, classic or of stackr's own, as a `BuildRequest`.

Source: Docker Engine API, "ImageBuild".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from stackr.errors import InvalidArgument, NotSupported
from stackr.runtime.engine.api.body import string_map
from stackr.runtime.engine.api.credentials import credentials_from
from stackr.runtime.engine.api.http import Request
from stackr.text import parse_json

if TYPE_CHECKING:
    from stackr.registry.auth import RegistryAuth
    from stackr.runtime.engine.build.files import Context
    from stackr.runtime.engine.build.request import BuildRequest

__all__ = ["classic_request", "registry_config"]

_REFUSED: Final = {
    "squash": "squash",
    "session": "BuildKit sessions",
    "outputs": "outputs other than an image",
    "securityopt": "securityopt",
}
_EMPTY: Final = ("", "null", "[]", "{}", "0", "false", "False")
_LIMITS: Final = {
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
    "shmsize": "ShmSize",
}
_TEXTS: Final = {
    "cpusetcpus": "CpusetCpus",
    "cpusetmems": "CpusetMems",
    "cgroupparent": "CgroupParent",
    "networkmode": "NetworkMode",
}
_OFFICIAL: Final = ("index.docker.io", "registry-1.docker.io")


def classic_request(request: Request, context: Context) -> BuildRequest:
    """Of `POST /build`. Raises InvalidArgument; NotSupported for what is not honoured."""
    from stackr.runtime.engine.build.request import BuildRequest, CacheFrom

    for name, what in _REFUSED.items():
        if request.text(name) not in _EMPTY:
            raise NotSupported(f"build: {what}: not supported by the embedded engine")
    if request.text("version") not in ("", "1"):
        raise NotSupported(
            "build: BuildKit (version=2): not supported by the embedded engine",
            hint="set DOCKER_BUILDKIT=0",
        )
    if request.text("isolation") not in ("", "default"):
        raise NotSupported(f"build: isolation {request.text('isolation')}: not supported on Linux")
    return BuildRequest(
        context,
        dockerfile=request.raw_text("dockerfile") or "Dockerfile",
        target=request.text("target"),
        arguments=_texts(request, "buildargs"),
        labels=_texts(request, "labels"),
        tags=tuple(filter(None, request.query.get("t", ()))),
        platform=request.text("platform"),
        pull=request.flag("pull"),
        no_cache=request.flag("nocache"),
        host_config=host_config(request),
        auths=registry_config(request.headers.get("x-registry-config", "")),
        cache_from=tuple(CacheFrom(image=each) for each in _cache_images(request) if each),
    )


def host_config(request: Request) -> dict[str, Any]:
    """What RUN steps get of it, in the API's spelling, where it is given at all."""
    found: dict[str, Any] = {}
    for name, key in _LIMITS.items():
        if value := request.integer(name, 0):
            found[key] = value
    for name, key in _TEXTS.items():
        if request.text(name):
            found[key] = request.text(name)
    hosts = [each for text in request.query.get("extrahosts", ()) for each in text.split(",")]
    if any(hosts):
        found["ExtraHosts"] = [each for each in hosts if each]
    if request.text("ulimits") not in _EMPTY:
        found["Ulimits"] = _json(request, "ulimits")
    return found


def _cache_images(request: Request) -> list[str]:
    """The images of `cachefrom`, which have to be here."""
    found = _json(request, "cachefrom") if request.text("cachefrom") not in _EMPTY else []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InvalidArgument("cachefrom: a JSON list of texts is expected")
    return found


def _texts(request: Request, name: str) -> dict[str, str]:
    """A JSON object of texts; a null is an absent key."""
    value = _json(request, name) if request.text(name) else {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"{name}: a JSON object is expected")
    return string_map({name: {k: v for k, v in value.items() if v is not None}}, name)


def _json(request: Request, name: str) -> Any:
    try:
        return parse_json(request.text(name))
    except ValueError as error:
        raise InvalidArgument(f"{name}: invalid JSON: {error}") from error


def registry_config(header: str) -> Mapping[str, RegistryAuth]:
    """Credentials by registry, of `X-Registry-Config`: base64url of a JSON object.

    Raises InvalidArgument, which shows nothing of what was sent.
    """
    if not header:
        return {}
    try:
        value = parse_json(base64.b64decode(header + "=" * (-len(header) % 4), altchars=b"-_"))
    except (binascii.Error, ValueError):
        value = None
    if not isinstance(value, dict) or not all(isinstance(each, dict) for each in value.values()):
        raise InvalidArgument("invalid X-Registry-Config header: not base64url of a JSON object")
    found = {registry_name(name): credentials_from(each) for name, each in value.items()}
    return {name: auth for name, auth in found.items() if auth is not None}


def registry_name(text: str) -> str:
    """`https://index.docker.io/v1/` -> `docker.io`."""
    host = text.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return "docker.io" if host in _OFFICIAL else host
