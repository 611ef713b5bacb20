"""One operation is one call of the runtime: a dispatch table by the payload's type.

What only shows while a plan runs is kept in a `Context`: the IDs of new containers, by name, and
those of images, which containers carry in a label.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from stackr.errors import Conflict, NotFound, NotSupported, PermissionDenied, StackrError
from stackr.executor.conditions import Watch, wait_for
from stackr.executor.events import IN_USE
from stackr.executor.hooks import run_hook
from stackr.executor.init_steps import run_step
from stackr.executor.updates import drain, monitor, promote
from stackr.executor.walk import Tell
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
    RunStep,
    StartContainer,
    StopContainer,
    UnpauseContainer,
    UpdateContainer,
    WaitFor,
)
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig
from stackr.runtime.image_build import BuildFailed, ImageBuild
from stackr.runtime.protocol import Runtime, SupportsBuild, SupportsNetworkRepair
from stackr.runtime.types import PullProgress

__all__ = ["BeforeStart", "ContainerCalls"]

_CONTAINER = "container:"


BeforeStart = Callable[[str], Awaitable[None]]
"""Is told which container is about to be started, which waits for it."""


async def _nothing(ref: str) -> None:
    """Nobody has to know."""


@dataclass(slots=True)
class ContainerCalls:
    """The calls of one run on an engine of containers, and what they share."""

    runtime: Runtime
    watch: Watch
    before_start: BeforeStart = _nothing
    container_ids: dict[str, str] = field(default_factory=dict)
    image_ids: dict[str, asyncio.Task[str]] = field(default_factory=dict)

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

    async def perform(self, operation: Operation, tell: Tell) -> str:
        """As `walk.Calls`.

        A resource that should go and is gone, or should be started and is, is no failure.
        """
        call: _Call = _CALLS[type(operation.payload)]
        return await call(self, operation.payload, tell) or ""

    async def close(self) -> None:
        await self.watch.close()


async def _pull_image(calls: ContainerCalls, payload: PullImage, tell: Tell) -> None:
    try:
        stream = calls.runtime.pull_image(payload.reference, platform=payload.platform)
        async for progress in stream:
            tell(progress)
    except StackrError as error:
        raise _of_image(payload, error) from error
    calls.image_ids.pop(payload.reference, None)


async def _push_image(calls: ContainerCalls, payload: PushImage, tell: Tell) -> str:
    """Returns the digest that the image has in its registry now."""
    digest = ""
    try:
        async for progress in calls.runtime.push_image(payload.reference):
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


async def _build_image(calls: ContainerCalls, payload: BuildImage, tell: Tell) -> str:
    runtime, image = calls.runtime, payload.build.tags[0]
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
    calls.image_ids.pop(image, None)
    return found


async def _create_network(calls: ContainerCalls, payload: CreateNetwork, tell: Tell) -> None:
    await calls.runtime.create_network(payload.config)


async def _repair_network(calls: ContainerCalls, payload: RepairNetwork, tell: Tell) -> None:
    runtime = calls.runtime
    if not isinstance(runtime, SupportsNetworkRepair):
        raise NotSupported("this engine does not repair networks")
    await runtime.repair_network(payload.ref)


async def _create_volume(calls: ContainerCalls, payload: CreateVolume, tell: Tell) -> None:
    await calls.runtime.create_volume(payload.config)


async def _create_container(calls: ContainerCalls, payload: CreateContainer, tell: Tell) -> None:
    config = await _resolved(calls, payload.config)
    container_id = await calls.runtime.create_container(payload.name, config)
    calls.container_ids[payload.name] = container_id


async def _resolved(calls: ContainerCalls, config: ContainerConfig) -> ContainerConfig:
    """References to containers by ID, since names move, and the image's ID in its label."""
    changes: dict[str, Any] = {}
    for attribute in ("network_mode", "ipc_mode", "pid_mode"):
        mode: str = getattr(config, attribute)
        if mode.startswith(_CONTAINER):
            changes[attribute] = _CONTAINER + await calls.container_id(
                mode.removeprefix(_CONTAINER)
            )
    if config.volumes_from:
        changes["volumes_from"] = tuple(
            [await _volumes_source(calls, source) for source in config.volumes_from]
        )
    if labels.PROJECT in config.labels and labels.IMAGE not in config.labels:
        image_id = await calls.image_id(config.image)
        changes["labels"] = {**config.labels, labels.IMAGE: image_id}
    return replace(config, **changes) if changes else config


async def _volumes_source(calls: ContainerCalls, source: str) -> str:
    name, colon, mode = source.partition(":")
    return await calls.container_id(name) + colon + mode


async def _start_container(calls: ContainerCalls, payload: StartContainer, tell: Tell) -> None:
    await calls.before_start(payload.ref)
    await calls.runtime.start_container(payload.ref)


async def _restart_container(calls: ContainerCalls, payload: RestartContainer, tell: Tell) -> None:
    await calls.runtime.restart_container(payload.ref, timeout_s=payload.timeout_s)


async def _pause_container(calls: ContainerCalls, payload: PauseContainer, tell: Tell) -> None:
    await calls.runtime.pause_container(payload.ref)


async def _unpause_container(calls: ContainerCalls, payload: UnpauseContainer, tell: Tell) -> None:
    await calls.runtime.unpause_container(payload.ref)


async def _stop_container(calls: ContainerCalls, payload: StopContainer, tell: Tell) -> str | None:
    try:
        await calls.runtime.stop_container(payload.ref, timeout_s=payload.timeout_s)
    except NotFound:
        return "already gone"
    return None


async def _kill_container(calls: ContainerCalls, payload: KillContainer, tell: Tell) -> None:
    await calls.runtime.kill_container(payload.ref, signal=payload.signal)


async def _rename_container(calls: ContainerCalls, payload: RenameContainer, tell: Tell) -> None:
    await calls.runtime.rename_container(payload.ref, payload.name)
    if payload.ref in calls.container_ids:
        calls.container_ids[payload.name] = calls.container_ids.pop(payload.ref)


async def _remove_container(
    calls: ContainerCalls, payload: RemoveContainer, tell: Tell
) -> str | None:
    try:
        await calls.runtime.remove_container(
            payload.ref, force=payload.force, volumes=payload.volumes
        )
    except NotFound:
        return "already gone"
    except Conflict as error:
        if "already in progress" not in error.message:
            raise
        with contextlib.suppress(NotFound):  # it removes itself: its networks are free after that
            await calls.runtime.wait_container(payload.ref, "removed")
    return None


async def _connect_network(calls: ContainerCalls, payload: ConnectNetwork, tell: Tell) -> None:
    await calls.runtime.connect_network(payload.container, payload.attachment)


async def _disconnect_network(
    calls: ContainerCalls, payload: DisconnectNetwork, tell: Tell
) -> None:
    await calls.runtime.disconnect_network(payload.container, payload.network, force=True)


async def _update_container(calls: ContainerCalls, payload: UpdateContainer, tell: Tell) -> None:
    await calls.runtime.update_container(
        payload.ref,
        resources=payload.resources,
        restart=payload.restart,
        labels=payload.labels,
    )


async def _commit(calls: ContainerCalls, payload: Commit, tell: Tell) -> None:
    """Everything before is done; there is nothing to call."""


async def _promote_container(calls: ContainerCalls, payload: PromoteContainer, tell: Tell) -> None:
    await promote(calls.runtime, payload)


async def _drain_container(calls: ContainerCalls, payload: DrainContainer, tell: Tell) -> str:
    return await drain(calls.runtime, payload, lambda seen: tell(PullProgress(seen)))


async def _monitor_container(calls: ContainerCalls, payload: MonitorContainer, tell: Tell) -> None:
    await monitor(calls.runtime, payload, calls.watch)


async def _delay(calls: ContainerCalls, payload: Delay, tell: Tell) -> None:
    await asyncio.sleep(payload.seconds)


async def _run_hook(calls: ContainerCalls, payload: RunHook, tell: Tell) -> None:
    await run_hook(calls.runtime, payload)


async def _run_step(calls: ContainerCalls, payload: RunStep, tell: Tell) -> None:
    target = await calls.container_id(payload.target)
    whose = {**payload.config.labels, labels.STEP_FOR: target}
    wanted = replace(payload.config, volumes_from=(target,), labels=whose)
    config = wanted if payload.running else await _resolved(calls, wanted)
    await run_step(calls.runtime, payload, config, calls.before_start)


async def _wait_for(calls: ContainerCalls, payload: WaitFor, tell: Tell) -> str:
    return await wait_for(
        calls.runtime, payload, calls.watch, lambda seen: tell(PullProgress(seen))
    )


async def _remove_network(calls: ContainerCalls, payload: RemoveNetwork, tell: Tell) -> str | None:
    return await _remove_unused(calls.runtime.remove_network(payload.ref))


async def _remove_volume(calls: ContainerCalls, payload: RemoveVolume, tell: Tell) -> str | None:
    removal = calls.runtime.remove_volume(payload.name)
    if not payload.is_renewed:
        return await _remove_unused(removal)
    with contextlib.suppress(NotFound):
        await removal
    return None


async def _remove_image(calls: ContainerCalls, payload: RemoveImage, tell: Tell) -> str | None:
    return await _remove_unused(calls.runtime.remove_image(payload.reference))


async def _remove_unused(removal: Awaitable[None]) -> str | None:
    """What others still use is left to them, as Docker Compose does; dockerd answers 403 or 409."""
    try:
        await removal
    except NotFound:
        return "already gone"
    except (Conflict, PermissionDenied) as error:
        return f"{IN_USE}: {error.message}"
    return None


_Call: TypeAlias = Callable[[ContainerCalls, Any, Tell], Awaitable[str | None]]

_CALLS: dict[type[Payload], _Call] = {
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
    RunStep: _run_step,
    Commit: _commit,
    PromoteContainer: _promote_container,
    DrainContainer: _drain_container,
    MonitorContainer: _monitor_container,
    Delay: _delay,
}
