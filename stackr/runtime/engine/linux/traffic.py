"""Filters on what an interface receives and sends: classic BPF programs, by traffic control.

They are the interface's own: they go with it, no flush of a firewall touches them, and they are
written in one netlink message each. Source: tc-bpf(8), linux/pkt_sched.h, linux/pkt_cls.h,
linux/filter.h, net/sched/cls_bpf.c.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from enum import Enum

from stackr.runtime.engine.linux.netlink import NetlinkError, RouteSocket, attributes

__all__ = ["DROP", "PASS", "Direction", "Program", "filter_of", "set_filter"]

Program = Sequence[tuple[int, int, int, int]]
"""Instructions: code, steps to skip if true, if false, and a constant (`struct sock_filter`)."""

DROP, PASS = 2, 0xFFFFFFFF  # TC_ACT_SHOT and TC_ACT_UNSPEC, to be returned by a program


class Direction(Enum):
    """As seen by the interface; the value is the filter's parent."""

    INGRESS = 0xFFFFFFF2
    EGRESS = 0xFFFFFFF3


_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_NLM_F_REPLACE, _NLM_F_EXCL, _NLM_F_CREATE = 0x100, 0x200, 0x400
_RTM_NEWQDISC, _RTM_NEWTFILTER, _RTM_GETTFILTER = 36, 44, 46
_CLSACT_HANDLE, _CLSACT_PARENT = 0xFFFF0000, 0xFFFFFFF1
_ETH_P_ALL = 0x0003
_PRIORITY, _FILTER_HANDLE = 1, 1
_TCA_KIND, _TCA_OPTIONS = 1, 2
_TCA_BPF_OPS_LEN, _TCA_BPF_OPS, _TCA_BPF_FLAGS = 4, 5, 8
_TCA_BPF_FLAG_ACT_DIRECT = 1
_HEADER = struct.Struct("=IHHII")
_TCMSG = struct.Struct("=BxHiIII")
_ATTRIBUTE = struct.Struct("=HH")


def set_filter(route: RouteSocket, index: int, direction: Direction, program: Program) -> None:
    """The interface's filter, in place of an earlier one. Raises NetlinkError."""
    hook, refusal = route.send([_hook(index), _filter(index, direction, program)])
    if hook is not None and hook.errno != errno.EEXIST:
        raise hook
    if refusal is not None:
        raise refusal


def filter_of(route: RouteSocket, index: int, direction: Direction) -> Program | None:
    """The program of the interface's filter; None without one."""
    body = _tcmsg(index, direction) + _attribute(_TCA_KIND, b"bpf\0")
    try:
        answers = list(route.query(_message(_RTM_GETTFILTER, 0, body)))
    except NetlinkError:
        return None
    for answer in answers:
        found = attributes(answer[_HEADER.size + _TCMSG.size :])
        options = attributes(found.get(_TCA_OPTIONS, b""))
        return [*struct.iter_unpack("=HBBI", options.get(_TCA_BPF_OPS, b""))]
    return None


def _filter(index: int, direction: Direction, program: Program) -> bytes:
    ops = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    options = (
        _attribute(_TCA_BPF_OPS_LEN, struct.pack("=H", len(program)))
        + _attribute(_TCA_BPF_OPS, ops)
        + _attribute(_TCA_BPF_FLAGS, struct.pack("=I", _TCA_BPF_FLAG_ACT_DIRECT))
    )
    body = _tcmsg(index, direction) + _attribute(_TCA_KIND, b"bpf\0")
    body += _attribute(_TCA_OPTIONS, options)
    return _message(_RTM_NEWTFILTER, _NLM_F_CREATE | _NLM_F_REPLACE, body)


def _hook(index: int) -> bytes:
    body = _TCMSG.pack(0, 0, index, _CLSACT_HANDLE, _CLSACT_PARENT, 0)
    body += _attribute(_TCA_KIND, b"clsact\0")
    return _message(_RTM_NEWQDISC, _NLM_F_CREATE | _NLM_F_EXCL, body)


def _tcmsg(index: int, direction: Direction) -> bytes:
    protocol = struct.unpack("=H", struct.pack(">H", _ETH_P_ALL))[0]
    info = _PRIORITY << 16 | protocol
    return _TCMSG.pack(0, 0, index, _FILTER_HANDLE, direction.value, info)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, kind, flags | _NLM_F_REQUEST | _NLM_F_ACK, 0, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length % 4)
