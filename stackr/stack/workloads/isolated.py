"""An isolated copy of a stack on a cluster: whose it is, and which ports are left for it.

A cluster is shared by hosts that do not see each other's folders, so that nobody but its owner's
host can say that a copy's folder is gone.
"""

from __future__ import annotations

import os

from stackr.planner.desired.isolated import PortKey, listed_ports
from stackr.planner.dialects import dialect_of
from stackr.planner.workloads.document import key_of
from stackr.planner.workloads.removal import services_of
from stackr.runtime import labels
from stackr.runtime.folders import was_removed
from stackr.runtime.workloads import ObservedDocument, Workloads
from stackr.spec.model.project import Isolated
from stackr.stack.isolated_ports import Ports, not_ours

__all__ = ["ports_on_cluster"]


async def ports_on_cluster(cluster: Workloads, isolated: Isolated, *, is_here: bool) -> Ports:
    """Ports are the whole cluster's: one that a service has on some node, no copy takes.

    Raises Conflict where the copy's project is another's: of another folder, or not isolated.
    """
    observation = await cluster.observe(isolated.project)
    kept: dict[PortKey, tuple[int, int]] = {}
    dialect = dialect_of(cluster.dialect)
    for document in services_of(observation):
        _check_own(document, isolated)
        words = dialect.attributes(dialect.normal(document, observation.names))
        kept |= listed_ports(key_of(document), words.get("ports") or ())
    taken = await cluster.taken_ports(besides=isolated.project)
    return Ports(kept, taken, is_here, is_cluster=True)


def _check_own(document: ObservedDocument, isolated: Isolated) -> None:
    if labels.ISOLATED not in document.labels:
        raise not_ours(isolated)
    folder, seen = document.labels.get(labels.FOLDER, ""), document.labels.get(labels.SEEN, "")
    host = seen.rpartition(" ")[0]
    is_of_this_host = host in ("", os.uname().nodename)
    if (folder == isolated.folder and is_of_this_host) or was_removed(folder, seen):
        return
    raise not_ours(isolated, folder if is_of_this_host else f"{folder} on {host}")
