"""What the OCI runtime keeps of a running container, where somebody has removed or damaged it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackr.errors import Conflict
from stackr.runtime.engine.container.oci.runtime import OciRuntime


class _Asked(Exception):
    """The runtime's program would have been run."""


class _Launcher:
    async def run(self, *_: object, **__: object) -> None:
        raise _Asked


@pytest.mark.parametrize(
    ("name", "file"), [("crun", "status"), ("runc", "state.json")], ids=["crun", "runc"]
)
async def test_damage_to_it_is_named(tmp_path: Path, name: str, file: str) -> None:
    launcher: Any = _Launcher()
    runtime = OciRuntime(f"/usr/bin/{name}", tmp_path, launcher)
    with pytest.raises(Conflict, match=r"/f was removed, by which .* need its restart"):
        await runtime.pause("f")
    state = tmp_path / "f" / file
    state.mkdir(parents=True)
    with pytest.raises(Conflict, match=rf"/{file} is damaged, by which {name} knows it"):
        await runtime.pause("f")
    state.rmdir()
    for damage in (b"", b"\x9f{", b'{"pid"'):
        state.write_bytes(damage)
        with pytest.raises(Conflict, match="is damaged"):
            await runtime.pause("f")
    state.write_bytes(b'{"pid": 1}')
    with pytest.raises(_Asked):
        await runtime.pause("f")
