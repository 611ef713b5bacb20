"""Images that go, with what nothing else needs of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stackr.registry.reference import Reference, parse_reference
from stackr.runtime.engine.image.model import Image, StoredImage
from stackr.runtime.engine.image.parts import Parts
from stackr.runtime.engine.image.removal import (
    InUse,
    Removals,
    find_conflict,
    has_to_stay,
    is_id_of,
)

__all__ = ["Deletion"]


class Deletion:
    """Of one engine's images; the rules are those of `removal.py`."""

    def __init__(self, parts: Parts, layers_size: Callable[[], int]) -> None:
        """layers_size: bytes in all unpacked layers."""
        self._parts = parts
        self._store = parts.store
        self._layers_size = layers_size

    async def remove(
        self, name_or_id: str, *, force: bool = False, prune: bool = True, in_use: InUse
    ) -> Removals:
        """Remove a name, and the image itself with its last name; by an ID, all its names.

        in_use: containers by image ID. prune is Docker's `noprune` turned around: whether untagged
        parents go too. Raises NotFound, and Conflict with Docker's texts where a container, another
        name or an image on top of this one is in the way.
        """
        image = self._store.find(name_or_id)
        self._parts.state.check_writable()
        uses, has_children = in_use(image.id), self._store.has_children(image)
        conflict = find_conflict(image, name_or_id, uses, force=force, has_children=has_children)
        if conflict is not None:
            raise conflict
        if is_id_of(image, name_or_id):
            removals = self._store.untag(image, list(image.names.values()))
        else:
            removals = self._store.untag(image, _names_that_go(image, name_or_id))
        if image.names or has_to_stay(uses, has_children=has_children, force=force):
            return removals
        return removals + await self._delete(image, in_use, prune=prune)

    async def prune(
        self,
        *,
        dangling_only: bool = True,
        in_use: InUse,
        accept: Callable[[Image], bool] = lambda _: True,
    ) -> tuple[Removals, int]:
        """Remove the images that no container uses: the untagged ones, or all.

        accept: further filters. Returns what was removed, and the bytes freed in layers.
        """
        removals: Removals = []
        before = self._layers_size()
        for image in self._store:
            view = image.view()
            is_gone = image.id not in self._store
            if is_gone or in_use(image.id) or not accept(view):
                continue
            if dangling_only and (view.repo_tags or self._store.has_children(image)):
                continue
            removals += self._store.untag(image, list(image.names.values()))
            if not self._store.has_children(image):
                removals += await self._delete(image, in_use, prune=True)
        await self._parts.retention.give_back(0)
        return removals, before - self._layers_size()

    async def _delete(self, image: StoredImage, in_use: InUse, *, prune: bool) -> Removals:
        """With `prune`, and the images below it that nothing else needs and that have no name."""
        removals: Removals = []
        gone: StoredImage | None = image
        blobs: list[str] = []
        while gone is not None:
            self._store.forget(gone)
            self._parts.events.publish("image", "delete", gone.id, {"name": gone.id})
            removals.append({"Deleted": gone.id})
            blobs += gone.blobs
            parent = self._store.by_id(gone.parent) if prune else None
            gone = None if parent and self._is_needed(parent, in_use) else parent
        released = await self._parts.retention.withdraw(blobs)
        return [*removals, *({"Deleted": diff_id} for diff_id in released)]

    def _is_needed(self, image: StoredImage, in_use: InUse) -> bool:
        return bool(image.names or in_use(image.id) or self._store.has_children(image))


def _names_that_go(image: StoredImage, text: str) -> Sequence[Reference]:
    """The name itself, and the digests of its repository once no tag of that is left."""
    name = parse_reference(text).with_default_tag()
    name = name if str(name) in image.names else name.with_digest(name.digest or "")
    rest = [other for other in image.names.values() if other != name]
    same = [other for other in rest if other.name == name.name]
    if name.digest or any(not other.digest for other in same):
        return [name]
    return [name, *same]
