"""`up --isolated` on a real Swarm: copies beside each other, and the library on one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from swarm_project import Stack

import stackr
from stackr.runtime.labels import ISOLATED

pytestmark = pytest.mark.root
_SERVE = (
    "trap exit TERM; mkdir /www; echo hello > /www/index.html; httpd -p 80 -h /www; echo serving;"
    " sleep 999 & wait"
)


def test_copies_are_beside_each_other_and_each_is_its_folders_own(
    stack: Stack, tmp_path: Path
) -> None:
    ports = [
        {"target": 80, "published": "8080", "mode": "host"},
        {"target": 81, "published": "8081", "mode": "host"},
    ]
    pinned = {"placement": {"constraints": ["node.hostname == node1"]}}
    web = stack.service(ports=ports, configs=["conf"], deploy=pinned)
    web["command"] = ["sh", "-c", _SERVE]
    stack.write({"web": web}, configs={"conf": {"name": "conf", "content": "x"}})
    one = "--isolated=one"
    told = stack("up", "-d", "--ttl=1h", one).stderr
    assert "it is an isolated copy: other commands take --isolated=one" in told
    engine = f"swarm+{stack.rig.manager.url}"
    two = stackr.Stack.load(stack.file, isolated="two", engine=engine)
    assert two.diff().changes
    assert two.up().status == "applied"

    services = stack.rig.manager.call("GET", "/services")
    assert {each["Spec"]["Labels"][ISOLATED] for each in services} == {"one", "two"}
    published = [each["PublishedPort"] for s in services for each in s["Endpoint"]["Ports"]]
    assert len({*published}) == 4, "on one node"
    assert not {8080, 8081} & {*published}
    address = json.loads(stack("--json", "env", one).stdout)["STACKR_WEB_80"]
    host, _, port = address.partition(":")
    assert host == stack.rig.manager.address
    assert stack.rig.fetch(stack.rig.manager, int(port)) == "hello\n"
    assert "no changes" in stack("up", "-d", one).stderr
    listed = json.loads(stack("ls", "--format=json", files=False).stdout)
    assert [(row["Name"], row["Isolated"], row["Folder"]) for row in listed] == [
        ("shop-one", "one", str(tmp_path)),
        ("shop-two", "two", str(tmp_path)),
    ]

    (web_1,) = two.ps()
    assert (web_1.name, web_1.state) == ("web.1@node1", "running")
    assert [line.text for line in two.logs()] == ["serving"]
    assert two.exec("web", ["cat", "/www/index.html"]).stdout == b"hello\n"
    assert two.run("web", ["sh", "-c", "echo once; exit 3"], no_deps=True).exit_code == 3
    assert [each.number for each in two.history()] == [1]
    with pytest.raises(stackr.StackrError, match="stop: not on a cluster"):
        two.stop()

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "stack.yml").write_text(stack.file.read_text())
    with pytest.raises(stackr.StackrError, match=f"it is the one of {tmp_path}"):
        stackr.Stack.load(elsewhere / "stack.yml", isolated="two", engine=engine)
    two.down()
    stack("down", one)
    assert stack.rig.manager.call("GET", "/services") == []
    assert stack.rig.manager.call("GET", "/configs") == []
