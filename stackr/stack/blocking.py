"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

__all__ = ["Loop", "running_loop"]

T = TypeVar("T")


class Loop:
    """Runs coroutines one after the other; what they have started goes on meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled where the caller is interrupted."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @contextlib.contextmanager
    def within(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """The block in an asynchronous context."""
        stack = contextlib.AsyncExitStack()
        value = self.run(stack.enter_async_context(context))
        try:
            yield value
        except BaseException as error:
            if not self.run(stack.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self.run(stack.aclose())

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Each item as it comes."""

        async def take() -> T:
            return await anext(items)

        while True:
            try:
                item = self.run(take())
            except StopAsyncIteration:
                return
            yield item


@contextlib.contextmanager
def running_loop() -> Iterator[Loop]:
    """A loop that runs until the end of the block; what still goes on then is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stackr", daemon=True)
    thread.start()
    try:
        yield Loop(loop)
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
