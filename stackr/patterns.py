"""Regular expressions from stack files and API calls: RE2's, whose time is linear.

Source: https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

from typing import Any

__all__ = ["compile_pattern"]

_MEMORY = 1 << 20
"""Bytes that one compiled expression may take."""


def compile_pattern(text: str) -> Any:
    """Raises ValueError that says why RE2 does not take it."""
    import re2

    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(text.encode(), options)
    except re2.error as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(why) from error
    except UnicodeEncodeError as error:
        raise ValueError("not in UTF-8") from error
