"""Real stack files on a real manager: what was made is read back without a difference.

The files are those of `tests/compose_cases`, as far as a Swarm can run them; no task of theirs
runs, as all nodes are drained. STACKR_SWARM_CASES says how many are tried (60).
"""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from swarm_rig import Rig

from stackr.errors import InvalidProject
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.spec.load import load
from stackr.spec.session import LoadOptions

pytestmark = pytest.mark.root
_ARCHIVE = Path(__file__).parents[2] / "compose_cases/cases.tar.xz"


def _cases(folder: Path) -> Iterator[Path]:
    """The stack files that Docker Compose takes, in an order of no meaning that is always one."""
    with tarfile.open(_ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    lines = (folder / "index.tsv").read_text(encoding="utf-8").splitlines()[1:]
    for case, file in sorted(
        (line.split("\t")[:2] for line in lines), key=lambda each: zlib.crc32(each[0].encode())
    ):
        if (folder / case / "expected.json").exists():
            yield folder / case / file


def _rendered(file: Path, workloads: SwarmWorkloads) -> Rendered | None:
    """None for one that a Swarm cannot run, or that wants what others have made."""
    options = LoadOptions(files=(file.name,), project_name="demo")
    try:
        project = load(options, {"HOME": "/root", "PATH": "/bin"}, file.parent)
        rendered = Swarm().render(project, workloads.capabilities)
    except InvalidProject:
        return None
    return None if rendered.external else rendered


async def _difference(rendered: Rendered, workloads: SwarmWorkloads) -> str:
    """What a plan finds to do right after everything was made; all is removed again."""
    made = []
    try:
        for document in rendered.documents:
            made.append((document.kind, await workloads.create(document)))
        observation = await workloads.observe("demo")
        assert len(observation.documents) == len(rendered.documents)
        plan = reconcile_documents(rendered, observation, Swarm())
        return "" if plan.is_empty else str(plan)
    finally:
        for kind, id in reversed(made):
            await workloads.remove(kind, id)


async def test_nothing_differs_from_what_was_made(
    workloads: SwarmWorkloads, rig: Rig, tmp_path: Path
) -> None:
    wanted = int(os.environ.get("STACKR_SWARM_CASES", "60"))
    tried, differing = 0, {}
    with rig.drained(*rig.nodes):
        for file in _cases(tmp_path):
            rendered = _rendered(file, workloads)
            if rendered is None:
                continue
            difference = await _difference(rendered, workloads)
            if difference:
                differing[str(file.relative_to(tmp_path))] = difference
            tried += 1
            if tried == wanted:
                break
    assert not differing, "\n".join(f"{name}: {text}" for name, text in differing.items())
    assert tried >= 60
