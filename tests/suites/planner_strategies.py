"""Projects for property tests of the planner: small, and with all that ties services together."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from planning import published, service, stack

from stackr.runtime.types import Capabilities
from stackr.spec.model.deploy import Deploy, UpdateConfig
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.network import Ipam, IpamPool, Network
from stackr.spec.model.project import Project
from stackr.spec.model.service import Dependency, Service
from stackr.spec.model.volume import Volume

__all__ = ["engines", "projects", "services"]

NAMES = ("a", "b", "c", "d", "e")


@st.composite
def services(draw: st.DrawFn) -> dict[str, Service]:
    """Up to five services; each depends on, or shares namespaces with, earlier ones only."""
    chosen = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=5))
    made: dict[str, Service] = {}
    for name in sorted(chosen):
        earlier = sorted(made)
        attributes: dict[str, Any] = {
            "image": draw(st.sampled_from(["app", "other"])),
            "environment": draw(
                st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(["1", "2"]))
            ),
            "scale": draw(st.integers(0, 3)),
            "depends_on": {
                each: Dependency(restart=draw(st.booleans()), required=draw(st.booleans()))
                for each in earlier
                if draw(st.booleans())
            },
        }
        hosts = [each for each in earlier if made[each].scale]
        if draw(st.booleans()) and hosts:
            host = draw(st.sampled_from(hosts))
            attributes["network_mode"] = f"service:{host}"
            attributes["depends_on"][host] = Dependency(restart=True)
        else:
            attributes["networks"] = {"default": None}
            if draw(st.booleans()):
                attributes["networks"]["back"] = None
        if draw(st.booleans()):
            attributes["volumes"] = (
                ServiceVolume(type="volume", source="data", target="/data"),
                ServiceVolume(type="volume", target="/anonymous"),
            )
        if draw(st.booleans()):
            attributes["deploy"] = Deploy(update_config=draw(update_configs()))
        if draw(st.booleans()) and "network_mode" not in attributes:
            attributes["ports"] = published(
                *([8000 + ord(name)] if attributes["scale"] == 1 else [])
            )
        made[name] = service(**attributes)
    return made


def update_configs() -> st.SearchStrategy[UpdateConfig]:
    return st.builds(
        UpdateConfig,
        order=st.sampled_from(["start-first", "stop-first", None]),
        parallelism=st.sampled_from([None, 0, 1, 2]),
        failure_action=st.sampled_from(["pause", "continue", "rollback", None]),
    )


def engines() -> st.SearchStrategy[Capabilities]:
    """What an engine can do beyond Docker's: all of it, some, or nothing."""
    return st.builds(
        Capabilities,
        handover=st.booleans(),
        listed_limits=st.booleans(),
        update_labels=st.booleans(),
        update_lifts=st.booleans(),
    )


@st.composite
def projects(draw: st.DrawFn) -> Project:
    subnet = draw(st.sampled_from([None, "10.9.0.0/24"]))
    pools = (IpamPool(subnet=subnet),) if subnet else ()
    return stack(
        draw(services()),
        networks={"back": Network(name="demo_back", ipam=Ipam(config=pools))},
        volumes={"data": Volume(name="demo_data")},
    )
