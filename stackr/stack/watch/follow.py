"""The work of `watch`: changes are waited for, and each batch is brought to the containers."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from dataclasses import replace

from stackr.errors import Conflict, NotFound, StackrError
from stackr.planner.commands.restarting import plan_restart
from stackr.planner.observe.observed import observe
from stackr.runtime.protocol import Runtime
from stackr.runtime.types import ContainerState
from stackr.stack.containers import display_name, project_containers
from stackr.stack.context import Context
from stackr.stack.converge import converge
from stackr.stack.goal import Goal
from stackr.stack.log_read import LogSink
from stackr.stack.watch.batch import Batch, batch_of, initial_batch
from stackr.stack.watch.changes import changed_paths
from stackr.stack.watch.rules import WatchRule, WatchRules
from stackr.stack.watch.sync import run_hook, sync, with_files

__all__ = ["follow"]


async def follow(
    context: Context,
    runtime: Runtime,
    goal: Goal,
    rules: WatchRules,
    lines: LogSink,
    *,
    prune: bool = True,
) -> None:
    """Do what the rules say about each change, until cancelled. lines: where hooks' output goes.

    prune: images that a rebuild has replaced are removed.

    A batch that fails is reported, and the next one is waited for. Raises Unavailable where the
    files cannot be watched, NotSupported where the engine takes none.
    """
    await _Follower(context, runtime, goal, rules, lines, prune=prune).run()


class _Follower:
    def __init__(
        self,
        context: Context,
        runtime: Runtime,
        goal: Goal,
        rules: WatchRules,
        lines: LogSink,
        *,
        prune: bool,
    ) -> None:
        self._context = context
        self._runtime = with_files(runtime)
        self._goal = goal
        self._project = goal.wanted.project
        self._prune = prune
        self._rules = rules
        self._lines = lines

    async def run(self) -> None:
        context = self._context
        for warning in self._rules.warnings:
            context.warning(f"watch: {warning}")
        is_enabled = False
        try:
            async with aclosing(changed_paths(self._rules.paths)) as batches:
                async for changed in batches:
                    if not is_enabled:
                        await self._handle(await self._initial())
                        context.message("Watch enabled")
                        is_enabled = True
                    elif batch := await asyncio.to_thread(batch_of, self._rules.rules, changed):
                        await self._handle(batch)
        finally:
            if is_enabled:
                context.message("Watch disabled")

    async def _initial(self) -> Batch:
        services = {r.service for r in self._rules.rules if r.trigger.initial_sync}
        if not services:
            return Batch()
        built = {service: await self._built(service) for service in sorted(services)}
        return await asyncio.to_thread(initial_batch, self._rules.rules, built.__getitem__)

    async def _built(self, service: str) -> float:
        """When the image of a service's containers was made."""
        containers = await self._containers(service)
        if not containers:
            return float("inf")
        return (await self._runtime.inspect_image(containers[0].image_id)).created

    async def _containers(self, service: str) -> list[ContainerState]:
        return await project_containers(self._runtime, self._project, [service])

    async def _handle(self, batch: Batch) -> None:
        try:
            if batch.rebuilds:
                await self._rebuild(batch.rebuilds)
            for service, files in batch.files.items():
                count = len(files)
                self._say(f'Syncing service "{service}" after {count} changes were detected')
                await sync(self._runtime, await self._containers(service), files)
            if batch.restarts:
                await self._restart(batch.restarts)
            await asyncio.gather(*(self._run_hook(rule) for rule in batch.hooks))
        except StackrError as error:
            self._context.warning(f"watch: {error.message}")

    def _say(self, text: str) -> None:
        self._context.message(text)

    async def _rebuild(self, services: list[str]) -> None:
        """The containers run on until the new image is there; one that fails leaves them."""
        self._say(f"Rebuilding service(s) {json.dumps(services)} after changes were detected")
        before = {c.image_id for name in services for c in await self._containers(name)}
        wanted = {name: self._goal.wanted.services[name] for name in services}
        goal = replace(
            self._goal,
            wanted=replace(self._goal.wanted, services=wanted, is_partial=True),
            options=replace(self._goal.options, services=tuple(services), no_deps=True),
            action="watch",
        )
        result = await converge(self._context, self._runtime, goal)
        if not result.is_success:
            self._context.warning("watch: the rebuild failed: what runs goes on as it is")
            return
        self._say(f"service(s) {json.dumps(services)} successfully built")
        if self._prune:
            after = {c.image_id for name in services for c in await self._containers(name)}
            await self._remove_images(before - after)

    async def _remove_images(self, images: set[str]) -> None:
        """Those that have no other name, and that nothing else uses."""
        for image in sorted(images):
            with suppress(NotFound, Conflict):
                if not (await self._runtime.inspect_image(image)).tags:
                    await self._runtime.remove_image(image)

    async def _restart(self, services: list[str]) -> None:
        observed = await observe(self._runtime, self._project)
        there = [name for name in services if observed.of_service(name)]
        if (
            there
            and await self._context.run_plan(plan_restart(observed, there), self._runtime) == 0
        ):
            self._say(f"service(s) {json.dumps(there)} restarted")

    async def _run_hook(self, rule: WatchRule) -> None:
        containers = await self._containers(rule.service)
        await asyncio.gather(
            *(self._run_hook_in(rule, each) for each in containers if each.is_running)
        )

    async def _run_hook_in(self, rule: WatchRule, container: ContainerState) -> None:
        name = display_name(container)
        output = _Lines(self._lines, name)
        code = await run_hook(self._runtime, container, rule.trigger.exec, output.hear)
        output.finish()
        if code:
            command = " ".join(rule.trigger.exec.command or ())
            self._context.warning(f"watch: {name}: {command} exited with code {code}")


class _Lines:
    """A program's output, as lines behind its container's name."""

    def __init__(self, lines: LogSink, name: str) -> None:
        self._lines = lines
        self._name = name
        self._begun: dict[str, bytes] = {}

    def hear(self, stream: str, data: bytes) -> None:
        *whole, rest = (self._begun.get(stream, b"") + data).split(b"\n")
        for line in whole:
            self._show(stream, line)
        self._begun[stream] = rest

    def finish(self) -> None:
        for stream, rest in self._begun.items():
            if rest:
                self._show(stream, rest)

    def _show(self, stream: str, line: bytes) -> None:
        text = line.decode(errors="replace").removesuffix("\r")
        self._lines.line(self._name, text, is_error=stream == "stderr")
