"""Containers as the API lists them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from stackr.errors import NotFound
from stackr.runtime.engine.api import containers
from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.container.records.record import Container


async def test_one_that_is_removed_while_sizes_are_counted_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def usage(id: str) -> int:
        if id == "gone":
            raise NotFound('snapshot "gone": does not exist')
        return 3

    def summary(_engine: object, container: Container, *_: object) -> dict[str, Any]:
        return {"Id": container.id}

    monkeypatch.setattr(containers, "_summary", summary)
    engine = SimpleNamespace(
        containers=SimpleNamespace(link_names=dict, usage=usage),
        images=SimpleNamespace(get=lambda _: SimpleNamespace(size_bytes=4)),
    )
    every = [SimpleNamespace(id=id, image_id="i") for id in ("one", "gone", "two")]
    shown = await containers.summaries(
        cast(Engine, engine), cast("list[Container]", every), size=True, version=(1, 47)
    )
    sizes = {"SizeRw": 3, "SizeRootFs": 7}
    assert shown == [{"Id": "one", **sizes}, {"Id": "two", **sizes}]
