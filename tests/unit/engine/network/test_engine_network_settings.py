"""Default routes, addresses, options and resolv.conf: the pure parts."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from stackr.errors import InvalidArgument, NotSupported, PermissionDenied
from stackr.runtime.engine.network import bridge, resolv
from stackr.runtime.engine.network.configuration import check_configuration, configured
from stackr.runtime.engine.network.endpoint import check_mac, default_gateways, mac_of
from stackr.runtime.engine.network.ports import check_publication
from stackr.runtime.engine.network.types import (
    Endpoint,
    EndpointSpec,
    IpamPool,
    NetworkSpec,
    Publication,
)


def endpoint(
    name: str, network: str = "app", address: str = "10.0.0.2", **values: object
) -> Endpoint:
    spec = values.pop("spec", EndpointSpec(network))
    return Endpoint(
        network_id=f"id-{network}",
        network_name=network,
        container_id=name * 8,
        container_name=name,
        endpoint_id=f"{name}-{network}",
        spec=spec,  # type: ignore[arg-type]
        ipv4_address=address,
        dns_names=(name, "shared"),
        **values,  # type: ignore[arg-type]
    )


def test_the_default_route_goes_by_priority_then_name() -> None:
    a = endpoint("c", "a", gateway="10.0.0.1")
    b = endpoint("c", "b", gateway="10.1.0.1", ipv6_gateway="fd00::1")
    preferred = endpoint("c", "z", spec=EndpointSpec("z", gw_priority=5), gateway="10.2.0.1")
    inside = endpoint("c", "0", spec=EndpointSpec("0", gw_priority=9))
    assert default_gateways([b, a]) == [a, b]
    assert default_gateways([b, a, preferred, inside]) == [preferred, b]
    assert default_gateways([inside]) == []


def test_mac_addresses() -> None:
    assert mac_of("172.17.0.2") == "02:42:ac:11:00:02"
    assert check_mac("02-AA-00-00-00-01") == "02:aa:00:00:00:01"
    for wrong in ("", "02:42", "02:42:ac:11:00:zz", "01:00:00:00:00:01", "0242ac110002"):
        with pytest.raises(InvalidArgument, match="invalid MAC address"):
            check_mac(wrong)


@pytest.mark.parametrize(
    "binding",
    [
        Publication(80, "dccp"),
        Publication(0),
        Publication(80, host_port=70000),
        Publication(80, host_port=90, host_port_end=80),
        Publication(80, host_ip="example.org"),
    ],
)
def test_a_wrong_port_is_refused(binding: Publication) -> None:
    with pytest.raises(InvalidArgument):
        check_publication(binding)


def test_sctp_is_refused_by_name_where_the_kernel_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr(socket, "socket", without)
    message = "80/sctp: the host's kernel has no SCTP: protocol not supported"
    with pytest.raises(NotSupported, match=message):
        check_publication(Publication(80, "sctp"))


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("driver.mtu", "big", InvalidArgument),
        ("driver.mtu", "10", InvalidArgument),
        ("bridge.name", "a/b", InvalidArgument),
        ("bridge.name", "a-name-far-too-long", InvalidArgument),
        ("bridge.enable_icc", "maybe", InvalidArgument),
        ("bridge.host_binding_ipv4", "nowhere", InvalidArgument),
        ("bridge.gateway_mode_ipv4", "routed", NotSupported),
        ("bridge.unheard_of", "1", NotSupported),
    ],
)
def test_a_wrong_driver_option_is_refused(key: str, value: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        bridge.check_options(NetworkSpec("x", options={f"com.docker.network.{key}": value}))


def test_resolv_conf_is_read_as_libc_does() -> None:
    text = "# none\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver fe80::1%eth0\n"
    text += "nameserver\n"
    text += (
        "domain old.example\nsearch a.example b.example\noptions ndots:2 edns0\noptions rotate\n"
    )
    found = resolv.parse_resolv_conf(text)
    assert found.nameservers == ("10.0.0.1", "fe80::1%eth0")
    assert found.search == ("a.example", "b.example")
    assert found.options == ("ndots:2", "edns0", "rotate")


def test_resolv_conf_is_written_in_full() -> None:
    assert resolv.resolv_conf(["127.0.0.11"], ["a", "b"], ["ndots:0"]) == (
        "nameserver 127.0.0.11\nsearch a b\noptions ndots:0\n"
    )
    assert resolv.resolv_conf(["1.1.1.1"], ["."], []) == "nameserver 1.1.1.1\n"


def test_the_hosts_resolv_conf_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    host = resolv.HostResolver(path)
    assert host.read().nameservers == ()
    path.write_text("nameserver 10.0.0.1\n")
    assert host.read().nameservers == ("10.0.0.1",)
    path.write_text("nameserver 10.0.0.1\nnameserver 10.0.0.2\n")
    assert host.read().nameservers == ("10.0.0.1", "10.0.0.2")
    path.unlink()
    assert host.read().nameservers == ()


CONFIGURATION = NetworkSpec(
    "settings",
    pools=(IpamPool("10.9.0.0/24"),),
    options={"com.docker.network.driver.mtu": "1400"},
    labels={"a": "1", "b": "1"},
    enable_ipv6=True,
    config_only=True,
)


def test_a_network_has_the_settings_of_another_and_its_own_labels() -> None:
    asked = NetworkSpec("app", config_from="settings", internal=True, labels={"b": "2"})
    found = configured(asked, CONFIGURATION)
    assert (found.pools, found.options) == (CONFIGURATION.pools, CONFIGURATION.options)
    assert (found.name, found.internal, found.enable_ipv6) == ("app", True, True)
    assert (found.labels, found.config_only) == ({"a": "1", "b": "2"}, False)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (NetworkSpec("x", config_only=True, internal=True), "network specific fields"),
        (NetworkSpec("x", config_only=True, config_from="y"), "cannot depend on another"),
        (NetworkSpec("x", config_from="y", options={"a": "b"}), "user-specified configurations"),
        (NetworkSpec("x", config_from="y", pools=(IpamPool(),)), "user-specified configurations"),
    ],
)
def test_settings_that_exclude_each_other(spec: NetworkSpec, text: str) -> None:
    with pytest.raises(PermissionDenied, match=text):
        check_configuration(spec)


def test_options_of_others_are_notes() -> None:
    bridge.check_options(NetworkSpec("x", options={"org.example.note": "kept"}))
