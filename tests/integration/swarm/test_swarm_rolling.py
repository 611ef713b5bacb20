"""Updates seen by those who ask meanwhile, on each node. Slow: `scripts/test-swarm` tries it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from polling import until
from swarm_project import Stack

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.environ.get("STACKR_TEST_LONG"), reason="scripts/test-swarm"),
]
_SERVE = """\
mkdir /www; echo {word} > /www/index.html; httpd -p 80 -h /www
trap 'sleep 3; exit' TERM
while :; do sleep 0.1; done
"""
"""Goes on to answer for a while after it was told to stop: names of it are known that long."""
_ASK = r"""
trap exit TERM
while :; do
  said=$(printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 web 80 | tail -n 1)
  case $said in one|two) echo got $said;; *) echo failed;; esac
  sleep 0.1
done
"""


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_nobody_goes_without_an_answer(stack: Stack, order: str) -> None:
    """Two replicas behind one name, and a client on each node that looks it up for each request.

    Those of stop-first are one less for a while, and never none.
    """

    def write(word: str) -> None:
        update = {"order": order, "monitor": "1s", "delay": "1s", "failure_action": "pause"}
        web = stack.service(deploy={"replicas": 2, "update_config": update})
        web["command"] = ["sh", "-c", _SERVE.format(word=word)]
        ask = stack.service(deploy={"mode": "global"}, depends_on=["web"])
        ask["command"] = ["sh", "-c", _ASK.replace("$", "$$")]
        stack.write({"web": web | {"stop_grace_period": "20s"}, "ask": ask})

    def answers() -> list[str]:
        return stack("logs", "ask").stdout.splitlines()

    write("one")
    stack("up", "--wait")
    until(lambda: all(f"@node{n} " in "\n".join(answers()) for n in (1, 2, 3)), "each client")
    write("two")
    seen = len(answers())
    stack("up", "--wait")
    until(lambda: sum("got two" in line for line in answers()) > 10, "the new ones")
    meanwhile = answers()[seen:]
    assert any("got one" in line for line in meanwhile)
    assert [line for line in meanwhile if "failed" in line] == []


_BALANCE = r"""
import json, socket, sys, threading
done, found = threading.Event(), {}

def said(host):
    with socket.create_connection((host, 8080), 5) as link:
        link.settimeout(5)
        link.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := link.recv(4096):
            answer += data
    return answer.decode().split("\r\n\r\n")[1].strip()

def ask(hosts):
    while not done.wait(0.02):
        word = "lost"
        for host in hosts:
            try:
                word = said(host)
            except (OSError, IndexError):
                found["elsewhere"] = found.get("elsewhere", 0) + 1
                continue
            break
        found[word] = found.get(word, 0) + 1
        hosts = hosts[1:] + hosts[:1]

nodes = sys.argv[1:]
askers = [threading.Thread(target=ask, args=(nodes[n:] + nodes[:n],)) for n in range(3)]
for each in askers:
    each.start()
print("asking", flush=True)
for line in sys.stdin:
    print(json.dumps(found), flush=True)
done.set()
"""
"""Asks one node's port after the other, and the next one where one does not answer: as whatever
stands before the nodes does. Tells its counts for each line that it reads."""


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_nobody_goes_without_an_answer_at_the_nodes_own_ports(stack: Stack, order: str) -> None:
    """A port is free once a node: where one node is left without a task, the new ones start first;
    where none is, one node after the other goes without for a while."""

    def write(word: str) -> None:
        update = {"order": order, "parallelism": 1, "monitor": "1s", "delay": "1s"}
        width = {"replicas": 2} if order == "start-first" else {"mode": "global"}
        ports = [{"target": 80, "published": "8080", "mode": "host"}]
        web = stack.service(deploy={**width, "update_config": update}, ports=ports)
        web["command"] = ["sh", "-c", _SERVE.format(word=word)]
        check = {"test": ["CMD", "wget", "-qO", "-", "127.0.0.1"], "interval": "1s"}
        stack.write({"web": web | {"stop_grace_period": "20s", "healthcheck": check}})

    write("one")
    stack("up", "--wait")
    argv = stack.rig.hub.command(
        "python3", "-c", _BALANCE, *(node.address for node in stack.rig.nodes)
    )
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        into, out = asking.stdin, asking.stdout
        assert out.readline() == "asking\n"

        def counts() -> dict[str, int]:
            into.write("\n")
            into.flush()
            found: dict[str, int] = json.loads(out.readline())
            return found

        until(lambda: counts().get("one", 0) > 100, "answers")
        write("two")
        stack("up", "--wait")
        until(lambda: counts().get("two", 0) > 100, "answers of the new ones")
        seen = counts()
        into.close()
        assert asking.wait(60) == 0
    assert "lost" not in seen, seen
    assert {*seen} <= {"one", "two", "elsewhere"}, seen
