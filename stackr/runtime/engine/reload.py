"""SIGHUP: the options are read again, and those count that dockerd reads again, too.

Source: dockerd reference, "Configuration reload behavior".
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Mapping

from stackr.errors import StackrError
from stackr.runtime.engine import log_format
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.options import RELOADED, EngineOptions

__all__ = ["reload_options"]

_log = logging.getLogger("stackr.engine")


def reload_options(config: EngineConfig, engine_id: str, events: EventBus) -> None:
    """Nothing changes where there is an error in them: it is in the log."""
    try:
        wanted = config.read_options()
    except StackrError as error:
        hint = f" ({error.hint})" if error.hint else ""
        _log.error("options are as before: %s%s", error.message, hint)
        return
    before = config.live.options
    for name in _differing(before, wanted):
        if name not in RELOADED:
            _log.warning("option %s: counts from the engine's next start", name.replace("_", "-"))
    changed = {name: getattr(wanted, name) for name in RELOADED}
    config.live.options = before.model_copy(update=changed)
    log_format.set_up(config.options)
    _log.info("options are read again: %s", config.file or "there is no file")
    events.publish("daemon", "reload", engine_id, _attributes(config.options))


def _differing(before: EngineOptions, wanted: EngineOptions) -> list[str]:
    fields = type(before).model_fields
    return [name for name in fields if getattr(before, name) != getattr(wanted, name)]


def _attributes(options: EngineOptions) -> Mapping[str, str]:
    """As dockerd's event has them. Source: moby, daemon/reload.go."""
    found = {name.replace("_", "-"): _text(getattr(options, name)) for name in RELOADED}
    return {**found, "name": socket.gethostname()}


def _text(value: object) -> str:
    if isinstance(value, bool | tuple):
        return json.dumps(value)
    return str(value)
