"""`--filter KEY=VALUE`, as the Engine API takes it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stackr.cli.objects.command import FlagError
from stackr.options import Option

__all__ = ["FILTER", "FILTER_LONG", "filters"]

FILTER = Option("--filter", "-f", metavar="KEY=VALUE", help="Only what matches, such as label=a=b")
FILTER_LONG = Option("--filter", metavar="KEY=VALUE", help="Only what matches, such as label=a=b")


def filters(texts: Sequence[str], **more: str) -> str | None:
    """JSON of `{"label": {"a=b": true}}`; None without any. Raises FlagError for another form."""
    found: dict[str, dict[str, bool]] = {key: {value: True} for key, value in more.items()}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise FlagError(f'--filter: "{text}": bad format of filter (expected name=value)')
        found.setdefault(key.strip().lower(), {})[value.strip()] = True
    return json.dumps(found) if found else None
