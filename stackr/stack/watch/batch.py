"""What a set of changed paths asks for: files to copy or remove, services to restart, commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stackr.stack.watch.rules import WatchRule

__all__ = ["Batch", "batch_of", "initial_batch"]


@dataclass(slots=True)
class Batch:
    """files: service -> path in the container -> path here, where it may be gone.

    hooks: the rules whose command is run afterwards. rebuilds: services whose image is built anew,
    which comes first.
    """

    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    restarts: list[str] = field(default_factory=list)
    hooks: list[WatchRule] = field(default_factory=list)
    rebuilds: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.files or self.restarts or self.hooks or self.rebuilds)

    def add(self, rule: WatchRule, path: Path) -> None:
        if rule.syncs and not (path == rule.path and path.is_dir()):  # it may be a symlink there
            self.files.setdefault(rule.service, {})[rule.inside(path)] = path
        if rule.restarts and rule.service not in self.restarts:
            self.restarts.append(rule.service)
        if rule.trigger.action == "rebuild" and rule.service not in self.rebuilds:
            self.rebuilds.append(rule.service)
        if rule.trigger.action == "sync+exec" and rule not in self.hooks:
            self.hooks.append(rule)


def batch_of(rules: Sequence[WatchRule], changed: Collection[Path]) -> Batch:
    """What the rules say about these paths; a folder is what is in it as well."""
    batch = Batch()
    for path in sorted(changed):
        for each in _with_content(path, rules):
            for rule in rules:
                if rule.match(each):
                    batch.add(rule, each)
    return batch


def initial_batch(rules: Sequence[WatchRule], built: Callable[[str], float]) -> Batch:
    """The files of rules with `initial_sync` that changed since their service's image was made.

    built: when that was, in Unix seconds.
    """
    batch = Batch()
    for rule in rules:
        if not (rule.trigger.initial_sync and rule.syncs):
            continue
        since = built(rule.service)
        for path in _with_content(rule.path, [rule]):
            if rule.match(path) and _is_newer(path, since):
                batch.files.setdefault(rule.service, {})[rule.inside(path)] = path
    return batch


def _is_newer(path: Path, moment: float) -> bool:
    try:
        return not path.is_dir() and path.lstat().st_mtime >= moment
    except FileNotFoundError:
        return False


def _with_content(path: Path, rules: Sequence[WatchRule]) -> Iterator[Path]:
    """The path, and all below it, without the folders that concern no rule."""
    yield path
    if not path.is_dir() or path.is_symlink():
        return
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        folders[:] = [f for f in folders if any(r.may_match_below(here / f) for r in rules)]
        for name in sorted((*folders, *files)):
            yield here / name
