"""Updates seen by those who ask meanwhile, on each node. Slow: `scripts/test-swarm` tries it."""

from __future__ import annotations

import os

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
