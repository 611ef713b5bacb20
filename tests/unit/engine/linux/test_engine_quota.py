"""The kernel's form of a project's limit."""

from __future__ import annotations

import pytest

from stackr.errors import InvalidArgument
from stackr.runtime.engine.linux.quota import limit_message
from stackr.runtime.engine.snapshot.size import size_wanted
from stackr.runtime.engine.volume_device import size_of


def test_a_limit_is_in_blocks_of_512_bytes_and_rounded_up() -> None:
    """struct fs_disk_quota of linux/dqblk_xfs.h: version, flags, mask, number, two limits."""
    message = limit_message(7, 1025)
    assert len(message) == 112
    assert message[:24].hex() == "01020c0007000000" + "0300000000000000" * 2
    assert not any(message[24:])
    assert not any(limit_message(7, 0)[8:])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("512b", 512),
        ("10k", 10240),
        ("1.5GiB", 3 << 29),
        ("2 MB", 2 << 20),
        ("1T", 1 << 40),
    ],
)
def test_sizes_are_dockers(text: str, size: int) -> None:
    assert size_of("v", {"size": text}) == size


def test_the_size_of_a_containers_layer() -> None:
    assert size_wanted({}) == 0
    assert size_wanted({"Size": "1g"}) == 1 << 30
    assert size_wanted({"size": "0"}) == 0
    with pytest.raises(InvalidArgument, match="Unknown option inodes"):
        size_wanted({"inodes": "5"})
    with pytest.raises(InvalidArgument, match="invalid size: 'much'"):
        size_wanted({"size": "much"})
