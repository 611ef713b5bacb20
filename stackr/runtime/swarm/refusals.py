"""What a Swarm's manager refuses, as errors that say what to do. Pure.

A manager tells the kind of its refusals in words: gRPC's codes are lost on the way to the API, and
a version that has moved on comes as status 500.
Source: swarmkit, manager/controlapi; moby, daemon/cluster/errors.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stackr.errors import AlreadyExists, Conflict, Internal, NotFound, StackrError, Unavailable

__all__ = ["explained", "moved_on", "refusals"]

_MOVED_ON = "update out of sequence"
_TAKEN = ("name conflicts with an existing object", "already exists")
_IN_USE = ("in use by", "is in use", "has active endpoints")
_NO_LEADER = (
    *("does not have a leader", "lost quorum", "no elected cluster leader"),
    "context deadline exceeded",
)
_LOST_LEADER = ("node lost leader status", "raft: request canceled")
"""Source: swarmkit, manager/state/raft/raft.go (`ErrLostLeadership`, `ErrRequestCanceled`)."""


def moved_on(what: str) -> Conflict:
    return Conflict(
        f"{what}: changed by somebody else meanwhile",
        hint="nothing of this change was made; look at it again: stackr diff",
    )


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Errors of the calls in the block name `what` ("service "demo_web""), in their own class."""
    try:
        yield
    except StackrError as error:
        known = explained(error, what)
        if known is error:
            raise
        raise known from error


def explained(error: StackrError, what: str) -> StackrError:
    message = error.message
    if message.startswith(what):
        return error
    lower = message.lower()
    if _MOVED_ON in lower:
        return moved_on(what)
    if any(words in lower for words in _NO_LEADER):
        return Unavailable(
            "the Swarm has no leader: too few of its managers can be reached",
            hint="more than half of its managers must run: docker node ls",
        )
    if any(words in lower for words in _LOST_LEADER):
        return Unavailable(
            f"{what}: another manager of the Swarm has come to lead meanwhile",
            hint="it may have been done or not; run the same command again",
        )
    if isinstance(error, Conflict) and any(words in lower for words in _TAKEN):
        return AlreadyExists(f"{what}: the name is taken")
    if isinstance(error, Internal) and lower.endswith(" not found"):
        return NotFound(f"{what}: not found")  # of a network that went a moment ago
    if any(words in lower for words in _IN_USE):
        return Conflict(f"{what}: {message}", hint=error.hint)
    if isinstance(error, Unavailable):
        return error
    return type(error)(f"{what}: {message}", hint=error.hint)
