"""The engine's own log: from which level on, as lines of text or of JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from stackr.runtime.engine.options import EngineOptions

__all__ = ["set_up"]

_LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_WORDS = {number: word for word, number in _LEVELS.items()}
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Json(logging.Formatter):
    """One object a line, with dockerd's keys, and where in the engine it comes from."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        told = {
            "level": _WORDS.get(record.levelno, record.levelname.lower()),
            "module": record.name,
            "msg": record.getMessage(),
            "time": moment.isoformat().replace("+00:00", "Z"),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told)


def set_up(options: EngineOptions) -> None:
    """As the options say now; also while the engine runs."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in root.handlers:
        is_json = options.log_format == "json"
        handler.setFormatter(_Json() if is_json else logging.Formatter(_TEXT))
    level = logging.DEBUG if options.debug else _LEVELS[options.log_level]
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(max(level, logging.INFO))
