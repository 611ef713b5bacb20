"""Container records on the engine's state, and how callers name a container.

Messages are Docker's, as clients match them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from stackr.errors import Conflict, InvalidArgument, NotFound
from stackr.runtime.engine.container.records.lost import BundleRecords
from stackr.runtime.engine.container.records.record import CONTAINER, Container, Intent
from stackr.runtime.engine.container.records.record import State as ContainerState
from stackr.runtime.engine.container.records.state import (
    Event,
    Status,
    after,
    leaves_no_process,
    settles,
)
from stackr.runtime.engine.network.sandbox import SANDBOX
from stackr.runtime.engine.records import NewerRecord
from stackr.runtime.engine.state import State

__all__ = ["Store", "check_name", "random_name"]

_NAME = re.compile(r"^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$")
_ADJECTIVES = """
agile amber bold brave breezy bright brisk calm clever cosmic crisp daring eager early easy fair
fancy fast fresh gentle glad golden grand happy honest jolly keen kind lively loyal lucid lucky
mellow merry mighty modest noble patient placid plucky polite proud quick quiet rapid ready rustic
serene sharp shiny silent silver smart snug solid spry steady sturdy sunny swift tidy tranquil
vivid warm wise witty zesty
""".split()  # noqa: SIM905
_SURNAMES = """
abel archimedes avicenna babbage banach bernoulli bohr boole cantor carson cauchy celsius chandra
cori curie darwin dirac easley euclid euler faraday fermat fermi feynman fourier franklin galileo
galois gauss germain hamilton heisenberg herschel hertz hilbert hopper huygens hypatia jemison
joule kepler khayyam kovalevskaya lagrange lamarr laplace leavitt leibniz lovelace maxwell meitner
mendel mirzakhani newton noether ohm pascal pasteur payne planck ramanujan ride rubin sagan sanger
tesla turing volta wu
""".split()  # noqa: SIM905


def check_name(name: str) -> str:
    """The name without its slash. Raises InvalidArgument with Docker's text."""
    if not _NAME.match(name):
        raise InvalidArgument(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    return name.removeprefix("/")


def random_name() -> str:
    """Two words, for a container whose caller gives no name."""
    return f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_SURNAMES)}"


class Store:
    """Every container of the engine, in memory and written through."""

    def __init__(self, state: State, copies: BundleRecords) -> None:
        self._state = state
        self._copies = copies
        self._containers: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._left_alone: dict[str, NewerRecord] = {}
        self._left_names: dict[str, str] = {}

    def open(self) -> None:
        """Those of which a record is of a newer version are left alone, and their names theirs."""
        found = self._state.read(CONTAINER)
        self._left_alone = {**self._state.newer(SANDBOX), **self._state.newer(CONTAINER)}
        for id, container in self._state.glimpsed(CONTAINER).items():
            self._left_names[container.name] = id
        for id, container in found.items():
            if id in self._left_alone:
                self._left_names[container.name] = id
            else:
                self._containers[id] = container
                self._names[container.name] = id

    def is_left_alone(self, id: str) -> bool:
        """Whether a newer engine knows what to do with it, and this one does not."""
        return id in self._left_alone

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._containers.values()))

    def __contains__(self, id: str) -> bool:
        return id in self._containers

    def add(self, container: Container) -> None:
        """Raises Conflict where the name is taken, Internal where the disk is full."""
        self.check_free(container.name)
        self._state.check_room()
        self.put(container)
        self._containers[container.id] = container
        self._names[container.name] = container.id

    def check_removable(self) -> None:
        """Raises Internal where nothing can be removed: the disk is read-only."""
        self._state.check_writable()

    def advance(
        self, container: Container, event: Event, *, intent: Intent | None = None, **facts: Any
    ) -> None:
        """Change a container's state by an event, and write it; nobody else changes a state.

        intent: what the next start must finish; None for what the event says itself. facts: fields
        of the state; a start begins a new one. Raises Internal for an event that cannot be.
        """
        state = container.state
        status = after(state.status, event)
        before = ContainerState() if event is Event.STARTED else state
        container.state = replace(before, status=status, **facts)
        if intent is not None or settles(event):
            container.intent = intent or ""
        if leaves_no_process(event):
            container.running = None
        self.put(container)

    def intend(self, container: Container, intent: Intent) -> None:
        """Note what the next start must finish or undo, "" for nothing."""
        container.intent = intent
        self.put(container)

    def put(self, container: Container) -> None:
        """Write a changed record."""
        document = self._state.save(CONTAINER, container.id, container)
        if container.state.status.is_up:
            self._copies.keep(container.id, document)
        else:
            self._copies.drop(container.id)

    def rename(self, container: Container, name: str) -> None:
        """Raises Conflict where the name is taken."""
        self.check_free(name)
        self._names.pop(container.name, None)
        container.name = name
        self._names[name] = container.id
        self.put(container)

    def delete(self, container: Container) -> None:
        self._state.delete(CONTAINER.name, container.id)
        self._containers.pop(container.id, None)
        if self._names.get(container.name) == container.id:
            del self._names[container.name]

    def starts_in_standby(self, container: Container) -> bool:
        """Whether its ports and names are, or will be, another's."""
        return container.standby or container.replaced_by in self._containers

    def check_free(self, name: str) -> None:
        holder = self._names.get(name) or self._left_names.get(name)
        if holder is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container'
                f' "{holder}". You have to remove (or rename) that container to be able to reuse'
                " that name."
            )

    def free_name(self) -> str:
        """A random name that nobody has."""
        for _ in range(10):
            name = random_name()
            if name not in self._names and name not in self._left_names:
                return name
        return f"{random_name()}_{secrets.token_hex(3)}"

    def get(self, ref: str) -> Container:
        """By ID, name, or the start of an ID.

        Raises NotFound; InvalidArgument for several; NewerRecord for one that is left alone.
        """
        found = self._containers.get(ref)
        if found is None:
            found = self._containers.get(self._names.get(ref.removeprefix("/"), ""))
        if found is not None:
            return found
        matches = [id for id in self._containers if ref and id.startswith(ref)]
        if len(matches) > 1:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {ref}")
        if not matches:
            self._check_known(ref)
            raise NotFound(f"No such container: {ref}")
        return self._containers[matches[0]]

    def _check_known(self, ref: str) -> None:
        named = self._left_names.get(ref.removeprefix("/"))
        for id, error in self._left_alone.items():
            if id == named or (ref and id.startswith(ref)):
                raise error

    def existing(self, ref: str) -> Container:
        """As `get`, without those whose creation is under way."""
        container = self.get(ref)
        if container.state.status is Status.CREATING:
            raise NotFound(f"No such container: {ref}")
        return container
