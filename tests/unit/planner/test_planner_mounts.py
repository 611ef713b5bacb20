"""What the options of a mount mean where they are absent, empty or partly given."""

from __future__ import annotations

import pytest
from planning import service, stack

from stackr.planner.desired.container_mounts import service_mounts
from stackr.spec.model.mounts import BindOptions, ServiceVolume
from stackr.stack.bind_sources import missing_files


@pytest.mark.parametrize(
    ("options", "makes_folder"),
    [
        (None, True),
        (BindOptions(create_host_path=True), True),
        (BindOptions(), False),
        (BindOptions(propagation="rprivate"), False),
        (BindOptions(create_host_path=False), False),
    ],
)
def test_a_missing_bind_source_becomes_a_folder(
    options: BindOptions | None, makes_folder: bool
) -> None:
    """Source: docker/compose v2.40.3, pkg/compose/create.go, `bindRequiresMountAPI`."""
    volume = ServiceVolume(type="bind", source="/no/such.conf", target="/m", bind=options)
    project = stack({"web": service(volumes=(volume,))})
    (mount,) = service_mounts(project, project.services["web"])
    assert mount.create_host_path is makes_folder
    assert bool(list(missing_files(project))) is makes_folder
