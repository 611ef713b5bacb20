"""Local volumes: what is made, kept, refused, and deleted only when that is asked for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackr.errors import Conflict, InvalidArgument, NotFound, NotSupported
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.tree import disk_usage
from stackr.runtime.engine.state import State
from stackr.runtime.engine.volume import ANONYMOUS_LABEL, VOLUME, Volumes
from stackr.runtime.engine.volume_device import Device


@pytest.fixture
def config(tmp_path: Path) -> EngineConfig:
    return EngineConfig.at(tmp_path / "data", tmp_path / "run")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.open(tmp_path / "state.db")
    yield state
    state.close()


@pytest.fixture
async def volumes(config: EngineConfig, state: State) -> Volumes:
    volumes = Volumes(config, state, EventBus())
    await volumes.open()
    return volumes


async def _reopened(config: EngineConfig, state: State) -> Volumes:
    again = Volumes(config, state, EventBus())
    await again.open()
    return again


async def test_a_volume_is_a_folder_and_outlives_the_engine(
    volumes: Volumes, config: EngineConfig, state: State
) -> None:
    volume = await volumes.create("data", labels={"a": "b"})
    assert volume.mountpoint == config.volumes_root / "data" / "_data"
    (volume.mountpoint / "file").write_text("kept")
    assert await volumes.create("data") == volume
    again = await _reopened(config, state)
    assert again.list() == [volume]
    assert (again.get("data").mountpoint / "file").read_text() == "kept"


async def test_without_a_name_it_is_anonymous(volumes: Volumes) -> None:
    volume = await volumes.create(None)
    assert len(volume.name) == 64
    assert volume.is_anonymous
    assert volume.labels == {ANONYMOUS_LABEL: ""}


@pytest.mark.parametrize("name", ["-ab", "a/b", "../x", "a b", ".removing-x", "é1"])
async def test_bad_names_are_refused_with_dockers_text(volumes: Volumes, name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await volumes.create(name)
    assert caught.value.message.startswith(
        f'create {name}: "{name}" includes invalid characters for a local volume name'
    )
    assert volumes.list() == []
    with pytest.raises(
        InvalidArgument, match="create a: volume name is too short, names should be"
    ):
        await volumes.create("a")


async def test_other_drivers_options_and_types_are_refused_by_name(volumes: Volumes) -> None:
    with pytest.raises(NotFound, match='plugin "nfs" not found'):
        await volumes.create("data", driver="nfs")
    bound = {"type": "none", "device": "/tmp"}
    for options, why in (
        ({"size": "1g"}, "quota size requested but no quota support"),
        ({"size": "x"}, "invalid size: 'x'"),
        ({"size": "1g", "type": "tmpfs", "device": "tmpfs"}, "size is for a volume that is a fol"),
        ({"sise": "1g"}, 'invalid option: "sise"'),
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"type": "none", "o": "bind"}, 'missing required option: "device"'),
        ({"device": "/tmp"}, 'missing required option: "type"'),
        ({"o": "bind", "device": "/tmp"}, 'missing required option: "type"'),
        ({"type": "tmpfs", "device": ""}, "missing device in volume options"),
    ):
        with pytest.raises(InvalidArgument, match=why):
            await volumes.create("data", driver_opts=options)
    for option in ("noatime", "size=1m"):
        with pytest.raises(NotSupported, match=f"mount option not supported: {option}"):
            await volumes.create("data", driver_opts={"o": f"bind,{option}", **bound})
    with pytest.raises(NotSupported, match="mount option not supported: rshared"):
        await volumes.create(
            "data", driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "rshared"}
        )
    assert volumes.list() == []


async def test_a_bound_folder_and_other_file_systems(volumes: Volumes, tmp_path: Path) -> None:
    options = {"type": "none", "o": "bind,ro", "device": str(tmp_path)}
    bound = await volumes.create("bound", driver_opts=options)
    assert (bound.source, bound.is_read_only, bound.device) == (tmp_path, True, None)
    for options, device in (
        (
            {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,noexec,uid=5,ro,rw,defaults"},
            Device("tmpfs", "tmpfs", 0x8, "size=1m,uid=5"),
        ),
        ({"type": "ext4", "device": "/dev/x"}, Device("ext4", "/dev/x", 0, "")),
        (
            {"type": "nfs", "device": ":/x", "o": "addr=127.0.0.1,nolock,ro"},
            Device("nfs", ":/x", 0x1, "addr=127.0.0.1,nolock"),
        ),
    ):
        volume = await volumes.create(options["type"], driver_opts=options)
        assert volume.device == device
        assert volume.device.resolved() == device


def test_names_of_servers_are_looked_up_and_passwords_are_not_told() -> None:
    share = Device("cifs", "//localhost/x", 0, "username=u,password=hush,vers=3")
    assert share.resolved().source in ("//127.0.0.1/x", "//::1/x")
    assert share.failure(Path("/v/_data")) == (
        "failed to mount local volume: mount //localhost/x:/v/_data, data:"
        " username=u,password=********,vers=3"
    )
    assert "localhost" not in Device("nfs", ":/x", 0, "addr=localhost,ro").resolved().data
    with pytest.raises(InvalidArgument, match=r"network volume address: lookup no\.such\.invalid"):
        Device("nfs", ":/x", 0, "addr=no.such.invalid").resolved()


async def test_a_bound_folder_has_to_be_there(volumes: Volumes, tmp_path: Path) -> None:
    options = {"type": "none", "o": "bind", "device": str(tmp_path / "absent")}
    volume = await volumes.create("bound", driver_opts=options)
    with pytest.raises(InvalidArgument, match="flags: 0x1000: no such file or directory"):
        volume.check_source()
    (tmp_path / "absent").touch()
    with pytest.raises(InvalidArgument, match="flags: 0x1000: not a directory"):
        volume.check_source()


async def test_a_used_volume_is_not_removed(volumes: Volumes) -> None:
    volume = await volumes.create("data")
    volumes.acquire("data", "b" * 64)
    volumes.acquire("data", "a" * 64)
    with pytest.raises(Conflict) as caught:
        await volumes.remove("data", force=True)
    used = f"{'a' * 64}, {'b' * 64}"
    assert caught.value.message == f"remove data: volume is in use - [{used}]"
    volumes.release("a" * 64)
    volumes.release("b" * 64)
    await volumes.remove("data")
    assert not volume.mountpoint.parent.exists()
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.get("data")


async def test_a_missing_volume_is_removed_only_by_force(volumes: Volumes) -> None:
    await volumes.remove("data", force=True)
    with pytest.raises(NotFound, match="get data: no such volume"):
        await volumes.remove("data")


async def test_prune_takes_the_unused_and_chosen(volumes: Volumes, tmp_path: Path) -> None:
    for name in ("used", "spare", "chosen"):
        volume = await volumes.create(name)
        (volume.mountpoint / "file").write_bytes(b"x" * 100)
    bound = {"type": "none", "o": "bind", "device": str(tmp_path)}
    await volumes.create("bound", driver_opts=bound)
    volumes.acquire("used", "c1")
    deleted, reclaimed = await volumes.prune(lambda volume: volume.name != "spare")
    assert (list(deleted), reclaimed) == (["chosen"], 100)
    assert [volume.name for volume in volumes.list()] == ["bound", "spare", "used"]


async def test_an_interrupted_removal_is_finished(
    volumes: Volumes, config: EngineConfig, state: State
) -> None:
    await volumes.create("data")
    os.rename(config.volumes_root / "data", config.volumes_root / ".removing-data.0123abcd")
    again = await _reopened(config, state)
    assert again.list() == []
    assert os.listdir(config.volumes_root) == []


async def test_a_removal_interrupted_after_a_new_one_was_made_spares_the_new(
    volumes: Volumes, config: EngineConfig, state: State
) -> None:
    await volumes.create("data")
    (config.volumes_root / ".removing-data.0123abcd").mkdir()
    again = await _reopened(config, state)
    assert [volume.name for volume in again.list()] == ["data"]
    assert os.listdir(config.volumes_root) == ["data"]


async def test_a_volume_whose_record_is_lost_is_found_again(
    config: EngineConfig, volumes: Volumes, state: State
) -> None:
    """With all that was known of it, or with its name alone where its description is lost too."""
    known = await volumes.create("known", labels={"a": "b"}, driver_opts=None)
    bare = await volumes.create("bare", labels={"a": "b"})
    for volume in (known, bare):
        (volume.mountpoint / "file").write_text("precious")
        state.delete("volume", volume.name)
    (config.volumes_root / "bare" / "volume.json").write_text("{")
    (config.volumes_root / "lost+found" / "_data").mkdir(parents=True)
    again = await _reopened(config, state)
    assert [volume.name for volume in again.list()] == ["bare", "known"]
    assert again.get("known") == known
    assert again.get("bare").labels == {}
    assert {(v.mountpoint / "file").read_text() for v in again.list()} == {"precious"}
    assert len(state.notes) == 2
    assert [v.name for v in (await _reopened(config, state)).list()] == ["bare", "known"]


def test_disk_usage_counts_a_hard_link_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"x" * 10)
    os.link(tmp_path / "sub" / "a", tmp_path / "b")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert disk_usage(tmp_path) == 10 + len(str(tmp_path))


def _full(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
    if not (exist_ok and path.is_dir()):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


async def test_a_full_disk_lets_no_volume_be_made(
    volumes: Volumes, config: EngineConfig, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is recorded that would have to be taken back, which such a disk may not keep."""
    monkeypatch.setattr(Path, "mkdir", _full)
    monkeypatch.setattr(state, "delete", lambda *_: pytest.fail("there was a record"))
    with pytest.raises(OSError, match="No space left"):
        await volumes.create("data")
    assert state.read(VOLUME) == {}
    assert list(config.volumes_root.iterdir()) == []


async def test_a_full_disk_keeps_no_engine_from_starting(
    volumes: Volumes, config: EngineConfig, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = await volumes.create("data")
    volume.mountpoint.rmdir()
    with monkeypatch.context() as full:
        full.setattr(Path, "mkdir", _full)
        again = await _reopened(config, state)
        with pytest.raises(OSError, match="No space left"):
            again.get("data").check_source()
    why = 'volume "data": its folder is not as it should be: no space left on device'
    assert state.notes == [why]
    again.get("data").check_source()
    assert volume.mountpoint.is_dir()
