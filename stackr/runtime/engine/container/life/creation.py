"""The making of a container: what is asked for, checked, laid over the image, recorded, stored."""

from __future__ import annotations

import dataclasses
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stackr.errors import InvalidArgument, NotFound, StackrError
from stackr.runtime.engine.container.announce import announce
from stackr.runtime.engine.container.life.checks import check_create
from stackr.runtime.engine.container.life.networking import joined_containers, planned_endpoints
from stackr.runtime.engine.container.limits.resources import adapted
from stackr.runtime.engine.container.oci.bundle import with_cgroup_namespace
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.linking import Links
from stackr.runtime.engine.container.records.live import Live
from stackr.runtime.engine.container.records.record import (
    STANDBY_LABEL,
    Container,
    MountPoint,
    State,
)
from stackr.runtime.engine.container.records.state import Event, Status
from stackr.runtime.engine.container.records.store import check_name
from stackr.runtime.engine.container.settings.contradictions import (
    check_network_mode,
    network_warnings,
)
from stackr.runtime.engine.container.settings.defaults import with_defaults
from stackr.runtime.engine.container.settings.merge import merge_config
from stackr.runtime.engine.container.settings.refused import OCI_RUNTIMES
from stackr.runtime.engine.container.settings.spec import ContainerCreate
from stackr.runtime.engine.container.settings.unhealthy import RESTART_UNHEALTHY_LABEL
from stackr.runtime.engine.container.storage.mounts import plan_mounts
from stackr.runtime.engine.container.storage.storage import name_volumes
from stackr.runtime.engine.image.platform import check_made_for, parse_platform

__all__ = ["Creation"]

_log = logging.getLogger(__name__)


_ORDERS = frozenset({STANDBY_LABEL, RESTART_UNHEALTHY_LABEL})


def _without_orders(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """An image's configuration without the labels that tell the engine something: it may have been
    made of a container that was in standby.
    """
    labels = config.get("Labels")
    if not isinstance(labels, Mapping) or not _ORDERS & labels.keys():
        return config
    return {**config, "Labels": {key: labels[key] for key in labels if key not in _ORDERS}}


class Creation:
    """Nothing is left of one that fails."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._host = parts.host
        self._images = parts.images
        self._store = parts.store
        self._storage = parts.storage

    async def run(
        self, name: str | None, body: ContainerCreate, platform: str | None
    ) -> tuple[str, list[str]]:
        """The container's ID, and warnings. Raises as `Containers.create`."""
        check_network_mode(body)
        chosen = check_name(name) if name else self._store.free_name()
        self._store.check_free(chosen)
        if not (body.image or body.cmd or body.entrypoint):
            raise InvalidArgument("No command specified")
        image = self._images.get(body.image)
        if platform:
            made_for = {"os": image.os, "architecture": image.architecture}
            made_for["variant"] = image.variant
            check_made_for(made_for, parse_platform(platform), name=body.image)
        config = merge_config(body.config(), _without_orders(image.config))
        wanted = with_defaults(body.host_config, self._parts.config.options)
        host_config = with_cgroup_namespace(adapted(wanted), self._host)
        warnings = [*check_create(config, host_config, self._host), *network_warnings(body)]
        own = self._parts.runtime.name
        if host_config.runtime in OCI_RUNTIMES and host_config.runtime != own:
            warnings.append(
                f"Runtime {host_config.runtime}: all containers of this engine are run by {own}"
            )
        for other in joined_containers(host_config):
            self._check_known(other)
        links = Links(self._store, self._parts.networks).resolved(host_config.links)
        host_config = host_config.model_copy(update={"links": links})
        endpoints = body.networking_config.endpoints_config
        container = Container(
            id=secrets.token_hex(32),
            name=chosen,
            created_ns=time.time_ns(),
            image_id=image.id,
            config=config,
            host_config=host_config,
            endpoints=planned_endpoints(config, host_config, endpoints),
            mounts=self._named(plan_mounts(config, host_config, self._mounts_of)),
            platform=platform or image.os or "linux",
            state=State(status=Status.CREATING),
            standby=config.labels.get(STANDBY_LABEL) == "true",
        )
        live = Live(container)
        async with live.lock:
            self._store.add(container)
            self._parts.lives[container.id] = live
            try:
                container.mounts = await self._storage.make(container, image.diff_ids)
                self._storage.user(container)
                self._store.advance(container, Event.MADE)
            except BaseException:
                await self._undo(live)
                raise
        announce(self._parts.events, container, "create")
        return container.id, warnings

    def _check_known(self, ref: str) -> None:
        """Raises InvalidArgument: clients take NotFound for the image's, and pull it."""
        try:
            self._store.existing(ref)
        except NotFound as error:
            raise InvalidArgument(error.message) from error

    async def _undo(self, live: Live) -> None:
        try:
            await self._storage.remove(live.container, anonymous_volumes=True)
        except (StackrError, OSError) as error:
            _log.warning("container %s: undo of create: %s", live.container.short_id, error)
        self._store.delete(live.container)
        self._parts.lives.pop(live.container.id, None)

    def _named(self, mounts: Sequence[MountPoint]) -> tuple[MountPoint, ...]:
        """With names for anonymous volumes and the IDs of images. Raises NotFound for an image."""
        return tuple(
            dataclasses.replace(mount, name=self._images.get(mount.source).id)
            if mount.type == "image"
            else mount
            for mount in name_volumes(mounts)
        )

    def _mounts_of(self, ref: str) -> tuple[MountPoint, ...]:
        self._check_known(ref)
        return self._store.existing(ref).mounts
