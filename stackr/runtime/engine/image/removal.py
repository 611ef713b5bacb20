"""What stands in the way of removing an image: Docker's rules, in Docker's words.

A running container, and an image that was made on top of this one, are hard conflicts; a stopped
container, or names in several repositories, give way to `force`. A name goes all the same, and the
image stays without it. Source: moby `daemon/images/image_delete.go`, behaviour only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from stackr.errors import Conflict
from stackr.registry.digest import short_id
from stackr.registry.reference import Reference
from stackr.runtime.engine.image.model import ImageUse, StoredImage

__all__ = [
    "InUse",
    "Removals",
    "find_conflict",
    "has_to_stay",
    "is_id_of",
    "is_single_repository",
]

Removals = list[dict[str, str]]
"""`{"Untagged": name}` and `{"Deleted": digest}`, as the Engine API answers."""

InUse = Callable[[str], Sequence[ImageUse]]
"""The containers made from the image of an ID."""


def is_id_of(image: StoredImage, text: str) -> bool:
    """Whether `text` is the image's ID or its start; a name that looks like one is a name."""
    prefix = text.removeprefix("sha256:")
    names = {name.familiar for name in image.names.values()}
    known = {text, f"{text}:latest"} & names
    return bool(prefix) and image.id.startswith(f"sha256:{prefix}") and not known


def is_single_repository(names: Iterable[Reference]) -> bool:
    """Whether there is at most one tag, and all digests are of its repository."""
    names = list(names)
    tags = [name for name in names if not name.digest]
    return len(names) <= 1 or (len(tags) <= 1 and len({name.name for name in names}) == 1)


def has_to_stay(uses: Sequence[ImageUse], *, has_children: bool, force: bool) -> bool:
    """Whether an image without a name is kept."""
    return has_children or any(use.running or not force for use in uses)


def find_conflict(
    image: StoredImage,
    text: str,
    uses: Sequence[ImageUse],
    *,
    force: bool,
    has_children: bool = False,
) -> Conflict | None:
    """The reason why the image named `text` must not be removed, or None."""
    single = is_single_repository(image.names.values())
    if not is_id_of(image, text):
        if force or not single or not uses:
            return None
        return Conflict(
            f'conflict: unable to remove repository reference "{text}" (must force) - container'
            f" {uses[0].container_id[:12]} is using its referenced image {short_id(image.id)}"
        )
    if has_children:
        return _conflict(image, "cannot be forced", "image has dependent child images")
    running = next((use for use in uses if use.running), None)
    if running is not None:
        return _conflict(image, "cannot be forced", _used_by("running", running))
    if force:
        return None
    if not single:
        return _conflict(image, "must be forced", "image is referenced in multiple repositories")
    if uses:
        return _conflict(image, "must be forced", _used_by("stopped", uses[0]))
    return None


def _used_by(state: str, use: ImageUse) -> str:
    return f"image is being used by {state} container {use.container_id[:12]}"


def _conflict(image: StoredImage, way_out: str, reason: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {short_id(image.id)} ({way_out}) - {reason}")
