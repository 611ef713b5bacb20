"""Mounts that are the same in a container and on the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.errors import Internal
from stackr.runtime.engine.container.settings.spec import Config, HostConfig
from stackr.runtime.engine.container.storage.mounts import plan_mounts
from stackr.runtime.engine.container.storage.propagation import check_shared

_TABLE = """\
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:30 / /srv rw shared:5 master:2 - tmpfs x rw
31 30 0:31 / /srv/a\\040b rw master:7 - tmpfs x rw
32 21 0:32 / /srvice rw,relatime shared:9 - tmpfs x rw
"""


def test_only_below_a_shared_mount_is_anything_shared(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(_TABLE)
    for path in ("/srv", "/srv/x", "/srvice/y"):
        check_shared(path, table)
    for path, point in (("/data", "/"), ("/srv/a b/c", "/srv/a b"), ("/srvices", "/")):
        with pytest.raises(Internal) as caught:
            check_shared(path, table)
        text = f"path {path} is mounted on {point} but it is not a shared mount"
        assert caught.value.message == text


@pytest.mark.parametrize("propagation", ["shared", "rshared", "rslave"])
def test_binds_have_their_propagation(propagation: str) -> None:
    host_config = HostConfig(binds=[f"/srv:/m:ro,{propagation}"])
    (mount,) = plan_mounts(Config(), host_config, lambda _: ())
    assert (mount.propagation, mount.rw) == (propagation, False)
