"""What every snapshotter has to do, judged by the kernel: each check mounts what it is given.

Plain functions over a factory that opens the snapshotter anew on the same folders.
"""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.errors import AlreadyExists, NotFound
from stackr.runtime.engine.snapshot.overlay import Overlay, OverlayMount, RootAttributes

Factory = Callable[[], Overlay]
Fill = Callable[[Path], object]


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def add_layer(overlay: Overlay, number: int, fill: Fill, root: RootAttributes | None = None) -> str:
    path = overlay.begin_layer()
    fill(path)
    overlay.commit_layer(path, diff_id=digest(number), size_bytes=0, root=root)
    return digest(number)


def in_mount(mount: OverlayMount, target: Path, script: str) -> str:
    """What a shell script prints, run in a mounted root file system in a namespace of its own."""
    target.mkdir(exist_ok=True)
    command = (
        f"cd {shlex.quote(mount.base_dir)} && "
        f"mount -t overlay overlay -o {shlex.quote(mount.data)} {shlex.quote(str(target))} && "
        f"cd {shlex.quote(str(target))} && {script}"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(**files: str) -> Fill:
    def fill(path: Path) -> None:
        for name, content in files.items():
            (path / name).write_text(content)

    return fill


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def layers_stack_in_order(factory: Factory, target: Path) -> None:
    overlay = factory()
    layers = [add_layer(overlay, n, write(name=f"layer {n}", **{f"f{n}": ""})) for n in range(3)]
    overlay.prepare("c", layers)
    assert in_mount(overlay.rootfs("c"), target, "cat name; ls") == "layer 2f0\nf1\nf2\nname\n"
    view = overlay.container_view("c")
    assert view.read("/name") == b"layer 2"
    assert view.list_directory("/") == ["f0", "f1", "f2", "name"]


def writes_stay_in_the_container(factory: Factory, target: Path) -> None:
    overlay = factory()
    layer = add_layer(overlay, 1, write(kept="1", gone="1"))
    overlay.prepare("a", [layer])
    overlay.prepare("b", [layer])
    in_mount(overlay.rootfs("a"), target, "echo changed > kept; rm gone; echo new > new")
    assert overlay.container_view("a").list_directory("/") == ["kept", "new"]
    assert overlay.container_view("a").read("/kept") == b"changed\n"
    assert in_mount(overlay.rootfs("b"), target, "cat kept gone") == "11"
    assert overlay.image_view([layer]).read("/gone") == b"1"


def whiteouts_and_opaque_directories_hide(factory: Factory, target: Path) -> None:
    overlay = factory()

    def below(path: Path) -> None:
        for name in ("d", "o", "w"):
            (path / name).mkdir()
            (path / name / "old").write_text(name)

    def above(path: Path) -> None:
        for name in ("d", "o"):
            (path / name).mkdir()
            (path / name / "new").write_text(name)
        os.setxattr(path / "o", "trusted.overlay.opaque", b"y")
        whiteout(path / "w")

    layers = [add_layer(overlay, 1, below), add_layer(overlay, 2, above)]
    overlay.prepare("c", layers)
    assert in_mount(overlay.rootfs("c"), target, "find . -type f | sort") == (
        "./d/new\n./d/old\n./o/new\n"
    )
    view = overlay.image_view(layers)
    assert view.list_directory("/") == ["d", "o"]
    assert view.list_directory("/d") == ["new", "old"]
    assert view.list_directory("/o") == ["new"]
    assert view.stat("/w/old") is None
    assert view.read("/o/old") is None


def an_image_without_layers(factory: Factory, target: Path) -> None:
    overlay = factory()
    overlay.prepare("c", [])
    assert in_mount(overlay.rootfs("c"), target, "ls -A; touch x; ls") == "x\n"


def a_layer_that_occurs_twice(factory: Factory, target: Path) -> None:
    overlay = factory()
    one, two = add_layer(overlay, 1, write(f="one")), add_layer(overlay, 2, write(f="two"))
    overlay.prepare("c", [one, two, one])
    assert in_mount(overlay.rootfs("c"), target, "cat f") == "one"


def many_layers_fit_into_the_mount_options(factory: Factory, target: Path) -> None:
    overlay = factory()
    layers = [add_layer(overlay, n, write(**{f"f{n:03}": ""})) for n in range(200)]
    name = "c" * 64
    overlay.prepare(name, layers)
    mount = overlay.rootfs(name)
    assert len(mount.data) < 4096
    assert in_mount(mount, target, "ls | wc -l").strip() == "200"


def the_root_has_the_topmost_layers_attributes(factory: Factory, target: Path) -> None:
    overlay = factory()
    layers = [
        add_layer(overlay, 1, write(a=""), RootAttributes(0o700, 5, 6)),
        add_layer(overlay, 2, write(b="")),
    ]
    overlay.prepare("c", layers)
    overlay.prepare("plain", layers[1:])
    assert in_mount(overlay.rootfs("c"), target, "stat -c '%a %u %g' .") == "700 5 6\n"
    assert in_mount(overlay.rootfs("plain"), target, "stat -c '%a %u %g' .") == "755 0 0\n"


def names_are_taken_once_and_removal_is_idempotent(factory: Factory, target: Path) -> None:
    overlay = factory()
    overlay.prepare("c", [])
    with pytest.raises(AlreadyExists):
        overlay.prepare("c", [])
    with pytest.raises(NotFound):
        overlay.prepare("d", [digest(9)])
    with pytest.raises(NotFound):
        overlay.rootfs("d")
    assert overlay.containers() == ["c"]


def a_restart_finds_everything_again(factory: Factory, target: Path) -> None:
    overlay = factory()
    layer = add_layer(overlay, 1, write(f="kept"))
    overlay.prepare("c", [layer])
    in_mount(overlay.rootfs("c"), target, "echo changed > f")
    again = factory()
    assert again.containers() == ["c"]
    assert again.layer(layer) == overlay.layer(layer)
    assert in_mount(again.rootfs("c"), target, "cat f") == "changed\n"
    new = add_layer(again, 2, write(f="2"))
    assert again.layer(new) != again.layer(layer)


def a_crash_leaves_nothing_behind(factory: Factory, target: Path) -> None:
    overlay = factory()
    layer = add_layer(overlay, 1, write(f="1"))
    overlay.prepare("c", [layer])
    root = Path(overlay.rootfs("c").base_dir)
    write(half="done")(overlay.begin_layer())
    (root / "c" / "unrecorded" / "upper").mkdir(parents=True)
    (root / "l" / "zz").mkdir()
    (root / "trash" / "1" / "deep").mkdir(parents=True)
    factory()
    assert {str(path.relative_to(root)) for path in root.glob("*/*")} == {
        "l/empty",
        "c/c",
        str(overlay.layer(layer).directory),  # type: ignore[union-attr]
    }


CHECKS = (
    layers_stack_in_order,
    writes_stay_in_the_container,
    whiteouts_and_opaque_directories_hide,
    an_image_without_layers,
    a_layer_that_occurs_twice,
    many_layers_fit_into_the_mount_options,
    the_root_has_the_topmost_layers_attributes,
    names_are_taken_once_and_removal_is_idempotent,
    a_restart_finds_everything_again,
    a_crash_leaves_nothing_behind,
)
