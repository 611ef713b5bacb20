"""Puts the manual pages into the wheel, where `scripts/package` has written them.

They are made from the commands' declarations, which takes all that stackr depends on; a wheel that
is built without that has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        pages = Path(self.root) / "build" / "man"
        if version == "standard" and pages.is_dir():
            for page in sorted(pages.glob("*.1")):
                build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"
