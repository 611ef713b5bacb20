"""Stacks for the tests of Swarm's dialect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.runtime.workloads import Document, DocumentKind, WorkloadCapabilities
from stackr.spec.load import load
from stackr.spec.model.project import Project
from stackr.spec.session import LoadOptions

OLD = WorkloadCapabilities((1, 41), 3)
NEW = WorkloadCapabilities((1, 52), 3)


def project(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Project:
    (folder / "compose.yaml").write_text(f"name: demo\n{text}", encoding="utf-8")
    return load(LoadOptions(), environ or {}, folder)


def rendered(
    folder: Path, text: str, capabilities: WorkloadCapabilities = OLD, **environ: str
) -> Rendered:
    return Swarm().render(project(folder, text, environ), capabilities)


def service(rendered: Rendered, key: str = "web") -> Document:
    found = rendered.of_kind(DocumentKind.SERVICE)
    return next(document for document in found if document.key == key)


def web(body: str) -> str:
    """A stack of one service with these attributes, in flow style or indented by four."""
    return f"services:\n  web:\n    image: nginx\n{body}"
