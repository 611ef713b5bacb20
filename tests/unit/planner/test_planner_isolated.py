"""The host ports of isolated copies: the same for a name, apart for two, kept, and moved on."""

from __future__ import annotations

import pytest
from planning import port, service, stack

from stackr.errors import Conflict
from stackr.planner.desired.config_hash import canonical_json, service_spec
from stackr.planner.desired.instance import instance
from stackr.planner.desired.isolated import (
    FIRST,
    LAST,
    FixedPort,
    chosen_ports,
    fixed_ports,
    kept_ports,
    preferred,
    with_host_ports,
)
from stackr.spec.model.build import Build
from stackr.spec.model.parts import Port
from stackr.spec.model.project import Project


def web(*ports: Port) -> Project:
    return stack({"web": service(ports=ports)})


def free(port: int, protocol: str, host_ip: str) -> bool:
    return True


def test_a_fixed_port_and_a_range_are_found_and_one_of_the_engine_is_not() -> None:
    project = web(port(80, "8080"), port(90, "9000-9003"), port(81))
    assert fixed_ports(project) == (
        FixedPort(("web", 80, "tcp", "", 0), 0, 1),
        FixedPort(("web", 90, "tcp", "", 0), 1, 4),
    )


def test_the_same_name_has_the_same_ports_and_another_has_others() -> None:
    fixed = fixed_ports(web(port(80, "8080"), port(90, "9000-9003")))
    one = chosen_ports("shop-x", fixed, {}, free)
    assert one == chosen_ports("shop-x", reversed(fixed), {}, free)
    assert one != chosen_ports("shop-y", fixed, {}, free)
    first, last = one["web", 1]
    assert last - first == 3
    assert all(FIRST <= number <= LAST for pair in one.values() for number in pair)


def test_a_port_that_is_taken_is_passed_by() -> None:
    [fixed] = fixed_ports(web(port(80, "8080")))
    taken = {preferred("shop-x", fixed.key), preferred("shop-x", fixed.key, 1)}
    chosen = chosen_ports("shop-x", [fixed], {}, lambda number, *_: number not in taken)
    third = preferred("shop-x", fixed.key, 2)
    assert chosen == {("web", 0): (third, third)}


def test_copies_do_not_meet_behind_ports_that_are_taken() -> None:
    """As with the next free port, where programs have many in a row."""
    [fixed] = fixed_ports(web(port(80, "8080")))
    chosen = [
        chosen_ports(f"shop-{n}", [fixed], {}, lambda number, *_: number > FIRST + 5000)
        for n in range(20)
    ]
    assert len({each["web", 0] for each in chosen}) >= 19


def test_a_row_is_looked_for_as_a_whole() -> None:
    [fixed] = fixed_ports(web(port(90, "9000-9003")))
    start, second = (preferred("shop-x", fixed.key, attempt) for attempt in (0, 1))
    chosen = chosen_ports("shop-x", [fixed], {}, lambda number, *_: number != start + 2)
    assert chosen == {("web", 0): (second, second + 3)}


def test_the_only_port_that_is_free_is_found() -> None:
    [fixed] = fixed_ports(web(port(80, "8080")))
    chosen = chosen_ports("shop-x", [fixed], {}, lambda number, *_: number == FIRST)
    assert chosen == {("web", 0): (FIRST, FIRST)}


def test_where_no_port_is_free_it_is_said() -> None:
    with pytest.raises(Conflict, match=f"all of {FIRST} to {LAST} are in use"):
        chosen_ports("x", fixed_ports(web(port(80, "8080"))), {}, lambda *_: False)


def test_two_ports_of_one_copy_never_meet() -> None:
    fixed = fixed_ports(web(*(port(80, f"{8000 + n}") for n in range(50))))
    chosen = chosen_ports("shop-x", fixed, {}, lambda number, *_: number < FIRST + 50)
    assert len(set(chosen.values())) == 50


def test_what_a_container_has_is_kept_also_where_the_file_says_another_port_now() -> None:
    before = with_host_ports(web(port(80, "8080")), {("web", 0): (20777, 20777)})
    spec = canonical_json(service_spec(before.services["web"]))
    kept = kept_ports("web", spec)
    assert chosen_ports("x", fixed_ports(web(port(80, "8081"))), kept, free) == {
        ("web", 0): (20777, 20777)
    }


def test_a_range_that_has_become_wider_is_looked_for_anew() -> None:
    kept = {("web", 90, "tcp", "", 0): (20001, 20002)}
    chosen = chosen_ports("x", fixed_ports(web(port(90, "9000-9005"))), kept, free)
    first, last = chosen["web", 0]
    assert last - first == 5


@pytest.mark.parametrize("spec", ["", "[]", "{", '{"ports": [1]}', '{"ports": [{"target": "x"}]}'])
def test_a_label_that_is_damaged_keeps_nothing(spec: str) -> None:
    assert kept_ports("web", spec) == {}


def test_images_that_are_built_are_the_copys_own_and_others_are_not() -> None:
    build = Build(context="/src")
    project = stack(
        {
            "a": service(image=None, build=build),
            "b": service(image="app:dev", build=build),
            "c": service(image="app:dev"),
            "d": service(image="localhost:5000/app", build=build),
            "e": service(image="redis:7"),
        }
    )
    copy = instance(project, "shop", "x", folder="/src").project.services
    images = {name: each.image for name, each in copy.items()}
    assert images == {
        "a": None,  # of the project's name
        "b": "app:dev-x",
        "c": "app:dev-x",
        "d": "localhost:5000/app:x",
        "e": "redis:7",
    }
