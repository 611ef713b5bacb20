"""What a container has mounted: parts of volumes that somebody else may change meanwhile, what a
tmpfs looks like, and what leads to /proc by a symlink.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from container_engine import Engine, refused

from stackr.errors import InvalidArgument
from stackr.runtime.engine.linux.subpath import open_subpath
from stackr.runtime.engine.volume import Volume

pytestmark = pytest.mark.root


def part(target: str, subpath: str, *, no_copy: bool = True) -> dict[str, Any]:
    options = {"Subpath": subpath, "NoCopy": no_copy}
    return {"Type": "volume", "Source": "shared", "Target": target, "VolumeOptions": options}


@pytest.fixture
async def volume(engine: Engine) -> Volume:
    volume = await engine.volumes.create("shared")
    folder = volume.mountpoint
    (folder / "sub" / "inner").mkdir(parents=True)
    (folder / "sub" / "f").write_text("inside")
    (folder / "good").symlink_to("sub/inner/..")
    (folder / "bad").symlink_to("/")
    (folder / "up").symlink_to("../../..")
    (folder / "magic").symlink_to("/proc/1/root")
    return volume


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder of the host that no container may see."""
    (tmp_path / "f").write_text("outside")
    return tmp_path


async def test_a_part_of_a_volume_is_mounted(engine: Engine, volume: Volume) -> None:
    mounts = [part("/d", "sub"), part("/l", "good"), part("/f", "sub/f"), part("/r", "sub")]
    mounts[-1]["ReadOnly"] = True
    script = "cat /d/f /l/f /f; echo new > /f; touch /r/x"
    code, output = await engine.run(["sh", "-c", script], Mounts=mounts)
    assert (code, output.count("inside")) == (1, 3)
    assert "/r/x: Read-only file system" in output
    assert (volume.mountpoint / "sub" / "f").read_text() == "new\n"


@pytest.mark.parametrize(
    ("subpath", "text"),
    [
        ("bad", "path concatenation escapes the base directory"),
        ("up", "path concatenation escapes the base directory"),
        ("magic", "path concatenation escapes the base directory"),
        ("none", "no such file or directory"),
        ("sub/f/x", "not a directory"),
    ],
)
async def test_a_part_that_is_not_in_the_volume_is_refused_at_the_start(
    engine: Engine, volume: Volume, subpath: str, text: str
) -> None:
    id = await engine.create("box", ["true"], Mounts=[part("/d", subpath)])
    error = await refused(engine.containers.start(id))
    assert isinstance(error, InvalidArgument)
    assert text in error.message
    assert str(volume.mountpoint) in error.message
    assert subpath in error.message


async def test_each_start_looks_again(engine: Engine, volume: Volume, secret: Path) -> None:
    """A container with the whole volume puts a symlink to the host in the place of the part."""
    id = await engine.create("victim", ["cat", "/d/f"], Mounts=[part("/d", "sub")])
    await engine.containers.start(id)
    await engine.containers.wait(id)
    folder = volume.mountpoint
    (folder / "sub").rename(folder / "aside")
    (folder / "sub").symlink_to(secret)
    error = await refused(engine.containers.start(id))
    assert "escapes the base directory" in error.message
    (folder / "sub").unlink()
    (folder / "aside").rename(folder / "sub")
    await engine.containers.start(id)
    await engine.containers.wait(id)
    assert await engine.output(id) == "inside" * 2


async def test_a_copy_out_of_a_stopped_container_looks_again(
    engine: Engine, volume: Volume, secret: Path
) -> None:
    id = await engine.create("victim", ["true"], Mounts=[part("/d", "sub")])
    stat = await engine.containers.stat_path(id, "/d/f")
    assert stat.size == len("inside")
    (volume.mountpoint / "sub").rename(volume.mountpoint / "aside")
    (volume.mountpoint / "sub").symlink_to(secret)
    error = await refused(engine.containers.stat_path(id, "/d/f"))
    assert isinstance(error, InvalidArgument)
    assert "escapes the base directory" in error.message


async def test_who_swaps_the_folder_for_a_symlink_loses(
    engine: Engine, volume: Volume, secret: Path
) -> None:
    folder, stop = volume.mountpoint, threading.Event()
    (folder / "link").symlink_to(secret)
    (folder / "real").mkdir()
    (folder / "real" / "f").write_text("inside")
    os.rename(folder / "sub", folder / "old")

    def swap() -> None:
        while not stop.is_set():
            for name in ("link", "real"):
                os.rename(folder / name, folder / "sub")
                os.rename(folder / "sub", folder / name)

    thread = threading.Thread(target=swap)
    id = await engine.create("victim", ["cat", "/d/f"], Mounts=[part("/d", "sub")])
    thread.start()
    try:
        for _ in range(300):
            try:
                fd = await asyncio.to_thread(open_subpath, folder, "sub", os.O_PATH)
            except OSError:
                continue
            assert not os.path.samestat(os.fstat(fd), secret.stat())
            os.close(fd)
        for _ in range(8):
            try:
                await engine.containers.start(id)
            except InvalidArgument:
                continue
            await engine.containers.wait(id)
    finally:
        stop.set()
        thread.join()
    assert "outside" not in await engine.output(id)


async def test_an_empty_part_gets_the_images_content(engine: Engine, volume: Volume) -> None:
    (volume.mountpoint / "empty").mkdir()
    for subpath in ("empty", "sub", "none"):
        id = await engine.create("box", ["true"], Mounts=[part("/srv", subpath, no_copy=False)])
        await engine.containers.remove(id)
    assert sorted(os.listdir(volume.mountpoint / "empty")) == ["hello", "to-etc", "up"]
    assert sorted(os.listdir(volume.mountpoint / "sub")) == ["f", "inner"]
    mounts = [part("/srv", "bad", no_copy=False)]
    error = await refused(engine.create("box", ["true"], Mounts=mounts))
    assert "escapes the base directory" in error.message
    assert engine.containers.list() == []


# --- tmpfs -------------------------------------------------------------------------------------


async def modes(engine: Engine, **settings: Any) -> dict[str, str]:
    """The permissions and owner of each place that something is mounted at, as `ls` shows them."""
    paths = [*settings["Tmpfs"], *(mount["Target"] for mount in settings["Mounts"])]
    code, output = await engine.run(["ls", "-ldn", *paths], **settings)
    assert code == 0, output
    lines = [line.split() for line in output.splitlines()]
    return {fields[-1]: " ".join([fields[0], *fields[2:4]]) for fields in lines}


async def test_a_tmpfs_has_the_permissions_of_the_folder_that_it_covers(
    engine: Engine, volume: Volume
) -> None:
    """As runc has it; the owner is root, unless an option says otherwise."""
    folder = volume.mountpoint / "sub" / "inner"
    os.chown(folder, 7, 7)
    folder.chmod(0o2750)
    tmpfs = {"/etc": "", "/new": "", "/v/inner": "size=1m,uid=9", "/v/none": "", "/srv": "mode=700"}
    mounts = [
        {"Type": "tmpfs", "Target": "/sized", "TmpfsOptions": {"SizeBytes": 4096}},
        {"Type": "tmpfs", "Target": "/own", "TmpfsOptions": {"Mode": 0o711}},
        part("/v", "sub"),
    ]
    assert await modes(engine, Tmpfs=tmpfs, Mounts=mounts) == {
        "/etc": "drwxr-xr-x 0 0",
        "/new": "drwxrwxrwt 0 0",
        "/own": "drwx--x--x 0 0",
        "/sized": "drwxrwxrwt 0 0",
        "/srv": "drwx------ 0 0",
        "/v": "drwxr-xr-x 0 0",
        "/v/inner": "drwxr-s--- 9 0",
        "/v/none": "drwxrwxrwt 0 0",
    }


async def test_a_new_tmpfs_is_open_to_all_at_each_start(engine: Engine) -> None:
    """Also where the OCI runtime has made a folder to mount it on at the first one."""
    id = await engine.create("box", ["ls", "-ldn", "/new"], Tmpfs={"/new": ""})
    for _ in range(2):
        await engine.containers.start(id)
        await engine.containers.wait(id)
    assert (await engine.output(id)).count("drwxrwxrwt") == 2


# --- volumes that are file systems of their own ------------------------------------------------

MEMORY = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7,mode=750,noexec"}


async def test_containers_share_a_volume_that_is_a_tmpfs(engine: Engine) -> None:
    await engine.volumes.create("ram", driver_opts=MEMORY)
    twice = ["ram:/a", "ram:/b:ro"]
    one, two = [
        await engine.create(name, ["sleep", "1000"], Binds=twice, Init=False)
        for name in ("one", "two")
    ]
    await asyncio.gather(engine.containers.start(one), engine.containers.start(two))
    script = (
        "stat -c %u:%a /a; grep ' /a ' /proc/mounts; mkdir /a/sub; echo hi >/a/sub/f; cat /b/*/f"
    )
    code, output = await engine.execute(one, ["sh", "-c", script])
    assert code == 0
    assert "7:750" in output
    assert "rw,noexec" in output
    assert "hi" in output
    assert "hi" in (await engine.execute(two, ["cat", "/b/sub/f"]))[1]
    options = {"Subpath": "sub"}
    part = {"Type": "volume", "Source": "ram", "Target": "/p", "VolumeOptions": options}
    assert (await engine.run(["cat", "/p/f"], Mounts=[part]))[1].strip() == "hi"
    await engine.containers.remove(one, force=True)
    assert "hi" in (await engine.execute(two, ["cat", "/b/sub/f"]))[1]
    await engine.containers.restart(two, timeout_s=0)
    assert (await engine.execute(two, ["ls", "/b"]))[1].strip() == ""
    await engine.containers.remove(two, force=True)
    await engine.volumes.remove("ram")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"type": "tmpfs", "device": "tmpfs", "o": "foo=bar"},
            "mount tmpfs:{place}, data: foo=bar: invalid argument",
        ),
        (
            {"type": "none", "device": "/nope", "o": "bind"},
            "mount /nope:{place}, flags: 0x1000: no such file or directory",
        ),
        (
            {"type": "none", "device": "/etc", "o": "ro"},
            "mount /etc:{place}, flags: 0x1: no such device",
        ),
        (
            {"type": "ext4", "device": "/dev/nope"},
            "mount /dev/nope:{place}: no such file or directory",
        ),
    ],
)
async def test_why_a_volume_cannot_be_mounted(
    engine: Engine, options: dict[str, str], why: str
) -> None:
    volume = await engine.volumes.create("bad", driver_opts=options)
    failure = "failed to mount local volume: " + why.format(place=volume.mountpoint)
    error = await refused(engine.create("box", ["true"], Binds=["bad:/v"]))
    assert error.message == failure
    id = await engine.create("box", ["true"], Binds=["bad:/v:nocopy"])
    error = await refused(engine.containers.start(id))
    assert f"error while mounting volume '{volume.mountpoint}': {failure}" in error.message


# --- /proc by a symlink ------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/proc", "/proc/sys"])
async def test_no_symlink_leads_a_mount_to_proc(engine: Engine, volume: Volume, place: str) -> None:
    (volume.mountpoint / "link").symlink_to(place)
    mounts = [{"Type": "volume", "Source": "shared", "Target": "/v"}]
    for settings in ({"Tmpfs": {"/v/link": ""}}, {"Binds": ["other:/v/link"]}):
        id = await engine.create("box", ["true"], Mounts=mounts, **settings)
        await refused(engine.containers.start(id))  # by runc in its own words
        assert engine.containers.get(id).pid == 0
        await engine.containers.remove(id)


async def test_proc_itself_is_mounted_where_that_is_asked(engine: Engine) -> None:
    binds = ["/proc:/proc", "/proc/cpuinfo:/proc/meminfo:ro"]
    for bind in binds:
        assert (await engine.run(["true"], Binds=[bind]))[0] == 0
    error = await refused(engine.create("box", ["true"], Binds=["/etc:/proc"]))
    assert '"/proc" cannot be mounted because it is not of type proc' in error.message


async def test_a_volume_of_the_images_is_not_mounted_on_a_file(engine: Engine) -> None:
    error = await refused(engine.create("box", ["true"], Volumes={"/etc/passwd": {}}))
    assert error.message == "cannot mount volume over existing file, file exists /etc/passwd"
    assert engine.containers.list() == []
    assert engine.volumes.list() == []
