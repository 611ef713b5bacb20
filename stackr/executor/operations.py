"""One operation is one call of the runtime: a dispatch table by the payload's type.

What only shows while a plan runs is kept in a `Context`: the IDs of new containers, by name, and
those of images, which containers carry in a label.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from stackr.errors import Conflict, NotFound, NotSupported, PermissionDenied, StackrError
from stackr.executor.conditions import Watch, wait_for
from stackr.executor.events import IN_USE
from stackr.executor.hooks import run_hook
from stackr.executor.updates import drain, monitor, promote, pronounce
from stackr.planner.plan.model import Operation
from stackr.planner.plan.payloads import (
    BuildImage,
    Commit,
    ConnectNetwork,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Delay,
    DisconnectNetwork,
    DrainContainer,
    Gate,
    KillContainer,
    MonitorContainer,
    PauseContainer,
    Payload,
    PromoteContainer,
    PullImage,
    PushImage,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveVolume,
    RenameContainer,
    RepairNetwork,
    RestartContainer,
    RunHook,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateContainer,
    WaitFor,
)
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig
from stackr.runtime.image_build import BuildFailed, BuildProgress, ImageBuild
from stackr.runtime.protocol import Runtime, SupportsBuild, SupportsNetworkRepair
from stackr.runtime.types import PullProgress

__all__ = ["BeforeStart", "Context", "Tell", "perform"]

Tell = Callable[[PullProgress | BuildProgress], None]
_CONTAINER = "container:"
_LET_GO_S = 15.0
_LET_GO_POLL_S = 0.1


BeforeStart = Callable[[str], Awaitable[None]]
"""Is told which container is about to be started, which waits for it."""


async def _nothing(ref: str) -> None:
    """Nobody has to know."""


@dataclass(slots=True)
class Context:
    """What the operations of one run share."""

    runtime: Runtime
    watch: Watch
    before_start: BeforeStart = _nothing
    container_ids: dict[str, str] = field(default_factory=dict)
    image_ids: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    failed_replicas: dict[str, set[str]] = field(default_factory=dict)
    """Of updates under way: service -> the containers that did not make it."""

    async def image_id(self, reference: str) -> str:
        """The ID of a local image, asked for once."""
        if reference not in self.image_ids:
            self.image_ids[reference] = asyncio.create_task(self._ask_image_id(reference))
        return await asyncio.shield(self.image_ids[reference])

    async def _ask_image_id(self, reference: str) -> str:
        return (await self.runtime.inspect_image(reference)).id

    async def container_id(self, name: str) -> str:
        if name not in self.container_ids:
            self.container_ids[name] = (await self.runtime.inspect_container(name)).id
        return self.container_ids[name]


async def perform(operation: Operation, context: Context, tell: Tell) -> str:
    """Make the operation's call; what came of it in a few words, or "".

    A resource that should go and is gone, or should be started and is, is no failure.
    """
    call: Callable[[Context, Any, Tell], Awaitable[str | None]] = _CALLS[type(operation.payload)]
    return await call(context, operation.payload, tell) or ""


async def _pull_image(context: Context, payload: PullImage, tell: Tell) -> None:
    try:
        stream = context.runtime.pull_image(payload.reference, platform=payload.platform)
        async for progress in stream:
            tell(progress)
    except StackrError as error:
        raise _of_image(payload, error) from error
    context.image_ids.pop(payload.reference, None)


async def _push_image(context: Context, payload: PushImage, tell: Tell) -> str:
    """Returns the digest that the image has in its registry now."""
    digest = ""
    try:
        async for progress in context.runtime.push_image(payload.reference):
            digest = progress.digest or digest
            tell(progress)
    except StackrError as error:
        raise _of_image(payload, error) from error
    return digest


def _of_image(payload: PullImage | PushImage, error: StackrError) -> StackrError:
    message = f"{_users(payload.services)}image {payload.reference}: {error.message}"
    return type(error)(message, hint=error.hint)


def _users(services: tuple[str, ...]) -> str:
    """`services "web", "api": `; "" where there are none."""
    users = ", ".join(f'"{service}"' for service in services)
    return f"service{'s' if len(services) > 1 else ''} {users}: " if users else ""


def _place(build: ImageBuild, error: StackrError) -> str:
    """`Dockerfile:3: `, where it is known."""
    line = error.line if isinstance(error, BuildFailed) else 0
    name = "dockerfile_inline" if build.dockerfile_text is not None else build.dockerfile
    return f"{name}:{line}: " if line else ""


async def _build_image(context: Context, payload: BuildImage, tell: Tell) -> str:
    runtime, image = context.runtime, payload.build.tags[0]
    if not isinstance(runtime, SupportsBuild):
        raise NotSupported(f"image {image}: this engine builds no images")
    found = ""
    try:
        async for progress in runtime.build_image(payload.build):
            if progress.kind == "built":
                found = progress.text
            tell(progress)
    except StackrError as error:
        error.message = f"{_users(payload.services)}build: {_place(payload.build, error)}{error}"
        raise
    context.image_ids.pop(image, None)
    return found


async def _create_network(context: Context, payload: CreateNetwork, tell: Tell) -> None:
    await context.runtime.create_network(payload.config)


async def _repair_network(context: Context, payload: RepairNetwork, tell: Tell) -> None:
    runtime = context.runtime
    if not isinstance(runtime, SupportsNetworkRepair):
        raise NotSupported("this engine does not repair networks")
    await runtime.repair_network(payload.ref)


async def _create_volume(context: Context, payload: CreateVolume, tell: Tell) -> None:
    await context.runtime.create_volume(payload.config)


async def _create_container(context: Context, payload: CreateContainer, tell: Tell) -> None:
    config = await _resolved(context, payload.config)
    container_id = await context.runtime.create_container(payload.name, config)
    context.container_ids[payload.name] = container_id


async def _resolved(context: Context, config: ContainerConfig) -> ContainerConfig:
    """References to containers by ID, since names move, and the image's ID in its label."""
    changes: dict[str, Any] = {}
    for attribute in ("network_mode", "ipc_mode", "pid_mode"):
        mode: str = getattr(config, attribute)
        if mode.startswith(_CONTAINER):
            changes[attribute] = _CONTAINER + await context.container_id(
                mode.removeprefix(_CONTAINER)
            )
    if config.volumes_from:
        changes["volumes_from"] = tuple(
            [await _volumes_source(context, source) for source in config.volumes_from]
        )
    if labels.PROJECT in config.labels and labels.IMAGE not in config.labels:
        image_id = await context.image_id(config.image)
        changes["labels"] = {**config.labels, labels.IMAGE: image_id}
    return replace(config, **changes) if changes else config


async def _volumes_source(context: Context, source: str) -> str:
    name, colon, mode = source.partition(":")
    return await context.container_id(name) + colon + mode


async def _start_container(context: Context, payload: StartContainer, tell: Tell) -> None:
    await context.before_start(payload.ref)
    await context.runtime.start_container(payload.ref)


async def _restart_container(context: Context, payload: RestartContainer, tell: Tell) -> None:
    await context.runtime.restart_container(payload.ref, timeout_s=payload.timeout_s)


async def _pause_container(context: Context, payload: PauseContainer, tell: Tell) -> None:
    await context.runtime.pause_container(payload.ref)


async def _unpause_container(context: Context, payload: UnpauseContainer, tell: Tell) -> None:
    await context.runtime.unpause_container(payload.ref)


async def _stop_container(context: Context, payload: StopContainer, tell: Tell) -> str | None:
    try:
        await context.runtime.stop_container(payload.ref, timeout_s=payload.timeout_s)
    except NotFound:
        return "already gone"
    return None


async def _kill_container(context: Context, payload: KillContainer, tell: Tell) -> None:
    await context.runtime.kill_container(payload.ref, signal=payload.signal)


async def _rename_container(context: Context, payload: RenameContainer, tell: Tell) -> None:
    await context.runtime.rename_container(payload.ref, payload.name)
    if payload.ref in context.container_ids:
        context.container_ids[payload.name] = context.container_ids.pop(payload.ref)


async def _remove_container(context: Context, payload: RemoveContainer, tell: Tell) -> str | None:
    try:
        await context.runtime.remove_container(
            payload.ref, force=payload.force, volumes=payload.volumes
        )
    except NotFound:
        return "already gone"
    except Conflict as error:
        if "already in progress" not in error.message:
            raise
        with contextlib.suppress(NotFound):  # it removes itself: its networks are free after that
            await context.runtime.wait_container(payload.ref, "removed")
    return None


async def _connect_network(context: Context, payload: ConnectNetwork, tell: Tell) -> None:
    await context.runtime.connect_network(payload.container, payload.attachment)


async def _disconnect_network(context: Context, payload: DisconnectNetwork, tell: Tell) -> None:
    await context.runtime.disconnect_network(payload.container, payload.network, force=True)


async def _update_container(context: Context, payload: UpdateContainer, tell: Tell) -> None:
    await context.runtime.update_container(
        payload.ref,
        resources=payload.resources,
        restart=payload.restart,
        labels=payload.labels,
    )


async def _commit(context: Context, payload: Commit, tell: Tell) -> None:
    """Everything before is done; there is nothing to call."""


async def _promote_container(context: Context, payload: PromoteContainer, tell: Tell) -> None:
    await promote(context.runtime, payload)


async def _drain_container(context: Context, payload: DrainContainer, tell: Tell) -> str:
    return await drain(context.runtime, payload, lambda seen: tell(PullProgress(seen)))


async def _monitor_container(context: Context, payload: MonitorContainer, tell: Tell) -> None:
    await monitor(context.runtime, payload, context.watch)


async def _check_update(context: Context, payload: Gate, tell: Tell) -> str:
    return pronounce(payload, context.failed_replicas.get(payload.service, set()))


async def _delay(context: Context, payload: Delay, tell: Tell) -> None:
    await asyncio.sleep(payload.seconds)


async def _run_hook(context: Context, payload: RunHook, tell: Tell) -> None:
    await run_hook(context.runtime, payload)


async def _wait_for(context: Context, payload: WaitFor, tell: Tell) -> str:
    return await wait_for(
        context.runtime, payload, context.watch, lambda seen: tell(PullProgress(seen))
    )


async def _remove_network(context: Context, payload: RemoveNetwork, tell: Tell) -> str | None:
    """dockerd lets go of a network some time after it has told that its last container is gone."""
    deadline = time.monotonic() + _LET_GO_S
    while True:
        told = await _remove_unused(context.runtime.remove_network(payload.ref))
        if not (told or "").startswith(IN_USE) or time.monotonic() > deadline:
            return told
        if await _is_used(context.runtime, payload.ref):
            return told
        await asyncio.sleep(_LET_GO_POLL_S)


async def _is_used(runtime: Runtime, network: str) -> bool:
    return any(
        network in (endpoint.network, endpoint.network_id)
        for container in await runtime.list_containers(all=False)
        for endpoint in container.networks
    )


async def _remove_volume(context: Context, payload: RemoveVolume, tell: Tell) -> str | None:
    removal = context.runtime.remove_volume(payload.name)
    if not payload.is_renewed:
        return await _remove_unused(removal)
    with contextlib.suppress(NotFound):
        await removal
    return None


async def _remove_image(context: Context, payload: RemoveImage, tell: Tell) -> str | None:
    return await _remove_unused(context.runtime.remove_image(payload.reference))


async def _remove_unused(removal: Awaitable[None]) -> str | None:
    """What others still use is left to them, as Docker Compose does; dockerd answers 403 or 409."""
    try:
        await removal
    except NotFound:
        return "already gone"
    except (Conflict, PermissionDenied) as error:
        return f"{IN_USE}: {error.message}"
    return None


_CALLS: dict[type[Payload], Callable[[Context, Any, Tell], Awaitable[str | None]]] = {
    PullImage: _pull_image,
    BuildImage: _build_image,
    PushImage: _push_image,
    CreateNetwork: _create_network,
    RepairNetwork: _repair_network,
    CreateVolume: _create_volume,
    CreateContainer: _create_container,
    StartContainer: _start_container,
    RestartContainer: _restart_container,
    PauseContainer: _pause_container,
    UnpauseContainer: _unpause_container,
    StopContainer: _stop_container,
    KillContainer: _kill_container,
    RenameContainer: _rename_container,
    RemoveContainer: _remove_container,
    ConnectNetwork: _connect_network,
    DisconnectNetwork: _disconnect_network,
    WaitFor: _wait_for,
    RemoveNetwork: _remove_network,
    RemoveVolume: _remove_volume,
    RemoveImage: _remove_image,
    UpdateContainer: _update_container,
    RunHook: _run_hook,
    Commit: _commit,
    PromoteContainer: _promote_container,
    DrainContainer: _drain_container,
    MonitorContainer: _monitor_container,
    Gate: _check_update,
    Delay: _delay,
}
