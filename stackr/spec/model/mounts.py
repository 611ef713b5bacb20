"""What a service mounts: volumes, binds, tmpfs, and the files of configs and secrets."""

from typing import Annotated, Literal

from stackr.spec import merge
from stackr.spec.attribute import Merge, Since, not_on_swarm, only, supported, swarm
from stackr.spec.model.base import Model
from stackr.spec.model.types import Bytes, Flag
from stackr.spec.values import FILE_BITS, FILE_MODE


class BindOptions(Model):
    """Options of a bind mount; `create_host_path` makes a missing source folder.

    A bind without any options does so as well, one with others does not, as in Docker Compose.
    """

    selinux: Annotated[str | None, not_on_swarm("label the folder on each node")] = None
    propagation: str | None = None
    create_host_path: Annotated[
        bool, swarm(supported("from API 1.44; before, the folder has to be on the node"))
    ] = False
    recursive: Annotated[str | None, supported()] = None


class VolumeOptions(Model):
    """Options of a named or anonymous volume's mount."""

    labels: Annotated[dict[str, str], Merge(merge.sequence)] = {}
    nocopy: Flag = False
    subpath: str | None = None


class TmpfsOptions(Model):
    """Options of a tmpfs mount; `size` 0 is the kernel's default, `mode` is a file mode."""

    size: Bytes = 0
    mode: Annotated[int, FILE_BITS, Since("2.14.0")] = 0


class ImageOptions(Model):
    """Options of a mount of an image's files."""

    subpath: Annotated[str | None, Since("2.35.0")] = None


MountType = Literal["bind", "volume", "tmpfs", "cluster", "npipe", "image"]


class ServiceVolume(Model):
    """One mount; `source` is a key of `Project.volumes`, an absolute path, or None (anonymous)."""

    type: Annotated[
        MountType,
        only("bind", "volume", "tmpfs", "image", note="bind, volume, tmpfs, image (read-only)"),
        swarm(only("bind", "volume", "tmpfs", "npipe", "cluster", "image")),
    ]
    source: str | None = None
    target: str | None = None
    read_only: Flag = False
    consistency: str | None = None
    bind: BindOptions | None = None
    volume: VolumeOptions | None = None
    tmpfs: TmpfsOptions | None = None
    image: ImageOptions | None = None


class FileGrant(Model):
    """A config or secret that a service may read; `source` is its key, `mode` a file mode."""

    source: str | None = None
    target: str | None = None
    uid: str | None = None
    gid: str | None = None
    mode: Annotated[int | None, FILE_MODE] = None
