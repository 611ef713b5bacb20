"""Host ports that an update, or a placement, would wait for without end.

A Swarm does not refuse them: the task is pending ("host-mode port already in use"), and the update
neither fails nor ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stackr.planner.swarm.draft import Draft
from stackr.spec.rules import Path, show
from stackr.text import whole_number

__all__ = ["check_published", "check_width"]

_MOST_PORT = 65535
_HINT = "deploy.update_config.order: stop-first, or fewer replicas than nodes"


def check_width(draft: Draft) -> None:
    """Add what cannot be placed."""
    claimed = [*_host_ports(draft)]
    if not claimed or draft.is_job:
        return
    update = draft.service.deploy.update_config if draft.service.deploy else None
    is_full = draft.is_global or 0 < draft.nodes <= draft.replicas
    for path, port in claimed:
        if not draft.is_global and 0 < draft.nodes < draft.replicas:
            draft.faults.add(
                path,
                f"host port {port} is free once a node: {draft.replicas} replicas, and "
                f"{draft.nodes} nodes",
            )
        elif update is not None and update.order == "start-first" and is_full:
            draft.faults.add(
                draft.at("deploy", "update_config", "order"),
                f"start-first: host port {port} ({show(path)}) is taken on every node by the tasks "
                "that are to be replaced, so that the update would wait for ever",
                hint=_HINT,
            )


def _host_ports(draft: Draft) -> Iterator[tuple[Path, int]]:
    for index, port in enumerate(draft.service.ports):
        number = whole_number(port.published or "", most=_MOST_PORT)
        if port.mode == "host" and number is not None:
            yield draft.at("ports", index), number


def check_published(drafts: Mapping[str, Draft]) -> None:
    """Add ports that two services would both publish to all nodes."""
    taken: dict[tuple[int, str], Path] = {}
    for draft in drafts.values():
        for index, port in enumerate(draft.service.ports):
            published = whole_number(port.published or "", most=_MOST_PORT)
            if (port.mode or "ingress") != "ingress" or published is None:
                continue
            path, key = draft.at("ports", index), (published, port.protocol or "tcp")
            if key[0] and key in taken:
                told = f"port {published}/{key[1]} is already published by {show(taken[key])}"
                draft.faults.add(path, told)
            taken.setdefault(key, path)
