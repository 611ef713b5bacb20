"""A stack with its engine open: what can be done to it, as coroutines, on whichever kind it is.

`HostStack` is on an engine of containers, `ClusterStack` on one that runs replicas itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from stackr.planner.desired.image_build import BuildOptions
from stackr.planner.observe.revision import Revision
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.runtime.types import ContainerState, ContainerStats, EngineEvent
from stackr.stack.log_lines import LogLine
from stackr.stack.log_request import LogRequest
from stackr.stack.result import Completed, Result

__all__ = ["LiveStack"]


class LiveStack(Protocol):
    """Made by `Stack.open`. What changes something raises ChangeFailed where it is not all done.

    What an engine that runs replicas itself has no way of raises NotSupported there, by its name.
    """

    async def diff(
        self, options: UpOptions | None = None, *, out: str | Path | None = None
    ) -> Plan:
        """What `up` would do; nothing is changed. out: where the plan is saved for `apply`.

        A stack's policy may refuse it: see `Plan.is_refused`.
        """
        ...

    async def propose(self, options: UpOptions | None = None) -> tuple[Plan, bytes]:
        """As `diff`, with the document that would be saved, which `apply` takes as well."""
        ...

    async def up(self, options: UpOptions | None = None, *, ttl_s: float | None = None) -> Result:
        """Make what exists match the files. ttl_s: after which it is taken down."""
        ...

    async def apply(
        self, plan: str | Path | bytes, *, wait: bool = False, atomic: bool = False
    ) -> Result:
        """Carry out a plan that `diff` saved, or what it saved. Raises Conflict if out of date."""
        ...

    async def rollback(self, revision: int | None = None, *, wait: bool = False) -> Result:
        """Go back to a revision; None for the one before the last."""
        ...

    async def down(self, options: DownOptions | None = None) -> Result:
        """Remove containers and networks; volumes only where the options say so."""
        ...

    async def start(self, *services: str) -> Result:
        """Start containers that exist; without names, all."""
        ...

    async def stop(self, *services: str, timeout_s: float | None = None) -> Result:
        """Stop containers, and keep them. timeout_s: before they are killed; None for their own."""
        ...

    async def restart(self, *services: str, timeout_s: float | None = None) -> Result:
        """Stop and start containers; on a cluster, put new tasks in their place."""
        ...

    async def ps(self, services: Sequence[str] = (), *, all: bool = False) -> list[ContainerState]:
        """Its containers that run, by name. all: stopped ones too, and those of `run`."""
        ...

    async def history(self) -> list[Revision]:
        """The revisions that the engine keeps, oldest first."""
        ...

    def logs(self, request: LogRequest | None = None) -> AsyncIterator[LogLine]:
        """What its containers have written, in the order of the times; or as it comes."""
        ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """What happens to its containers, from the first item on.

        That one is of type "", and says that nothing is missed from now on.
        """
        ...

    def usage(
        self, ids: Collection[str] | None = None, *, every_s: float = 1.0
    ) -> AsyncIterator[dict[str, ContainerStats]]:
        """What containers use, by their IDs, again and again.

        ids: of which, and looked at each time, so that they may change meanwhile; None for all that
        run. Those of a node that is out of reach are left out. Raises NotSupported where the engine
        does not measure it.
        """
        ...

    async def run(
        self,
        service: str,
        command: Sequence[str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        working_dir: str | None = None,
        no_deps: bool = False,
    ) -> Completed:
        """Run a command in a new container of a service, which is removed at its end.

        command: None for the service's own. no_deps: what it depends on is not brought up.
        An exit code is no error; ChangeFailed is raised where it could not be run.
        """
        ...

    async def exec(
        self,
        service: str,
        command: Sequence[str],
        *,
        index: int | None = None,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        working_dir: str = "",
    ) -> Completed:
        """Run a command in a service's running container. index: its number; None for the first,
        or on a cluster for any that can be reached.

        An exit code is no error. Raises NotFound where none runs, NotSupported where the engine
        has no such call, and Unavailable, naming it, where the node is out of reach.
        """
        ...

    async def build(self, *services: str, options: BuildOptions | None = None) -> None:
        """Build the images of these services, or of all that have a `build` section.

        Raises NotFound for a service that is not built, ChangeFailed where a build fails.
        """
        ...

    async def watch(self, options: UpOptions | None = None, *, prune: bool = True) -> None:
        """Bring it up, and follow its source files as `develop.watch` says, until it is cancelled.

        prune: images that a rebuild has replaced are removed. What becomes of each batch of
        changes is reported; one that fails ends nothing.
        """
        ...
