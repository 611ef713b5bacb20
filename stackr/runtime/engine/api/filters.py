"""`?filters=` of every list, prune and events call: parsed once, matched in one way.

Source: Docker Engine API; both of its forms, {"key": {"value": true}} and {"key": ["value"]}.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from stackr.errors import InvalidArgument
from stackr.runtime.engine.api.timestamp import parse_duration, parse_time
from stackr.text import parse_json

__all__ = ["Filters"]

_TRUE = frozenset({"1", "true", "True", "TRUE", "t", "T"})
_FALSE = frozenset({"0", "false", "False", "FALSE", "f", "F"})


class Filters:
    """Values by key; several values of a key are alternatives, unless Docker says otherwise."""

    def __init__(self, values: Mapping[str, tuple[str, ...]]) -> None:
        self._values = values

    @classmethod
    def parse(cls, text: str, accepted: frozenset[str]) -> Filters:
        """Raises InvalidArgument for another shape, and for a key that is not `accepted`."""
        try:
            raw = parse_json(text) if text else {}
        except ValueError:
            raw = None
        if not isinstance(raw, dict):
            raise InvalidArgument("invalid filter")
        values = {key: _strings(value) for key, value in raw.items()}
        for key in values:
            if key not in accepted:
                raise InvalidArgument(f"invalid filter '{key}'")
        return cls(values)

    def __contains__(self, key: str) -> bool:
        return bool(self._values.get(key))

    def get(self, key: str) -> tuple[str, ...]:
        return self._values.get(key, ())

    def exact(self, key: str, value: str) -> bool:
        """No value is asked for, or this one."""
        return key not in self or value in self.get(key)

    def any_of(self, key: str, *values: str) -> bool:
        """No value is asked for, or one of these."""
        return key not in self or not set(values).isdisjoint(self.get(key))

    def prefix(self, key: str, value: str) -> bool:
        """No value is asked for, or one that `value` starts with."""
        return key not in self or value.startswith(self.get(key))

    def pattern(self, key: str, *values: str) -> bool:
        """No value is asked for, or one that matches one of `values` as a regular expression."""
        return key not in self or any(
            _found(wanted, value) for wanted in self.get(key) for value in values
        )

    def labels(self, labels: Mapping[str, str], key: str = "label") -> bool:
        """Every asked-for `name` or `name=value` is among `labels`."""
        return all(_has_label(wanted, labels) for wanted in self.get(key))

    def without_labels(self, labels: Mapping[str, str], key: str = "label!") -> bool:
        """No `name` or `name=value` of a prune's `label!` is among `labels`."""
        return not any(_has_label(unwanted, labels) for unwanted in self.get(key))

    def boolean(self, key: str, default: bool) -> bool:
        """Raises InvalidArgument for another value, and for both at once."""
        values = self.get(key)
        if not values:
            return default
        if len(values) == 1 and values[0] in _TRUE | _FALSE:
            return values[0] in _TRUE
        raise InvalidArgument(f"invalid filter '{key}={list(values)}'")

    def until(self) -> int | None:
        """A prune's `until`: a time, or an age ("24h"), in nanoseconds since the epoch.

        Raises InvalidArgument for more than one, and for another form.
        """
        values = self.get("until")
        if not values:
            return None
        if len(values) > 1:
            raise InvalidArgument("more than one until filter specified")
        age_ns = parse_duration(values[0])
        if age_ns is not None:
            return time.time_ns() - age_ns
        return parse_time(values[0], "until")


def _strings(value: object) -> tuple[str, ...]:
    if isinstance(value, dict):
        value = [key for key, wanted in value.items() if wanted]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidArgument("invalid filter")
    return tuple(value)


def _found(wanted: str, value: str) -> bool:
    if wanted == value:
        return True
    try:
        return re.search(wanted, value) is not None
    except re.error:
        return False


def _has_label(wanted: str, labels: Mapping[str, str]) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)
