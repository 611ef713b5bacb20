"""Write an archive into a container, as a copy does.

What is in the way is replaced, where the request does not forbid it between folders and others.
Source: Docker Engine API, "PutContainerArchive".
"""

from __future__ import annotations

from stackr.runtime.engine.archive import tarstream
from stackr.runtime.engine.archive.apply import Applier, is_folder
from stackr.runtime.engine.archive.tarstream import ArchiveError, Entry, TarReader, show

__all__ = ["Extractor"]


class Extractor(Applier):
    """shown: the folder's path, for messages. owner: (uid, gid) for all that is written.

    keep_kinds: refuse to replace a folder by something else, and the other way round.
    """

    def __init__(
        self,
        reader: TarReader,
        folder: int,
        *,
        shown: str,
        owner: tuple[int, int] | None,
        keep_kinds: bool,
    ) -> None:
        super().__init__(reader, folder, owner=owner)
        self._shown = shown
        self._keep_kinds = keep_kinds

    def make_room(self, entry: Entry, folder: int, name: bytes) -> None:
        was_folder, becomes_folder = is_folder(folder, name), entry.type == tarstream.DIRECTORY
        if self._keep_kinds and was_folder != becomes_folder:
            kinds = ("directory", "non-directory")
            old, new = kinds if was_folder else reversed(kinds)
            what = f'cannot overwrite {old} {show(entry.name)} with {new} "{self._shown}"'
            raise ArchiveError(what)
        super().make_room(entry, folder, name)
