"""An image's configuration under a container's own: what holds when the caller leaves a key out.

Source: Docker's `docker run` reference, "Overriding image defaults". Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from stackr.errors import InvalidArgument
from stackr.runtime.engine.container.settings.spec import Config, Healthcheck

__all__ = ["merge_config"]

_WHEN_UNSET = ("user", "working_dir", "stop_signal")


def merge_config(config: Config, image: Mapping[str, Any]) -> Config:
    """`config` with the gaps filled from `image`, the `config` object of an OCI image.

    Raises InvalidArgument where nothing says which program to run, or the image's part is
    malformed.
    """
    try:
        base = Config.model_validate(dict(image))
    except ValidationError as error:
        raise InvalidArgument(f"image configuration: {error.errors()[0]['msg']}") from error
    changes: dict[str, Any] = {
        name: getattr(base, name) for name in _WHEN_UNSET if not getattr(config, name)
    }
    changes["env"] = _merge_env(config.env, base.env)
    changes["labels"] = {**base.labels, **config.labels}
    changes["exposed_ports"] = {**base.exposed_ports, **config.exposed_ports}
    changes["volumes"] = {**base.volumes, **config.volumes}
    changes["shell"] = config.shell or base.shell
    changes["healthcheck"] = _merge_healthcheck(config.healthcheck, base.healthcheck)
    changes.update(_merge_command(config, base))
    merged = config.model_copy(update=changes)
    if not (merged.entrypoint or merged.cmd):
        raise InvalidArgument("no command specified")
    return merged


def _merge_command(config: Config, base: Config) -> dict[str, Any]:
    """The caller's entrypoint, also an empty one, drops the image's; one that has words drops its
    command, too. [""] is none, whoever says it.
    """
    entrypoint = base.entrypoint if config.entrypoint is None else config.entrypoint
    return {
        "entrypoint": None if entrypoint == [""] else entrypoint,
        "cmd": config.cmd if config.entrypoint else config.cmd or base.cmd,
    }


def _merge_env(env: list[str], base: list[str]) -> list[str]:
    """The caller's entries, then the image's that the caller does not name.

    An entry without "=" takes the variable out, whoever has set it.
    """
    named = {entry.partition("=")[0] for entry in env}
    kept = [entry for entry in base if entry.partition("=")[0] not in named]
    return [*env, *kept]


def _merge_healthcheck(check: Healthcheck | None, base: Healthcheck | None) -> Healthcheck | None:
    if check is None or base is None:
        return check or base
    given = {name: value for name in Healthcheck.model_fields if (value := getattr(check, name))}
    return base.model_copy(update=given)
