"""What the kernel is asked for an interface that is on one of the host's links by itself."""

from __future__ import annotations

import socket
import struct

import pytest

from stackr.runtime.engine.linux import netlink

_HEADER, _IFINFOMSG, _RTMSG = 16, 16, 12
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_LINKINFO = 1, 3, 4, 5, 18
_IFLA_NET_NS_FD = 28
_KIND, _DATA = 1, 2
_MODE = 1  # both IFLA_MACVLAN_MODE and IFLA_IPVLAN_MODE
_VLAN_ID = 1


def link_attributes(message: bytes) -> dict[int, bytes]:
    return netlink.attributes(message[_HEADER + _IFINFOMSG :])


def info_of(message: bytes) -> tuple[bytes, dict[int, bytes]]:
    info = netlink.attributes(link_attributes(message)[_IFLA_LINKINFO])
    return info[_KIND].rstrip(b"\0"), netlink.attributes(info.get(_DATA, b""))


@pytest.mark.parametrize(
    ("driver", "mode", "form"), [("macvlan", 8, "=I"), ("ipvlan", 0, "=H"), ("ipvlan", 2, "=H")]
)
def test_an_interface_is_made_in_its_namespace(driver: str, mode: int, form: str) -> None:
    message = netlink.new_direct(
        "eth0", driver=driver, link=7, mode=mode, mac="02:42:0a:09:00:40", mtu=1400, netns=9
    )
    found = link_attributes(message)
    assert found[_IFLA_IFNAME] == b"eth0\0"
    assert found[_IFLA_ADDRESS] == bytes.fromhex("02420a090040")
    numbers = [found[key] for key in (_IFLA_LINK, _IFLA_MTU, _IFLA_NET_NS_FD)]
    assert [struct.unpack("=I", number)[0] for number in numbers] == [7, 1400, 9]
    kind, data = info_of(message)
    assert kind == driver.encode()
    assert struct.unpack(form, data[_MODE]) == (mode,)


def test_what_is_not_given_is_the_links_own() -> None:
    message = netlink.new_direct("eth0", driver="ipvlan", link=7, mode=1, mac="", mtu=0, netns=None)
    assert not {_IFLA_ADDRESS, _IFLA_MTU, _IFLA_NET_NS_FD} & link_attributes(message).keys()


def test_links_of_the_hosts_that_are_made() -> None:
    assert info_of(netlink.new_dummy("dm-1"))[0] == b"dummy"
    message = netlink.new_vlan("eth0.50", link=3, number=50)
    kind, data = info_of(message)
    assert (kind, struct.unpack("=H", data[_VLAN_ID])) == (b"vlan", (50,))
    assert struct.unpack("=I", link_attributes(message)[_IFLA_LINK]) == (3,)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_route_to_the_interface_itself(family: int) -> None:
    message = netlink.add_device_route(4, family)
    assert message[_HEADER] == family
    (index,) = netlink.attributes(message[_HEADER + _RTMSG :]).values()
    assert struct.unpack("=I", index) == (4,)
