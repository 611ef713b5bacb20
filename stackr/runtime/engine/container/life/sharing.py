"""The namespaces of other containers that a container joined, and whether they are theirs yet.

A container that ends and is started again has new ones; whoever joined it stays in the old ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from stackr.errors import StackrError
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.records.store import Store

__all__ = ["is_severed", "joined", "network_owner"]

_CONTAINER = "container:"


def joined(container: Container) -> Iterator[tuple[str, str, str]]:
    """OCI's name of each namespace, the kernel's, and the container that it is of."""
    modes = container.host_config
    for kind, file, mode in (
        ("network", "net", modes.network_mode),
        ("ipc", "ipc", modes.ipc_mode),
        ("pid", "pid", modes.pid_mode),
    ):
        if mode.startswith(_CONTAINER):
            yield kind, file, mode.removeprefix(_CONTAINER)


def is_severed(container: Container, store: Store) -> bool | None:
    """Whether it is in a namespace that its container has left; None for one that joins none."""
    found = list(joined(container)) if container.pid else []
    if not found:
        return None
    return any(not _is_same(container.pid, _pid(store, ref), file) for _, file, ref in found)


def network_owner(container: Container, store: Store) -> Container:
    """The container whose network it has; itself, too, where the other is gone."""
    owner, seen = container, {container.id}
    while (mode := owner.host_config.network_mode).startswith(_CONTAINER):
        try:
            owner = store.get(mode.removeprefix(_CONTAINER))
        except StackrError:
            return container
        if owner.id in seen:
            return container  # names may have come to lead in a circle
        seen.add(owner.id)
    return owner


def _pid(store: Store, ref: str) -> int:
    try:
        return store.get(ref).pid
    except StackrError:
        return 0  # it was removed


def _is_same(pid: int, other: int, file: str) -> bool:
    if not other:
        return False
    try:
        return os.readlink(f"/proc/{pid}/ns/{file}") == os.readlink(f"/proc/{other}/ns/{file}")
    except OSError:
        return False  # one of them is about to end
