"""What goes wrong while a request is handled, as the API's answer: a status and one line.

A `StackrError` carries its status; a disk's failure, and a limit of the kernel's, say what they
are. Anything else is a defect: it is logged whole, and the client sees that it happened, not where.
"""

from __future__ import annotations

import errno
import logging
from typing import TypeGuard

from stackr.errors import NotSupported, StackrError
from stackr.runtime.engine.api.http import Response, error_body, json_response
from stackr.runtime.engine.linux.exhaustion import exhausted
from stackr.text import visible

__all__ = ["error_response", "explain"]

_DISK_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
_log = logging.getLogger(__name__)


def explain(error: Exception, what: str) -> tuple[int, dict[str, str]]:
    """The status and the body for `error`, raised while doing `what` (logged for a defect)."""
    if isinstance(error, StackrError):
        if error.status >= 500 and not isinstance(error, NotSupported):
            _log.warning("%s: %s", what, visible(error.message))
        body = error_body(error)
        return error.status, {key: visible(text) for key, text in body.items()}
    if (told := exhausted(error)) is not None:
        return explain(told, what)
    if isinstance(error, OSError) and error.errno in _DISK_FAILURES:
        _log.warning("%s: %s", what, error)
        subject = f"{error.filename}: " if error.filename else ""
        return 500, {"message": f"{subject}{error.strerror}"}
    _log.error("%s: failed unexpectedly", what, exc_info=error)
    cause = f"{error.filename}: {error.strerror}" if _has_place(error) else type(error).__name__
    return 500, {"message": f"internal error: {cause}: see the engine's log"}


def _has_place(error: Exception) -> TypeGuard[OSError]:
    """Whether it says which file it is about."""
    return isinstance(error, OSError) and isinstance(error.filename, str)


def error_response(error: Exception, what: str) -> Response:
    """As `explain`, as an answer."""
    status, body = explain(error, what)
    return Response(status, None) if status == 304 else json_response(body, status)
