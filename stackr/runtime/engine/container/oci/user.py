"""`User` of a container to numbers, by the image's own /etc/passwd and /etc/group.

Forms: "", "name", "uid", "name:group", "uid:gid" and their mixtures. Source: Docker's `USER` and
`--group-add`; passwd(5), group(5). Pure: the files come in as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stackr.errors import InvalidArgument
from stackr.text import whole_number

__all__ = ["ProcessUser", "resolve_user"]

_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ProcessUser:
    """groups: every further group, the primary one first as Docker has it; home: "/" if unknown."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(
    user: str, *, passwd: str, group: str, group_add: Sequence[str] = ()
) -> ProcessUser:
    """The numbers that `user` stands for.

    Raises InvalidArgument, with Docker's text, for a name without an entry and for a number out of
    range (0 to 2^31 - 1).
    """
    wanted, _, wanted_group = user.partition(":")
    accounts, groups = list(_accounts(passwd)), list(_groups(group))
    account = _find_account(wanted or "0", accounts)
    gid = _find_gid(wanted_group, groups) if wanted_group else account.gid
    extra = [] if wanted_group else [g.gid for g in groups if account.name in g.members]
    extra += [_find_gid(name, groups) for name in group_add]
    ordered = dict.fromkeys([gid, *extra])
    return ProcessUser(account.uid, gid, tuple(ordered), account.home or "/")


def _find_account(wanted: str, accounts: Sequence[_Account]) -> _Account:
    for account in accounts:
        if account.name == wanted:
            return account
    if not _is_number(wanted):
        raise InvalidArgument(f"unable to find user {wanted}: no matching entries in passwd file")
    uid = _in_range(wanted)
    for account in accounts:
        if account.uid == uid:
            return account
    return _Account("", uid, 0, "/")


def _find_gid(wanted: str, groups: Sequence[_Group]) -> int:
    for group in groups:
        if group.name == wanted:
            return group.gid
    if not _is_number(wanted):
        raise InvalidArgument(f"unable to find group {wanted}: no matching entries in group file")
    return _in_range(wanted)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _in_range(text: str) -> int:
    number = whole_number(text, most=_MAX_ID)
    if number is None:
        raise InvalidArgument(f"uids and gids must be in range 0-{_MAX_ID}")
    return number


def _accounts(text: str) -> Iterator[_Account]:
    for fields in _records(text, 6):
        uid, gid = (whole_number(field, most=_MAX_ID) for field in fields[2:4])
        if uid is not None and gid is not None:
            yield _Account(fields[0], uid, gid, fields[5])


def _groups(text: str) -> Iterator[_Group]:
    for fields in _records(text, 3):
        gid = whole_number(fields[2], most=_MAX_ID)
        if gid is not None:
            members = fields[3].split(",") if len(fields) > 3 else []
            yield _Group(fields[0], gid, tuple(m for m in members if m))


def _records(text: str, at_least: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= at_least and not line.startswith("#"):
            yield fields
