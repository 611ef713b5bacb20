"""What a plan means while it is carried out: who is away, who else is touched, in which order.

Said for people; the executor goes by the operations alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Affected", "Away", "Rollout", "Stage", "affected_text", "order_text"]

Away = Literal["no", "partly", "yes"]


@dataclass(frozen=True, slots=True)
class Rollout:
    """How the containers of a service are replaced, or started again.

    order: start-first or stop-first. replicas: how many are replaced. parallelism: how many at a
    time, 0 for all. is_rolling: batch by batch, as `deploy.update_config` asks. away: whether the
    service answers meanwhile; partly: fewer of its replicas do.
    """

    order: str
    replicas: int = 1
    parallelism: int = 0
    is_rolling: bool = False
    away: Away = "yes"

    def to_json(self) -> dict[str, Any]:
        return {
            "order": self.order,
            "replicas": self.replicas,
            "parallelism": self.parallelism,
            "rolling": self.is_rolling,
            "away": self.away,
        }

    def __str__(self) -> str:
        """`×3, rolling, start-first, 1 at a time`."""
        words = [f"×{self.replicas}"] if self.replicas > 1 else []
        words += ["rolling"] if self.is_rolling else []
        words.append(self.order)
        if self.replicas > 1:
            words.append(f"{self.parallelism} at a time" if self.parallelism else "all at once")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Affected:
    """A container that a change of its network touches. how: `restarted`, `cut off`, ..."""

    container: str
    how: str

    def to_json(self) -> dict[str, str]:
        return {"container": self.container, "how": self.how}


def affected_text(affected: Iterable[Affected]) -> str:
    """`cut off: a; restarted: b, c`."""
    names: dict[str, list[str]] = {}
    for each in affected:
        names.setdefault(each.how, []).append(each.container)
    return "; ".join(f"{how}: {', '.join(names[how])}" for how in sorted(names))


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the order. verb: stop or start. services: those that take it side by side."""

    verb: str
    services: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"verb": self.verb, "services": list(self.services)}


def order_text(stages: Iterable[Stage]) -> str:
    """`stop web, then db; start db, then web`; of many side by side, the first."""
    return "; ".join(_verbs(list(stages)))


def _verbs(stages: list[Stage]) -> Iterator[str]:
    for verb in dict.fromkeys(stage.verb for stage in stages):
        steps = (_few(stage.services) for stage in stages if stage.verb == verb)
        yield f"{verb} {', then '.join(steps)}"


_MANY = 8
_SHOWN = 3


def _few(names: tuple[str, ...]) -> str:
    if len(names) <= _MANY:
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
