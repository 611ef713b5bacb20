"""The images of a project's containers, as a table and as JSON with Docker Compose's names."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stackr.cli.views.moments import utc
from stackr.cli.views.table import table
from stackr.cli.views.units import age, size
from stackr.runtime.types import ContainerState, ImageState

__all__ = ["images_json", "images_table"]

_MIN_WIDTH = 20
_SHORT_ID = 12


def images_table(
    rows: Sequence[tuple[ContainerState, ImageState | None]], *, now: float
) -> list[str]:
    """The lines of `stackr images`; an image that is gone has no platform, size and age."""
    return table(
        ("CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"),
        [
            (
                container.name,
                *_repository_and_tag(container.image),
                _platform(image),
                _short_digest(container.image_id),
                size(image.size_bytes) if image else "",
                f"{age(now - _tagged(image))} ago" if _tagged(image) else "N/A",
            )
            for container, image in rows
        ],
        min_width=_MIN_WIDTH,
    )


def images_json(rows: Sequence[tuple[ContainerState, ImageState | None]]) -> str:
    """All images as one JSON list."""
    listed = []
    for container, image in rows:
        repository, tag = _repository_and_tag(container.image)
        listed.append(
            {
                "ID": container.image_id,
                "ContainerName": container.name,
                "Repository": repository,
                "Tag": tag,
                "Platform": _platform(image),
                "Size": image.size_bytes if image else 0,
                "LastTagTime": _date(_tagged(image)),
            }
        )
    return json.dumps(listed)


def _tagged(image: ImageState | None) -> float:
    """When the image got its name here, which Docker Compose shows as its age."""
    return (image.tagged or image.created) if image else 0


def _date(moment: float) -> str:
    return f"{utc(moment):%Y-%m-%dT%H:%M:%SZ}" if moment else ""


def _repository_and_tag(reference: str) -> tuple[str, str]:
    """`registry:5000/web:1` in two; a reference by digest alone has no tag."""
    name = reference.partition("@")[0]
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "latest" if "@" not in reference else "<none>"
    return repository, tag


def _platform(image: ImageState | None) -> str:
    if image is None:
        return ""
    return "/".join(part for part in (image.os, image.architecture, image.variant) if part)


def _short_digest(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT_ID]
