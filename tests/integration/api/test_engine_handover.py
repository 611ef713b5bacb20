"""One container takes another's place, by the API: real containers, and a daemon that is killed.

A site of two containers has one published port and the alias `web`; clients ask all the while.
"""

from __future__ import annotations

import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import docker
import pytest
import requests
from host_ports import free_port
from killed_daemon import kill_daemon
from network_lab import lookup
from polling import until

from stackr.errors import Conflict, InvalidArgument, NotFound
from stackr.runtime import labels
from stackr.runtime.connect import connect
from stackr.runtime.docker.runtime import DockerRuntime
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running

pytestmark = pytest.mark.root

NewEngine = Callable[[], EngineConfig]
_DEADLINE_S = 60.0
_SITE = "mkdir /www; echo $NAME >/www/name; exec httpd -f -p 80 -h /www"


class Site:
    """Containers of one service, on one engine."""

    def __init__(self, config: EngineConfig, image: str) -> None:
        self.config = config
        self.image = image
        self.client = docker.DockerClient(
            base_url=f"unix://{config.socket}", version="1.47", timeout=60
        )
        self.client.images.pull(image.rpartition(":")[0], tag="latest")
        self.name = f"site{uuid.uuid4().hex[:8]}"
        self.network = self.client.networks.create(self.name)
        self.port = free_port()
        self.containers: list[Any] = []

    def start(self, name: str, *, standby: bool = False, **settings: Any) -> Any:
        """A container that serves its name, on the network and under the alias `web`."""
        endpoint = self.client.api.create_endpoint_config(aliases=["web"])
        container = self.client.containers.create(
            self.image,
            ["sh", "-c", _SITE],
            name=f"{self.name}-{name}",
            environment={"NAME": name},
            labels={labels.STANDBY: "true"} if standby else {},
            network=self.name,
            networking_config={self.name: endpoint},
            **{"ports": {"80/tcp": self.port}, **settings},
        )
        self.containers.append(container)
        container.start()
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"][self.name]["IPAddress"]
        until(lambda: ask(address, 80) == name, f"{name} serves")
        return container

    def promote(self, container: Any, replaces: Any = None) -> requests.Response:
        query = {"replaces": replaces.id} if replaces is not None else {}
        return self.call("POST", f"/stackr/v1/containers/{container.id}/promote", params=query)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        api = self.client.api
        answer: requests.Response = api.request(method, f"{api.base_url}{path}", **options)
        return answer

    def connections(self, container: Any) -> dict[str, int]:
        answer = self.call("GET", f"/v1.47/stackr/v1/containers/{container.id}/connections")
        assert answer.status_code == 200, answer.text
        counted: dict[str, int] = answer.json()
        return counted

    def addresses(self, alias: str, source: Any) -> str:
        """What `nslookup` prints in a container; it needs no daemon."""
        source.reload()
        return lookup(source.attrs["State"]["Pid"], alias)

    def drain(self, container: Any) -> None:
        until(lambda: self.connections(container)["Total"] == 0, "nobody is served any more")

    def close(self) -> None:
        for container in self.containers:
            with suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        self.network.remove()
        self.client.close()


def ask(address: str, port: int) -> str:
    """The name that a new connection gets."""
    try:
        with closing(socket.create_connection((address, port), timeout=_DEADLINE_S)) as connection:
            connection.sendall(b"GET /name HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
    except OSError as error:
        return repr(error)
    return answer.rpartition(b"\r\n\r\n")[2].decode().strip() or "nothing"


@contextmanager
def asking(*addresses: str, port: int) -> Iterator[Counter[str]]:
    """A client for each address, in a loop; who answered how often."""
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def loop(address: str) -> None:
        while not stop.is_set():
            seen[ask(address, port)] += 1

    threads = [threading.Thread(target=loop, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _host_address() -> str:
    """One of this host's that is not of its loopback, where it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@pytest.fixture
def site(engine: EngineConfig, busybox_image: str) -> Iterator[Site]:
    site = Site(engine, busybox_image)
    yield site
    site.close()


def ports(container: Any) -> list[str]:
    """As inspected; a listing must say the same."""
    container.reload()
    shown = container.attrs["NetworkSettings"]["Ports"].get("80/tcp") or []
    listed = container.client.api.containers(all=True, filters={"id": container.id})[0]["Ports"]
    of_list = [str(port["PublicPort"]) for port in listed if "PublicPort" in port]
    found = [str(binding["HostPort"]) for binding in shown]
    assert sorted(found) == sorted(of_list)
    return found


def standby(container: Any) -> object:
    container.reload()
    return container.attrs.get("Stackr", {}).get("Standby")


def test_a_container_takes_anothers_place(site: Site) -> None:
    old = site.start("old")
    new = site.start("new", standby=True)
    assert ports(old) == [str(site.port)] * 2
    assert (ports(new), standby(new), standby(old)) == ([], True, None)
    assert ask("127.0.0.1", site.port) == "old"
    for _ in range(2):
        answer = site.promote(new, old)
        assert (answer.status_code, answer.text) == (204, "")
    assert ports(new) == [str(site.port)] * 2
    assert (ports(old), standby(new), standby(old)) == ([], False, True)
    assert old.attrs["Stackr"]["ReplacedBy"] == new.id
    for address in ("127.0.0.1", "::1", _host_address()):
        assert ask(address, site.port) == "new"
    names = new.attrs["NetworkSettings"]["Networks"][site.name]["DNSNames"]
    assert "web" in names
    own = old.attrs["NetworkSettings"]["Networks"][site.name]
    assert own["DNSNames"] == [old.name, old.id[:12]]
    assert own["Aliases"] == ["web"], "what was asked for stays"
    address = new.attrs["NetworkSettings"]["Networks"][site.name]["IPAddress"]
    shown = site.addresses("web", old)
    assert f"Address: {address}" in shown
    assert own["IPAddress"] not in shown
    old.remove(force=True)
    new.restart(timeout=0)
    assert ports(new) == [str(site.port)] * 2, "a later start publishes"
    until(lambda: ask("127.0.0.1", site.port) == "new", "it serves again")


def test_who_was_replaced_stays_so_until_its_successor_is_gone(site: Site) -> None:
    old = site.start("old")
    new = site.start("new", standby=True)
    assert site.promote(new, old).status_code == 204
    old.restart(timeout=0)
    assert ports(old) == [], "the port is another's"
    assert site.promote(old, new).status_code == 204, "and back"
    assert (ports(old), ports(new)) == ([str(site.port)] * 2, [])
    assert site.promote(new, old).status_code == 204
    new.remove(force=True)
    old.restart(timeout=0)
    assert ports(old) == [str(site.port)] * 2
    assert standby(old) is False


def test_what_is_refused(site: Site) -> None:
    old = site.start("old")
    new = site.start("new", standby=True)

    def refused(path: str, status: int, text: str, method: str = "POST") -> None:
        answer = site.call(method, f"/stackr/v1/containers/{path}")
        message = answer.json()["message"]
        assert (answer.status_code, text in message) == (status, True), message

    refused("none/promote", 404, "No such container: none")
    refused(f"{new.id}/promote?replaces=none", 404, "No such container: none")
    refused(f"{new.id}/promote?replaces={new.name}", 400, "cannot take its own place")
    refused(f"{new.id}/promote?replace={old.id}", 400, "unknown parameter: replace")
    refused(f"{old.id}/promote", 409, "is not in standby")
    refused(f"{new.id}/promote", 409, f"failed to bind host port for 0.0.0.0:{site.port}:")
    refused("none/connections", 404, "No such container: none", "GET")
    new.pause()
    refused(f"{new.id}/promote?replaces={old.id}", 409, "is paused")
    new.unpause()
    new.stop(timeout=0)
    refused(f"{new.id}/promote?replaces={old.id}", 409, "is not running")
    refused(f"{new.id}/connections", 409, "is not running", "GET")
    assert ask("127.0.0.1", site.port) == "old"
    with pytest.raises(
        docker.errors.APIError, match=r"io.stackr.standby: true or false, not 'yes'"
    ):
        site.client.containers.create(site.image, labels={labels.STANDBY: "yes"})


def test_a_promotion_is_an_event(site: Site) -> None:
    old = site.start("old")
    new = site.start("new", standby=True)
    since = int(time.time())
    site.promote(new, old)
    events = site.client.api.events(
        since=since,
        until=int(time.time()) + 1,
        filters={"event": "promote", "container": new.id},
        decode=True,
    )
    (event,) = list(events)
    assert event["Actor"]["ID"] == new.id
    assert event["Actor"]["Attributes"]["replaces"] == old.id


def test_no_request_is_lost_while_containers_change_places(site: Site) -> None:
    old = site.start("old")
    with asking("127.0.0.1", "::1", _host_address(), port=site.port) as seen:
        until(lambda: seen["old"], "an answer of the first")
        for turn in range(5):
            new = site.start(f"new{turn}", standby=True)
            assert site.promote(new, old).status_code == 204
            site.drain(old)
            old.remove(force=True)
            old = new
            until(lambda name=f"new{turn}": seen[name], "an answer of the new one")  # type: ignore[misc]
        until(lambda: seen.total() >= 2000, "enough requests")
    assert set(seen) == {"old", *(f"new{turn}" for turn in range(5))}


def test_an_open_connection_stays(site: Site) -> None:
    old = site.start("old")
    new = site.start("new", standby=True)
    with closing(socket.create_connection(("127.0.0.1", site.port), timeout=60)) as lasting:
        lasting.sendall(b"GET /name HTTP/1.0\r\n")
        assert site.connections(old) == {"Total": 1, "TCP": 1, "UDP": 0, "Relayed": 0}
        with closing(socket.create_connection(("::1", site.port), timeout=60)) as relayed:
            until(lambda: site.connections(old)["Relayed"] == 1, "the relay's is counted")
            site.promote(new, old)
            assert ask("127.0.0.1", site.port) == "new"
            assert site.connections(old) == {"Total": 2, "TCP": 1, "UDP": 0, "Relayed": 1}
            rest = {lasting: b"\r\n", relayed: b"GET /name HTTP/1.0\r\n\r\n"}
            for connection, text in rest.items():
                connection.sendall(text)
                assert connection.makefile().read().rpartition("\n\n")[2].strip() == "old"
    site.drain(old)


async def runtime_of(site: Site) -> DockerRuntime:
    runtime = await connect(f"unix://{site.config.socket}")
    assert isinstance(runtime, DockerRuntime)
    return runtime


@pytest.fixture
async def runtime(site: Site) -> AsyncIterator[DockerRuntime]:
    async with await runtime_of(site) as runtime:
        yield runtime


async def test_by_the_runtime(site: Site, runtime: DockerRuntime) -> None:
    assert runtime.capabilities.handover
    old, new = site.start("old"), site.start("new", standby=True)
    assert (await runtime.inspect_container(new.id)).standby
    await runtime.promote_container(new.name, replaces=old.name)
    await runtime.promote_container(new.name, replaces=old.name)
    listed = {each.id: each.standby for each in await runtime.list_containers()}
    assert (listed[old.id], listed[new.id]) == (True, False)
    assert await runtime.count_connections(old.id) == 0
    with pytest.raises(Conflict, match=r"host port .* is in use"):
        await runtime.promote_container(old.name)
    with pytest.raises(NotFound, match="No such container: none"):
        await runtime.count_connections("none")
    with pytest.raises(InvalidArgument, match="own place"):
        await runtime.promote_container(old.id, replaces=old.id)
    components = {
        component["Name"]: component.get("Details") or {}
        for component in site.client.version()["Components"]
    }
    assert "handover" in components["stackr"]["Capabilities"].split(", ")


# --- a daemon that is killed ------------------------------------------------------------------


def test_a_daemon_killed_at_any_moment_leaves_one_of_both(
    new_engine: NewEngine, busybox_image: str
) -> None:
    """IPv4 is the kernel's: it answers the whole time, whether a daemon runs or not."""
    site = Site(new_engine(), busybox_image)
    try:
        one, two = site.start("one"), site.start("two", standby=True)
        with asking("127.0.0.1", port=site.port) as seen:
            for _ in range(12):
                current, other = (one, two) if not standby(one) else (two, one)
                _promote_and_kill(site, other, current)
                ensure_running(site.config)
                _check_whole(site, one, two)
            until(lambda: seen.total() > 100, "enough requests")
        assert set(seen) <= {"one", "two"}, seen
    finally:
        site.close()


def _promote_and_kill(site: Site, new: Any, old: Any) -> None:
    """The kill comes somewhere in the call, which takes some ten milliseconds."""

    def promote() -> None:
        with suppress(requests.RequestException):
            site.promote(new, old)

    call = threading.Thread(target=promote)
    call.start()
    time.sleep(random.uniform(0, 0.02))
    kill_daemon(site.config)
    call.join()


def _check_whole(site: Site, one: Any, two: Any) -> None:
    """Exactly one has the port, on every way to it, and the alias."""
    states = {each.name.rpartition("-")[2]: bool(standby(each)) for each in (one, two)}
    assert sorted(states.values()) == [False, True], states
    (active,) = (name for name, is_standby in states.items() if not is_standby)
    current = one if active == "one" else two
    assert ports(current) == [str(site.port)] * 2
    assert ports(two if current is one else one) == []
    assert ask("127.0.0.1", site.port) == active
    assert ask("::1", site.port) == active
    address = current.attrs["NetworkSettings"]["Networks"][site.name]["IPAddress"]
    found = [
        line.partition(": ")[2]
        for line in site.addresses("web", one).splitlines()
        if line.startswith("Address: ") and "#" not in line and ":53" not in line
    ]
    assert found == [address]
