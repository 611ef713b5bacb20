"""Where a cluster's replicas answer, without a cluster."""

from __future__ import annotations

from stackr.runtime.swarm.tasks import workload_status
from stackr.runtime.workloads import NodeState, TaskState, WorkloadStatus
from stackr.stack.testenv.variables import variables
from stackr.stack.workloads.members import members_among
from stackr.stack.workloads.tasks import StackTask

_NODES = {each.id: each for each in (NodeState("n1", "one", "10.0.0.1"), NodeState("n2", "two"))}


def _task(slot: int, node: str, state: str = "running") -> StackTask:
    name = _NODES[node].name if node else ""
    ports = ((30001, 80, "tcp"), (0, 81, "tcp"))
    task = TaskState(
        f"t{slot}{node}", "shop_web", slot, name, node, state, container_id="c", ports=ports
    )
    return StackTask("web", task)


def test_each_replica_answers_at_its_node_and_the_mesh_at_all() -> None:
    status = WorkloadStatus("shop_web", ports=((8443, 443, "tcp"),))
    tasks = [_task(2, "n2"), _task(1, "n1"), _task(3, "", "pending")]
    members = members_among(tasks, [status], _NODES, lambda service, port: "h2" * (port == 80))
    assert [(each.number, each.name) for each in members] == [(1, "shop_web.1"), (2, "shop_web.2")]
    values, unclear = variables(members)
    assert unclear == []
    assert values["STACKR_WEB_80_URL"] == "h2://10.0.0.1:30001"
    assert values["STACKR_WEB_2_80"] == "two:30001", "by its name, where no address is known"
    assert values["STACKR_WEB_443_URL"] == "https://10.0.0.1:8443"


def test_one_a_node_is_numbered_by_nodes() -> None:
    members = members_among([_task(0, "n2"), _task(0, "n1")], [], _NODES, lambda *port: "")
    assert [(each.number, each.ports[0].host) for each in members] == [(1, "10.0.0.1"), (2, "two")]


def test_ports_of_the_mesh_are_the_services() -> None:
    ports = [
        {"PublishedPort": 8080, "TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress"},
        {"PublishedPort": 8081, "TargetPort": 81, "Protocol": "tcp", "PublishMode": "host"},
    ]
    service = {
        "ID": "s",
        "Spec": {"Name": "shop_web", "Mode": {}},
        "Version": {"Index": 1},
        "Endpoint": {"Ports": ports},
    }
    assert workload_status(service, [], {}, ()).ports == ((8080, 80, "tcp"),)
