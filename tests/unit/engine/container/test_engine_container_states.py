"""Where each event leads a container, and that nobody but the store changes its state."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path

import pytest

import stackr.runtime.engine.container as package
from stackr.errors import Conflict, Internal, StackrError
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.records.lost import BundleRecords
from stackr.runtime.engine.container.records.record import Container, Health, Running, State
from stackr.runtime.engine.container.records.state import Event, Status, Verb, after, check
from stackr.runtime.engine.container.records.store import Store
from stackr.runtime.engine.container.settings.spec import Config, HostConfig
from stackr.runtime.engine.state import State as Records

TABLE = """
made: creating>created
start: created>created exited>exited restarting>restarting
started: created>running exited>running restarting>running
start failed: created>created exited>exited restarting>exited
paused: running>paused
resumed: paused>running
stop: running>running paused>paused restarting>restarting
ended: running>exited paused>exited
ended, to be started again: running>restarting paused>restarting
restart cancelled: restarting>exited
a start that was cut off is undone: created>created exited>exited running>exited paused>exited \
restarting>exited
remove: creating>removing created>removing exited>removing removing>removing dead>removing
"""


def test_where_each_event_leads() -> None:
    found = []
    for event in Event:
        steps = []
        for status in Status:
            try:
                steps.append(f"{status}>{after(status, event)}")
            except Internal:
                continue
        found.append((str(event), set(steps)))
    wanted = [line.partition(": ") for line in TABLE.strip().splitlines()]
    assert found == [(event, set(steps.split())) for event, _, steps in wanted]


@pytest.mark.parametrize(
    ("verb", "event"),
    [
        (Verb.START, Event.START),
        (Verb.STOP, Event.STOP),
        (Verb.PAUSE, Event.PAUSED),
        (Verb.UNPAUSE, Event.RESUMED),
    ],
)
def test_what_is_allowed_leads_somewhere(verb: Verb, event: Event) -> None:
    for status in Status:
        try:
            check(status, verb, id="id", name="name")
        except StackrError:
            continue
        after(status, event)


def test_processes_of_a_paused_container_can_be_listed() -> None:
    check(Status.PAUSED, Verb.TOP, id="id", name="name")
    with pytest.raises(Conflict, match="container id is not running"):
        check(Status.EXITED, Verb.TOP, id="id", name="name")


def test_from_every_state_a_container_can_go() -> None:
    """By the events of a stop, an end or a removal; one that is made can be removed, too."""
    reached = {Status.REMOVING}
    for _ in Status:
        for status, event in product(Status, Event):
            try:
                if after(status, event) in reached:
                    reached.add(status)
            except Internal:
                continue
    assert reached == set(Status)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    config = EngineConfig.at(tmp_path, tmp_path / "run")
    state = Records.open(tmp_path / "state.db")
    return Store(state, BundleRecords(config, state))


def _container(status: Status) -> Container:
    return Container(
        id="a" * 64,
        name="web",
        created_ns=1,
        image_id="image",
        config=Config(image="image"),
        host_config=HostConfig(),
        endpoints={},
        state=State(status=status, exit_code=3, error="before", health=Health()),
        running=Running(1, 2),
        intent="start",
    )


def test_a_start_begins_a_new_state(store: Store) -> None:
    container = _container(Status.EXITED)
    store.advance(container, Event.STARTED, started_ns=5)
    assert container.state == State(status=Status.RUNNING, started_ns=5)
    assert container.running is not None
    assert container.intent == ""


def test_an_end_leaves_no_process_and_nothing_to_do(store: Store) -> None:
    container = _container(Status.RUNNING)
    store.advance(container, Event.STOP, intent="stop 5")
    assert (container.intent, container.running) == ("stop 5", Running(1, 2))
    store.advance(container, Event.PAUSED)
    assert container.intent == "stop 5"
    store.advance(container, Event.ENDED, exit_code=0, finished_ns=9)
    assert (container.intent, container.running) == ("", None)
    assert (container.state.status, container.state.exit_code) == (Status.EXITED, 0)
    store.open()
    (read,) = list(store)
    assert read.state == container.state


def test_what_cannot_be_changes_nothing(store: Store) -> None:
    container = _container(Status.REMOVING)
    with pytest.raises(Internal, match="container: started: not in state removing"):
        store.advance(container, Event.STARTED, started_ns=5)
    assert container == _container(Status.REMOVING)


def test_nobody_else_changes_a_state() -> None:
    writers = set()
    for path in Path(package.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else []
            flat = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
            for target in flat:
                text = ast.unparse(target)
                if text.endswith((".state.status", ".intent", "container.state")):
                    writers.add(path.name)
    assert writers == {"store.py"}
