"""Two versions of a stack compared as documents, of which no engine is asked."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from swarm_answers import answered
from swarm_stacks import OLD, project

from stackr.errors import Conflict, InvalidProject, NotFound, NotSupported
from stackr.planner.observe.revision import Revision
from stackr.planner.plan.model import Kind, Origin, Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.revision import KeptRevision, as_observed, images_of
from stackr.spec.archive import archived
from stackr.spec.model.project import Project
from stackr.spec.session import LoadOptions
from stackr.stack.source import Source
from stackr.stack.workloads.diff import documents_against_base, documents_of_revision

STACK = """services:
  web:
    image: nginx:1
    environment: {LEVEL: info}
    configs: [conf]
    volumes: [./data:/data]
    networks: [front]
  job: {image: tool:1, volumes: [./data:/data]}
  old: {image: old:1, depends_on: {job: {condition: service_completed_successfully}}}
networks: {front: {attachable: false}}
configs: {conf: {content: hello}}
"""
DIALECT = Swarm()


def against(base: Path | str, changed: Project, options: UpOptions | None = None) -> Plan:
    files = (str(Path(changed.working_dir, "compose.yaml")),)
    source = Source(LoadOptions(files=files))
    return documents_against_base(str(base), source, changed, options or UpOptions(), "swarm")


def versions(folder: Path, old: str, new: str) -> tuple[Path, Project]:
    (folder / "before").mkdir()
    (folder / "now").mkdir()
    project(folder / "before", STACK)
    return folder / "before", project(folder / "now", STACK.replace(old, new))


def kinds(plan: Plan) -> list[tuple[str, str, Kind]]:
    return [(e.resource.kind, e.resource.service, e.kind) for e in plan.changes]


def test_another_folder_is_no_difference(tmp_path: Path) -> None:
    """Neither of a mount, nor of a job whose name has a hash of it."""
    plan = against(*versions(tmp_path, "", ""))
    assert plan.changes == ()
    assert plan.unchanged == 6


def test_a_field_has_its_cause_and_its_place(tmp_path: Path) -> None:
    plan = against(*versions(tmp_path, "info", "debug"))
    (change,) = plan.changes
    (field,) = change.fields
    assert (field.path, field.old, field.new) == ("environment.LEVEL", "info", "debug")
    assert (change.kind, change.origin, field.origin) == (
        Kind.RECREATE,
        Origin.FILE,
        Origin.FILE,
    )
    assert field.source is not None
    assert (field.source.file, field.source.line) == ("compose.yaml", 5)
    assert plan.operations == ()


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("hello", "bye", [("config", "", Kind.CREATE), ("config", "", Kind.REMOVE)]),
        ("attachable: false", "attachable: true", [("network", "", Kind.RECREATE)]),
        ("tool:1", "tool:2", [("service", "job", Kind.CREATE), ("service", "job", Kind.REMOVE)]),
        ("  old:", "  new:", [("service", "new", Kind.CREATE), ("service", "old", Kind.ORPHAN)]),
    ],
)
def test_what_has_other_names_is_told_as_by_up(
    tmp_path: Path, old: str, new: str, found: list[tuple[str, str, Kind]]
) -> None:
    plan = against(*versions(tmp_path, old, new))
    assert [each for each in found if each not in kinds(plan)] == []
    assert {each.cause for each in plan.changes if each.kind is Kind.CREATE} <= {"new"}
    placed = [each for each in plan.changes if each.kind in (Kind.CREATE, Kind.RECREATE)]
    assert all(each.source is not None and each.source.line for each in placed)


def test_a_revision_of_git_is_a_base_too(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, "-C", str(tmp_path), *words], check=True)

    git("init", "-q")
    project(tmp_path, STACK)
    git("add", "compose.yaml")
    git("commit", "-qm", "first")
    plan = against("HEAD", project(tmp_path, STACK.replace("info", "debug")))
    assert [change.resource.service for change in plan.changes] == ["web"]
    with pytest.raises(NotFound, match="gone"):
        against("gone", project(tmp_path, STACK))


def test_risks_and_refusals_are_those_of_a_swarm(tmp_path: Path) -> None:
    before, changed = versions(tmp_path, "networks: [front]", "ports: ['80:80']")
    assert [risk.id for risk in against(before, changed).risks] == ["port-opened"]
    (tmp_path / "bad").mkdir()
    bad = project(
        tmp_path / "bad", STACK.replace("image: nginx:1", "image: nginx:1\n    ipc: host")
    )
    with pytest.raises(InvalidProject, match="ipc"):
        against(before, bad)
    with pytest.raises(NotSupported, match="--renew-anon-volumes"):
        against(before, changed, UpOptions(renew_anonymous_volumes=True))


def test_what_is_external_is_taken_to_be_there(tmp_path: Path) -> None:
    new = "networks: {front: {external: true}}"
    plan = against(*versions(tmp_path, "networks: {front: {attachable: false}}", new))
    assert ("network", "", Kind.REMOVE) in kinds(plan)


def test_another_name_is_another_stack(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(f"name: former\n{STACK}", encoding="utf-8")
    plan = against(other, project(tmp_path, STACK))
    assert {each.kind for each in plan.changes} == {Kind.CREATE}
    assert "changes from" in plan.warnings[-1]


# --- revisions -----------------------------------------------------------------------------------


def kept(folder: Path, number: int, text: str, digest: str = "") -> KeptRevision:
    loaded = project(folder, text)
    rendered = DIALECT.render(loaded, OLD)
    there = answered(rendered.documents, "demo", pin=False)
    images = {key: f"{name}@{digest}" for key, name in images_of(there, DIALECT).items() if digest}
    revision = Revision(number, images=images, archive=archived(loaded))
    return KeptRevision(revision, as_observed(there, DIALECT), rendered.needs, rendered.jobs)


def test_what_a_revision_changed(tmp_path: Path) -> None:
    history = [
        kept(tmp_path, 1, STACK),
        kept(tmp_path, 2, STACK.replace("info", "debug")),
        kept(tmp_path, 4, "services: {web: {image: 'nginx:1'}}\n"),
    ]
    first = documents_of_revision(history, 1, DIALECT)
    assert {(each.kind, each.cause) for each in first.changes} == {(Kind.CREATE, "new")}
    (change,) = documents_of_revision(history, 2, DIALECT).changes
    assert [field.path for field in change.fields] == ["environment.LEVEL"]
    gone = [
        (each.resource.service, each.cause)
        for each in documents_of_revision(history, 4, DIALECT).changes
        if each.kind is Kind.REMOVE and each.resource.service
    ]
    assert sorted(gone) == [("job", "not there any more"), ("old", "not there any more")]
    with pytest.raises(NotFound, match="no such revision: 3"):
        documents_of_revision(history, 3, DIALECT)


def test_a_digest_that_moved_between_revisions(tmp_path: Path) -> None:
    history = [kept(tmp_path, n, STACK, f"sha256:{n}{'0' * 63}") for n in (1, 2)]
    plan = documents_of_revision(history, 2, DIALECT)
    fields = [(field.path, field.new) for change in plan.changes for field in change.fields]
    assert fields == [("image", history[1].revision.images["web"].partition("@")[2])] * 3


def test_one_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    history = [kept(tmp_path, 1, STACK)]
    damaged = replace(history[0].revision, number=2, status="damaged", archive={})
    history.append(KeptRevision(damaged))
    with pytest.raises(Conflict, match="revision 2 is damaged"):
        documents_of_revision(history, 2, DIALECT)
    history.append(kept(tmp_path, 3, STACK))
    assert documents_of_revision(history, 3, DIALECT).changes == ()
