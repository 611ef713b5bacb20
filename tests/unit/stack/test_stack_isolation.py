"""Isolated copies: their names, the folder that they go with, and what an engine says of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runtime import FakeRuntime

from stackr.errors import Conflict, InvalidArgument
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import observe
from stackr.planner.plan.options import UpOptions
from stackr.runtime import labels
from stackr.runtime.folders import is_gone, seen_at, was_removed
from stackr.runtime.types import ContainerState, PublishedPort, VolumeState
from stackr.spec.archive import archived, restored
from stackr.spec.model.project import Isolated
from stackr.spec.session import LoadOptions
from stackr.stack.abandoned import abandoned
from stackr.stack.isolated_load import isolated_again, known_ports
from stackr.stack.isolated_ports import ports_among
from stackr.stack.isolation import Worktree, copy_name, default_name, wish_of, worktree_of
from stackr.stack.saved import plan_text, saved_source
from stackr.stack.source import Source

SHOP = "name: shop\nservices: {web: {image: app, ports: ['8080:80'], environment: {AT: '${AT}'}}}\n"


@pytest.mark.parametrize(
    ("text", "wish"),
    [(None, None), ("", None), ("0", None), ("False", None), ("1", ""), ("yes", ""), ("x", "x")],
)
def test_the_variable_says_yes_or_no_or_a_name(text: str | None, wish: str | None) -> None:
    assert wish_of({} if text is None else {"STACKR_ISOLATED": text}) == wish


def test_a_linked_worktree_has_the_name_that_git_has_for_it(tmp_path: Path) -> None:
    main = tmp_path / "main"
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run([*git, "init", "-q", str(main)], check=True)
    subprocess.run([*git, "-C", str(main), "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    for folder in ("a/Feature", "b/Feature"):
        path = str(tmp_path / folder)
        subprocess.run([*git, "-C", str(main), "worktree", "add", "-q", path], check=False)
        subprocess.run([*git, "-C", str(main), "worktree", "add", "-qf", "-d", path], check=False)
    (tmp_path / "a/Feature/deploy").mkdir()
    found = [worktree_of(str(tmp_path / each)) for each in ("a/Feature/deploy", "b/Feature")]
    assert found[0] == Worktree(str(tmp_path / "a/Feature"), "Feature")
    names = {default_name("shop", each) for each in found}
    assert names == {"feature", "feature1"}
    assert worktree_of(str(main)) == Worktree(str(main))


def test_clones_of_one_name_have_two_names() -> None:
    one, two = (default_name("shop", Worktree(f"/{agent}/repo")) for agent in ("a", "b"))
    assert one.startswith("repo-")
    assert two.startswith("repo-")
    assert one != two


def test_the_stacks_name_is_not_said_twice() -> None:
    assert len(default_name("shop", Worktree("/src/shop"))) == 4
    assert len(default_name("x", Worktree("/src/x", "x"))) == 4
    assert len(default_name("x", Worktree("/"))) == 4


def test_a_name_that_is_none_is_refused_with_one_that_can_be() -> None:
    with pytest.raises(InvalidArgument, match="cannot be a name") as refused:
        copy_name("Feature/X", "shop", Worktree("/x"))
    assert refused.value.hint == '"feature-x" can be one'
    with pytest.raises(InvalidArgument):
        copy_name("x" * 41, "shop", Worktree("/x"))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A stack in a folder, and no engine that runs."""
    for name in ("DATA", "EXEC"):
        monkeypatch.setenv(f"STACKR_{name}_ROOT", str(tmp_path / name))
    (tmp_path / "sub").mkdir()
    (tmp_path / "compose.yaml").write_text(SHOP)
    return Source(LoadOptions(), {"AT": "x"}, tmp_path, isolated="abc")


def test_every_way_to_the_name_gives_the_same(source: Source, tmp_path: Path) -> None:
    declared = source.declared()
    assert declared is not None
    found = source.find()
    assert not isinstance(found, str)
    assert {source.name(), source.load().name, found.name, declared.name} == {"shop-abc"}
    assert source.plain().name() == "shop"


def test_the_folders_own_copy_is_the_same_from_below(source: Source, tmp_path: Path) -> None:
    own = Source(LoadOptions(), {}, tmp_path, isolated="")
    below = Source(LoadOptions(), {}, tmp_path / "sub", isolated="")
    assert own.name() == below.name() == own.load().name


def test_a_name_alone_needs_no_file(tmp_path: Path) -> None:
    options = LoadOptions(project_name="shop")
    assert Source(options, {}, tmp_path, isolated="x").find() == "shop-x"
    given = Source(LoadOptions(), {"COMPOSE_PROJECT_NAME": "shop"}, tmp_path, isolated="x")
    assert given.find() == "shop-x"


def test_the_file_is_told_the_ports_that_it_gets(source: Source, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(SHOP.replace("${AT}", "${STACKR_WEB_80_URL:-none}"))
    web = source.load().services["web"]
    assert web.environment["AT"] == f"http://127.0.0.1:{web.ports[0].published}"
    assert source.plain().load().services["web"].environment["AT"] == "none"


def test_ports_that_depend_on_what_they_become_are_refused(source: Source, tmp_path: Path) -> None:
    text = SHOP.replace("'8080:80'", "'8080:80', '${STACKR_WEB_80_PORT:+82:}81'")
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(InvalidArgument, match="depend on STACKR_ variables"):
        source.load()


def test_a_port_that_a_program_of_this_host_has_is_passed_by(source: Source) -> None:
    [port] = source.load().services["web"].ports
    with socket.create_server(("", int(port.published or 0))):
        [other] = source.load().services["web"].ports
    assert other.published != port.published
    assert source.load().services["web"].ports == (port,)


def container(source: Source, *, state: str = "running", **labelled: str) -> ContainerState:
    """The only one of a copy, as it was made."""
    project = source.load()
    spec = json.dumps(
        {"ports": [{"target": 80, "published": project.services["web"].ports[0].published}]}
    )
    isolated = project.isolated
    assert isolated is not None
    own = {
        labels.PROJECT: project.name,
        labels.SERVICE: "web",
        labels.SPEC: spec,
        labels.ISOLATED: isolated.name,
        labels.FOLDER: isolated.folder,
        labels.SEEN: isolated.seen,
        **labelled,
    }
    return ContainerState("1", "web", state=state, labels=own)


def copy_of(source: Source) -> Isolated:
    found = source.copy()
    assert found is not None
    return found


def test_what_runs_keeps_its_port_and_what_does_not_keeps_it_while_it_is_free(
    source: Source,
) -> None:
    made = container(source)
    found = ports_among([made], copy_of(source), is_here=False)
    [(number, _)] = found.kept.values()
    taken = ContainerState("2", "other", ports=(PublishedPort(80, host_port=number),))
    stopped = container(source, state="exited")
    assert ports_among([made, taken], copy_of(source), is_here=False).kept
    assert ports_among([stopped], copy_of(source), is_here=False).kept
    assert not ports_among([stopped, taken], copy_of(source), is_here=False).kept


def test_a_stopped_copys_ports_are_left_to_it(source: Source) -> None:
    other = container(source, state="exited", **{labels.PROJECT: "shop-other"})
    [port] = source.load().services["web"].ports
    found = ports_among([other], copy_of(source), is_here=False)
    assert not found.is_free(int(port.published or 0), "tcp", "")


def test_a_name_that_another_folder_has_is_refused_until_that_is_gone(
    source: Source, tmp_path: Path
) -> None:
    mine = copy_of(source)
    with pytest.raises(Conflict, match=f"it is the one of {tmp_path / 'sub'}"):
        ports_among(
            [container(source, **{labels.FOLDER: str(tmp_path / "sub")})], mine, is_here=False
        )
    gone = container(source, **{labels.FOLDER: str(tmp_path / "gone")})
    assert ports_among([gone], mine, is_here=False).kept


def test_a_project_that_is_no_copy_is_not_made_one(source: Source) -> None:
    plain = ContainerState("1", "web", labels={labels.PROJECT: "shop-abc"})
    with pytest.raises(Conflict, match="it is there, and no isolated copy"):
        ports_among([plain], copy_of(source), is_here=False)


def test_an_earlier_revision_is_a_copy_again_at_the_same_ports(source: Source) -> None:
    project = source.load()
    again = restored(json.loads(json.dumps(archived(project))), {})
    assert again.isolated is not None
    made = isolated_again(again, again.isolated, [container(source)])
    assert made.services["web"].ports == project.services["web"].ports
    assert made.isolated == project.isolated


def test_a_saved_plan_is_of_the_copy(source: Source) -> None:
    command: dict[str, object] = {
        "files": [],
        "project_name": "shop",
        "project_directory": None,
        "profiles": [],
        "env_files": [],
    }
    assert saved_source({"command": command}, "plan").name() == "shop"
    assert saved_source({"command": {**command, "isolated": "abc"}}, "plan").name() == "shop-abc"


def test_a_folder_is_gone_only_where_its_file_system_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    seen = seen_at(str(folder))
    assert not was_removed(str(folder), seen)
    folder.rmdir()
    (tmp_path / "a").rmdir()
    assert was_removed(str(folder), seen)
    assert not was_removed(str(folder), f"{os.uname().nodename} 999999")
    assert not was_removed(str(folder), f"elsewhere {seen.rpartition(' ')[2]}")
    assert not was_removed(str(folder), "")
    assert is_gone(str(folder))
    assert seen_at(str(folder)) == ""


def test_a_copy_is_abandoned_where_nothing_of_it_has_a_folder(tmp_path: Path) -> None:
    gone, here = str(tmp_path / "gone"), str(tmp_path)
    seen = seen_at(here)

    def volume(project: str, folder: str) -> VolumeState:
        own = {labels.PROJECT: project, labels.FOLDER: folder, labels.SEEN: seen}
        return VolumeState(f"{project}-v", labels=own)

    items = [volume("a", gone), volume("b", gone), volume("b", here), volume("c", here)]
    assert abandoned(items) == {"a": gone}
    assert abandoned([VolumeState("x"), VolumeState("y", labels={labels.PROJECT: "y"})]) == {}


async def test_a_saved_plan_says_whose_copy_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(SHOP)
    plain = Source(LoadOptions(), {}, tmp_path)
    wanted = desired(plain.load())
    observed = await observe(FakeRuntime(), "shop", wanted)
    plan = reconcile(wanted, observed, UpOptions())
    for source, isolated in ((plain, None), (replace(plain, isolated="mine"), "mine")):
        text = plan_text(plan, wanted, observed, UpOptions(), source)
        again = saved_source(json.loads(text), "plan.json")
        assert again.isolated == isolated
        assert again.options.project_name == "shop"


def test_of_an_engine_that_does_not_answer_nothing_is_known() -> None:
    copy = Isolated("feature", "shop", "/nowhere")
    assert known_ports(copy, "swarm+unix:///nowhere").kept == {}
