"""What a create body asks that cannot be together, and how its keys are read."""

from __future__ import annotations

from typing import Any

import pytest

from stackr.errors import InvalidArgument, StackrError
from stackr.runtime.engine.container.host import detect
from stackr.runtime.engine.container.life.checks import check_create
from stackr.runtime.engine.container.life.networking import stated_addresses
from stackr.runtime.engine.container.oci.bundle import environment
from stackr.runtime.engine.container.oci.security import parse_security_options
from stackr.runtime.engine.container.oci.user import ProcessUser
from stackr.runtime.engine.container.records.record import Container
from stackr.runtime.engine.container.settings.contradictions import (
    check_network_mode,
    network_warnings,
)
from stackr.runtime.engine.container.settings.keys import matched
from stackr.runtime.engine.container.settings.links import (
    Link,
    link_environment,
    link_hosts,
    parse_link,
)
from stackr.runtime.engine.container.settings.merge import merge_config
from stackr.runtime.engine.container.settings.refused import check_runtime
from stackr.runtime.engine.container.settings.spec import (
    Config,
    EndpointSettings,
    HostConfig,
    parse_create,
)
from stackr.runtime.engine.network.endpoint_options import endpoint_sysctls

_MAC = "02:42:ac:11:00:02"
_PORT = {"80/tcp": [{"HostPort": "8080"}]}


@pytest.mark.parametrize(
    ("mode", "own", "host", "text"),
    [
        ("container:", {}, {}, "invalid container format container:<name|id>"),
        ("container:x", {"Hostname": "h"}, {}, "hostname and the network mode"),
        ("container:x", {"MacAddress": _MAC}, {}, "mac-address and the network mode"),
        ("host", {"MacAddress": _MAC}, {}, "mac-address and the network mode"),
        ("container:x", {"ExposedPorts": {"80/tcp": {}}}, {}, "port exposing and the container"),
        ("container:x", {}, {"PortBindings": _PORT}, "port publishing and the container"),
        ("container:x", {}, {"PublishAllPorts": True}, "port publishing and the container"),
        ("container:x", {}, {"Dns": ["1.1.1.1"]}, "dns and the network mode"),
        ("container:x", {}, {"ExtraHosts": ["a:1.1.1.1"]}, "custom host-to-IP mapping"),
        ("container:x", {}, {"Links": ["a"]}, "container type network can't be used with links"),
        ("host", {}, {"Links": ["a"]}, "host type networking can't be used with links"),
        ("none", {"Hostname": "h"}, {"UTSMode": "host"}, "hostname and the UTS mode"),
    ],
)
def test_what_the_network_mode_excludes_is_refused(
    mode: str, own: dict[str, Any], host: dict[str, Any], text: str
) -> None:
    body = {"Image": "i", **own, "HostConfig": {"NetworkMode": mode, **host}}
    with pytest.raises(InvalidArgument) as caught:
        check_network_mode(parse_create(body))
    assert text in caught.value.message


@pytest.mark.parametrize(("folder", "text"), [("x/y", "absolute"), ("/é" * 2000, "4095 bytes")])
def test_a_working_directory_that_cannot_be_entered_is_refused(folder: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        check_create(Config(working_dir=folder), HostConfig(), detect())


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_an_address_is_of_user_defined_networks(network: str) -> None:
    settings = {network: {"IPAMConfig": {"IPv4Address": "10.1.1.1"}}}
    body = parse_create({"NetworkingConfig": {"EndpointsConfig": settings}})
    with pytest.raises(InvalidArgument, match="on user defined networks only"):
        check_network_mode(body)


def test_ports_of_no_use_are_told() -> None:
    body = parse_create({"HostConfig": {"NetworkMode": "host", "PortBindings": _PORT}})
    check_network_mode(body)
    assert network_warnings(body) == ["Published ports are discarded when using host network mode"]


def test_keys_may_be_in_any_case() -> None:
    assert matched({"cmd": 1, "Other": 2}, ("Cmd",)) == {"Cmd": 1, "Other": 2}
    assert matched({"cmd": 1, "Cmd": 2}, ("Cmd",))["Cmd"] == 2
    body = parse_create(
        {"hostconfig": {"tmpFS": {"/t": ""}, "BLKIODEVICEREADIOPS": []}, "CMD": ["true"]}
    )
    assert body.cmd == ["true"]
    assert body.host_config.tmpfs == {"/t": ""}
    with pytest.raises(StackrError, match="KernelMemory"):
        parse_create({"hostConfig": {"kernelmemory": 1}})


def test_a_name_without_a_value_takes_a_variable_out() -> None:
    merged = merge_config(
        Config(cmd=["true"], env=["PATH", "OWN=1", "FROM"]), {"Env": ["FROM=image", "KEPT=yes"]}
    )
    assert merged.env == ["PATH", "OWN=1", "FROM", "KEPT=yes"]
    container = Container("a" * 64, "c", 0, "i", merged, HostConfig(), {})
    found = environment(container, ProcessUser(0, 0, (), "/root"), hostname="h")
    assert found == ["HOSTNAME=h", "OWN=1", "KEPT=yes", "HOME=/root"]


def test_stated_addresses_are_those_of_the_network_alone() -> None:
    """By its name or its ID, as the container was told."""

    def container(**addresses: str) -> Container:
        endpoints = {
            network: EndpointSettings.model_validate({"IPAMConfig": {"IPv4Address": address}})
            for network, address in addresses.items()
        }
        return Container("a" * 64, "c", 0, "i", Config(), HostConfig(), endpoints)

    containers = [container(app="10.0.0.2", other="10.1.0.3"), container(f00="10.0.0.4")]
    assert list(stated_addresses(containers, ("app", "f00"))) == ["10.0.0.2", "10.0.0.4"]
    assert not list(stated_addresses(containers, ("none", "b00")))


def test_policies_and_runtimes_are_known_by_name() -> None:
    with pytest.raises(InvalidArgument, match="invalid restart policy 'sometimes'"):
        parse_create({"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}})
    check_runtime("runc")
    with pytest.raises(InvalidArgument, match="Unknown runtime specified nosuch"):
        check_runtime("nosuch")
    assert parse_security_options(["label=type:svirt_t"]).apparmor == ""


@pytest.mark.parametrize(
    ("text", "link"), [("db", ("db", "db")), ("/db:database", ("db", "database"))]
)
def test_links_are_parsed(text: str, link: tuple[str, str]) -> None:
    assert parse_link(text) == link


@pytest.mark.parametrize("text", ["", ":a", "a:", "a:b:c"])
def test_malformed_links_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="bad format for links"):
        parse_link(text)


def test_a_link_fills_environment_and_hosts() -> None:
    config = Config(env=["A=1", "PATH=/bin"], exposed_ports={"53/udp": {}, "80/tcp": {}})
    link = Link("db", "abc", "/web/my-db", "172.17.0.2", config)
    assert link_environment([link]) == [
        "MY_DB_PORT=tcp://172.17.0.2:80",
        "MY_DB_PORT_80_TCP=tcp://172.17.0.2:80",
        "MY_DB_PORT_80_TCP_ADDR=172.17.0.2",
        "MY_DB_PORT_80_TCP_PORT=80",
        "MY_DB_PORT_80_TCP_PROTO=tcp",
        "MY_DB_PORT_53_UDP=udp://172.17.0.2:53",
        "MY_DB_PORT_53_UDP_ADDR=172.17.0.2",
        "MY_DB_PORT_53_UDP_PORT=53",
        "MY_DB_PORT_53_UDP_PROTO=udp",
        "MY_DB_NAME=/web/my-db",
        "MY_DB_ENV_A=1",
    ]
    assert link_hosts([link]) == [("172.17.0.2", "my-db abc db")]


def test_settings_of_an_interface_are_of_it_alone() -> None:
    key = "com.docker.network.endpoint.sysctls"
    options = {key: "net.ipv4.conf.IFNAME.log_martians=1, net.ipv6.conf.IFNAME.hop_limit=9"}
    assert endpoint_sysctls(options, "eth1") == [
        ("net/ipv4/conf/eth1/log_martians", "1"),
        ("net/ipv6/conf/eth1/hop_limit", "9"),
    ]
    for text in ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.forwarding=1", "x"):
        with pytest.raises(InvalidArgument, match="invalid endpoint sysctl"):
            endpoint_sysctls({key: text}, "eth0")
