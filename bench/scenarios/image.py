"""Images from a registry and to one."""

from __future__ import annotations

from bench import registry, stacks
from bench.work import Record, Work

_LAYERED = "5 layers, 150 MB"


def pull(work: Work, record: Record) -> None:
    """By the peer's own command."""
    file = work.stack("pull", stacks.only_image(work.images.layered))
    record(f"pull, {_LAYERED}", work.timed("pull", file))
    work.docker("rmi", work.images.layered)


def push(work: Work, record: Record) -> None:
    """To a registry that has nothing yet, by the docker command of both."""
    image = work.images.layered
    work.docker("pull", "--quiet", image)
    with registry.empty(work.folder / "pushed") as address:
        name = f"{address}/bench/layers5:latest"
        work.docker("tag", image, name)
        try:
            record(f"push, {_LAYERED}", work.docker("push", "--quiet", name))
        finally:
            work.docker("rmi", name, image)
