"""What an engine does not honour is told by what it can, not by how its address is spelled."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runtime import FakeRuntime

from stackr.errors import InvalidProject
from stackr.planner.desired.project import Desired
from stackr.planner.plan.options import UpOptions
from stackr.runtime.types import Capabilities
from stackr.spec.load import LoadOptions, load
from stackr.stack.planning import desire, foresee_up, plan_pulls, plan_up

_OPTIONS = UpOptions(pull="always")


def wanted(folder: Path, engine: str) -> Desired:
    path = folder / "compose.yaml"
    path.write_text("name: demo\nservices: {web: {image: i, storage_opt: {inodes: 9}}}\n")
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


@pytest.mark.parametrize(
    ("profiles", "hint"),
    [
        ((), "--profile dev enables some"),
        (("dve",), 'no service has the profile "dve": did you me'),
    ],
)
def test_where_no_service_is_enabled_the_profile_is_named(
    tmp_path: Path, profiles: tuple[str, ...], hint: str
) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: i, profiles: [dev]}}\n")
    project = load(LoadOptions(profiles=profiles), {}, tmp_path)
    with pytest.raises(InvalidProject, match="no service selected") as refused:
        desire(project, UpOptions())
    assert hint in (refused.value.hint or "")


def test_an_image_in_upper_case_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: 'MyApp:1'}}\n")
    project = load(LoadOptions(), {}, tmp_path)
    with pytest.raises(InvalidProject, match=r"compose.yaml:1:25: services.web.image: .*lowercase"):
        desire(project, UpOptions())


@pytest.mark.parametrize(
    ("service", "said", "hint"),
    [
        ("image: 'nginx:1 -p 80:80'", "1:25: services.web.image: invalid ref", "options of docker"),
        ("image: “nginx:1”", "1:25: services.web.image: invalid reference", "a sign in it is no"),
        ("image: 'nginx:'", "1:25: services.web.image: invalid reference", "write NAME:TAG, such"),
        ("image: i, volumes: ['./a:data']", "1:38: services.web.volumes[0]", 'write "/data"'),
        ("image: i, volumes: ['d:/data']", "1:38: services.web.volumes[0]", "one letter before"),
    ],
)
def test_what_no_engine_takes_has_its_place(
    tmp_path: Path, service: str, said: str, hint: str
) -> None:
    (tmp_path / "compose.yaml").write_text(f"services: {{web: {{{service}}}}}\n")
    project = load(LoadOptions(), {}, tmp_path)
    with pytest.raises(InvalidProject) as refused:
        desire(project, UpOptions())
    assert f"compose.yaml:{said}" in refused.value.message
    assert (refused.value.hint or "").startswith(hint)


def test_a_profile_that_no_service_has_is_warned_of(tmp_path: Path) -> None:
    text = "services: {web: {image: i}, shell: {image: i, profiles: [dev]}}\n"
    (tmp_path / "compose.yaml").write_text(text)
    project = load(LoadOptions(profiles=("dve",)), {}, tmp_path)
    warned = 'no service has the profile "dve": did you mean "dev"?'
    assert warned in desire(project, UpOptions()).warnings
