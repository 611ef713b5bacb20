"""Images are made of a stack that another engine runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackr.errors import InvalidProject
from stackr.planner.desired.image_build import BuildOptions, image_build
from stackr.spec.load import load
from stackr.spec.session import LoadOptions
from stackr.stack.build import chosen_builds, of_images
from stackr.stack.planning import desire

STACK = """name: demo
services:
  web:
    image: r/web
    build: {context: ., secrets: [token]}
    ports: [{target: 80, published: 80, mode: host}]
    deploy: {replicas: 3}
    networks: [mesh]
    secrets: [outside]
    depends_on: [job]
  job: {build: {context: job}, deploy: {mode: replicated-job}}
networks: {mesh: {driver: overlay}}
secrets:
  token: {environment: TOKEN}
  outside: {external: true}
"""


def test_images_of_a_swarm_s_stack_are_made_on_one_host(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(STACK)
    project = load(LoadOptions(), {"TOKEN": "t"}, tmp_path)
    options = chosen_builds(project, ())
    with pytest.raises(InvalidProject):
        desire(project, options)
    reduced = of_images(project)
    wanted = desire(reduced, options)
    assert [(name, each.image) for name, each in wanted.services.items()] == [
        ("job", "demo-job"),
        ("web", "r/web"),
    ]
    assert list(reduced.secrets) == ["token"]
    for name in ("web", "job"):
        one, other = (
            image_build(each, each.services[name], BuildOptions()) for each in (project, reduced)
        )
        assert one == other
