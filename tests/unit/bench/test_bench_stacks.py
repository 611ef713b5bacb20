"""The benchmark's stack files."""

from __future__ import annotations

import json

from bench import stacks


def test_flat_services_publish_distinct_ports() -> None:
    services = json.loads(stacks.flat(50, "image"))["services"]
    published = {service["ports"][0] for service in services.values()}
    assert published == {f"{port}:{stacks.SERVED_PORT}" for port in stacks.ports(50)}


def test_chain_links_each_service_to_the_one_before() -> None:
    services = json.loads(stacks.chain(3, "image"))["services"]
    assert "depends_on" not in services["web00"]
    assert list(services["web02"]["depends_on"]) == ["web01"]


def test_described_declares_its_volumes() -> None:
    document = json.loads(stacks.described(20, "image"))
    assert len(document["services"]) == len(document["volumes"]) == 20
