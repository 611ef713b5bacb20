"""What an engine does not honour is told by what it can, not by how its address is spelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.errors import InvalidProject
from stackr.planner.desired.project import Desired
from stackr.planner.plan.options import UpOptions
from stackr.runtime.fake import FakeRuntime
from stackr.runtime.types import Capabilities
from stackr.spec.load import LoadOptions, load
from stackr.stack.planning import desire, foresee_up, plan_pulls, plan_up

_OPTIONS = UpOptions(pull="always")


def wanted(folder: Path, engine: str) -> Desired:
    path = folder / "compose.yaml"
    path.write_text("name: demo\nservices: {web: {image: i, storage_opt: {size: 1G}}}\n")
    return desire(load(LoadOptions(files=(str(path),)), {}, folder), _OPTIONS, engine=engine)


def runtime(*, documented: bool) -> FakeRuntime:
    made = FakeRuntime.with_images("i")
    made.registry = dict(made.images)
    made.capabilities = Capabilities(documented_support=documented)
    return made


@pytest.mark.parametrize("engine", ["docker", "unix:///run/stackr/stackr.sock", "tcp://far:1"])
async def test_an_engine_is_asked_what_it_honours(tmp_path: Path, engine: str) -> None:
    stack = wanted(tmp_path, engine)
    own = runtime(documented=True)
    for refused in (plan_up, plan_pulls, foresee_up):
        with pytest.raises(InvalidProject, match="storage_opt: not supported by the embedded"):
            await refused(own, stack, _OPTIONS)
    assert not (await plan_up(runtime(documented=False), stack, _OPTIONS)).is_empty


def test_what_the_engine_that_stackr_starts_refuses_is_told_before(tmp_path: Path) -> None:
    with pytest.raises(InvalidProject, match="storage_opt: not supported by the embedded"):
        wanted(tmp_path, "embedded")
