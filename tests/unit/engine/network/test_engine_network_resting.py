"""Who gets which address again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.network.resting import RestingAddresses
from stackr.runtime.engine.network.store import NetworkStore
from stackr.runtime.engine.network.types import EndpointSpec, IpamPool, Network, NetworkSpec
from stackr.runtime.engine.state import State


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.open(tmp_path / "state.db")
    yield state
    state.close()


class Book:
    """A store with one network, 10.9.0.0/29, whose gateway is .1."""

    def __init__(self, state: State, tmp_path: Path) -> None:
        self.config = EngineConfig.at(tmp_path, tmp_path)
        self.state = state
        self.store = self.opened()
        pool = IpamPool(subnet="10.9.0.0/29")
        self.network: Network = self.store.define(NetworkSpec("app", pools=(pool,)))

    def opened(self) -> NetworkStore:
        store = NetworkStore(self.config, self.state, lambda _: ())
        store.load()
        return store

    def start(self, slot: str, stated: str = "") -> str:
        spec = EndpointSpec("app", ipv4_address=stated)
        return self.store.allocate(self.network, spec, slot)[0].removeprefix("10.9.0.")

    def end(self, slot: str, last: str) -> None:
        self.store.release(self.network.id, f"10.9.0.{last}")
        self.store.rest(self.network.id, slot, f"10.9.0.{last}")


@pytest.fixture
def book(state: State, tmp_path: Path) -> Book:
    return Book(state, tmp_path)


def test_it_comes_back_to_its_own(book: Book) -> None:
    assert [book.start(slot) for slot in "abc"] == ["2", "3", "4"]
    book.end("b", "3")
    book.end("a", "2")
    assert book.start("d") == "5"
    assert book.start("b") == "3"
    assert book.start("a") == "2"


def test_one_beside_it_gets_another_and_who_ends_last_is_remembered(book: Book) -> None:
    assert (book.start("a"), book.start("a")) == ("2", "3")
    book.end("a", "2")
    assert book.start("b") == "4"
    book.end("a", "3")
    assert book.start("a") == "3"


def test_a_stated_address_wins(book: Book) -> None:
    assert book.start("a") == "2"
    book.end("a", "2")
    assert book.start("b", stated="10.9.0.2") == "2"
    assert book.start("a") == "3"


def test_what_another_is_to_have_is_left_to_it(book: Book) -> None:
    assert book.start("a") == "2"
    book.end("a", "2")
    stated = {"app": ["10.9.0.2", "10.9.0.4"], "other": ["10.9.0.3"]}
    book.store.stated = lambda words: [text for word in words for text in stated.get(word, ())]
    assert book.start("a") == "3"
    assert book.start("b") == "5"
    assert book.start("c", stated="10.9.0.4") == "4"


def test_the_longest_at_rest_go_first_when_there_are_no_others(book: Book) -> None:
    assert [book.start(slot) for slot in "abcde"] == ["2", "3", "4", "5", "6"]
    for slot, last in (("c", "4"), ("a", "2")):
        book.end(slot, last)
    assert book.start("f") == "4"
    assert book.start("c") == "2"


def test_it_outlasts_the_engine_but_not_the_network(book: Book) -> None:
    assert book.start("a") == "2"
    book.end("a", "2")
    book.store = book.opened()
    assert book.start("b") == "3"
    assert book.start("a") == "2"
    book.store.forget(book.network)
    book.store.rest(book.network.id, "a", "10.9.0.2")
    assert book.state.all("address") == {}


def test_so_many_are_remembered_and_no_more(state: State) -> None:
    resting = RestingAddresses(state)
    for number in range(300):
        resting.rest("net", f"slot{number}", f"fd00::{number:x}", "")
    assert resting.of("net", "slot43") == ()
    assert resting.of("net", "slot44") == ("fd00::2c",)
    again = RestingAddresses(state)
    again.load()
    assert again.others("net", "slot299") == resting.others("net", "slot299")
    assert len(again.others("net", "x")) == 256
