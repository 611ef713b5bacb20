"""The error tree: what failed, where, why, and the code that each border answers with.

    StackrError                   status 500   exit 1
    ├── NotModified                      304
    ├── InvalidArgument                  400
    │   └── InvalidProject               400   every problem of a stack file, together
    ├── Unauthorized                     401
    ├── PermissionDenied                 403
    ├── NotFound                         404
    ├── Conflict                         409
    │   └── AlreadyExists                409
    ├── Internal                         500
    ├── NotSupported                     501
    ├── Unavailable                      503
    └── DeadlineExceeded                 504

The classes follow containerd's `errdefs`; the Engine API server answers with `status`, the Engine
API client reads the same attribute backwards, and the command line exits with `exit_code`.
A message reads `subject: what failed: why`, in lower case, with no full stop; a way out goes in
`hint`. Where Docker has a text for the case (`No such container: web`), that text is kept, as
clients match it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "AlreadyExists",
    "Conflict",
    "DeadlineExceeded",
    "Internal",
    "InvalidArgument",
    "InvalidProject",
    "NotFound",
    "NotModified",
    "NotSupported",
    "PermissionDenied",
    "StackrError",
    "Unauthorized",
    "Unavailable",
    "error_for_status",
]


class StackrError(Exception):
    """A failure that is explained to the user in one line, with a way out where there is one."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotModified(StackrError):
    """The resource is already as asked."""

    status = 304


class InvalidArgument(StackrError):
    """The caller's input is wrong; the same call will always fail."""

    status = 400


class InvalidProject(InvalidArgument):
    """A stack file is wrong; each of `problems` reads `file:line:column: path: message`."""

    def __init__(
        self, message: str, *, problems: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class Unauthorized(StackrError):
    """Credentials are missing or wrong."""

    status = 401


class PermissionDenied(StackrError):
    """The caller is known, and may not do this."""

    status = 403


class NotFound(StackrError):
    """The named thing does not exist."""

    status = 404


class Conflict(StackrError):
    """The thing's state does not allow the call now."""

    status = 409


class AlreadyExists(Conflict):
    """The name is taken."""


class Internal(StackrError):
    """A defect, or a kernel or file system that does not do what it promises."""

    status = 500


class NotSupported(StackrError):
    """stackr, or the engine it talks to, does not offer this."""

    status = 501


class Unavailable(StackrError):
    """The other side is out of reach, or busy; trying again may help."""

    status = 503


class DeadlineExceeded(StackrError):
    """A wait ran into its limit."""

    status = 504


_BY_STATUS: dict[int, type[StackrError]] = {
    error.status: error
    for error in (
        NotModified,
        InvalidArgument,
        Unauthorized,
        PermissionDenied,
        NotFound,
        Conflict,
        Internal,
        NotSupported,
        Unavailable,
        DeadlineExceeded,
    )
}


def error_for_status(status: int) -> type[StackrError]:
    """The class that an Engine API answer with this HTTP status stands for.

    An unlisted 4xx is `InvalidArgument`, any other unlisted status `Internal`.
    """
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return InvalidArgument if 400 <= status < 500 else Internal
