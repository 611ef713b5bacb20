"""Every route of the API, in the order of look-up."""

from __future__ import annotations

from stackr.runtime.engine.api import (
    absent,
    archive,
    build,
    commit,
    container_streams,
    containers,
    exec,
    handover,
    image_archives,
    images,
    leases,
    locks,
    networks,
    snapshot,
    stackr_build,
    stats,
    swarm,
    system,
    volumes,
)

__all__ = ["ROUTES"]

ROUTES = (
    *system.ROUTES,
    *image_archives.ROUTES,
    *images.ROUTES,
    *containers.ROUTES,
    *container_streams.ROUTES,
    *archive.ROUTES,
    *build.ROUTES,
    *stackr_build.ROUTES,
    *commit.ROUTES,
    *exec.ROUTES,
    *stats.ROUTES,
    *networks.ROUTES,
    *handover.ROUTES,
    *volumes.ROUTES,
    *leases.ROUTES,
    *locks.ROUTES,
    *snapshot.ROUTES,
    *swarm.ROUTES,
    *absent.ROUTES,
)
