"""The test image: Debian's static busybox with all its applets, two layers, from scratch."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from oci_builder import BuiltImage, archive, build, member

_BUSYBOX = Path("/bin/busybox")
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = b"root:x:0:\nstaff:x:50:nobody\nnogroup:x:65534:\n"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def busybox_image(**config: Any) -> BuiltImage:
    """`config` is laid over the image's configuration (`Cmd`, `Env`, ...)."""
    applets = subprocess.run(
        [_BUSYBOX, "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    folders = [member(name) for name in ("bin/", "etc/", "root/", "data/", "usr/", "usr/bin/")]
    programs = [member("bin/busybox", _BUSYBOX.read_bytes(), mode=0o755)]
    programs += [
        member(f"bin/{name}", type=b"2", linkname="busybox")
        for name in applets
        if name != "busybox"
    ]
    files = [
        member("tmp/", mode=0o1777),
        member("etc/passwd", _PASSWD),
        member("etc/group", _GROUP),
        member("data/hello", b"hello from the image\n"),
    ]
    settings: dict[str, Any] = {"Cmd": ["sh"], "Env": [_PATH], "WorkingDir": "/", **config}
    return build(archive(*folders, *programs), archive(*files), **settings)
