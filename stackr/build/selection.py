"""The sources of a COPY or ADD -> the files that it reads, and where each goes; pure.

Source: moby/buildkit, frontend/dockerfile/dockerfile2llb and tonistiigi/fsutil copy.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from stackr.build.errors import DockerfileError, nearest
from stackr.build.ignore import Ignore
from stackr.build.steps import Copy
from stackr.build.tree import Tree, parents_of
from stackr.build.wildcard import compile_pattern, is_pattern

__all__ = ["Source", "digest_of", "select"]


@dataclass(frozen=True, slots=True)
class Source:
    """One source. path: in the tree, symlinks followed. name: what it is called at the target.

    A folder's content goes into the target, a file is put below it or becomes it. below: of a
    folder, the paths relative to it, each after its own folder. parents: folders above that
    `--parents` makes too, by their path in the tree and below the target.
    """

    path: str
    name: str
    is_folder: bool
    below: tuple[str, ...] = ()
    parents: tuple[tuple[str, str], ...] = ()


def select(step: Copy, tree: Tree) -> list[Source]:
    """Raises DockerfileError, with the instruction's line, where nothing fits."""
    excludes = Ignore(list(step.excludes))
    found: list[Source] = []
    for text in step.sources:
        found += _matching(step, tree, text, excludes)
    if not found and not step.heredocs:
        raise DockerfileError("COPY failed: no source files were specified", step.instruction.line)
    if len(found) + len(step.heredocs) > 1 and not step.target.endswith("/"):
        raise DockerfileError(
            f"When using {step.instruction.name} with more than one source file, the destination"
            " must be a directory and end with a /",
            step.instruction.line,
        )
    return found


def _matching(step: Copy, tree: Tree, text: str, excludes: Ignore) -> list[Source]:
    line = step.instruction.line
    pivot, _, _ = text.rpartition("/./") if step.parents and "/./" in text else ("", "", "")
    clean = posixpath.normpath(text.lstrip("/") or ".")
    if clean == ".." or clean.startswith("../"):
        if not step.source_image:
            raise DockerfileError(f"forbidden path outside the build context: {text}", line)
        clean = posixpath.normpath(f"/{text}").lstrip("/") or "."
    clean = "" if clean == "." else clean
    if not is_pattern(clean):
        path = tree.resolve(clean)
        if path is None:
            raise DockerfileError(
                f"{step.instruction.name} failed: file not found in build context or excluded by"
                f" .dockerignore: stat {text}: file does not exist{nearest(clean, tree.files)}",
                line,
            )
        named = [(clean, path)]
    else:
        pattern = compile_pattern(clean)
        candidates = sorted(path for path in tree.files if pattern.fullmatch(path))
        resolved = ((path, tree.resolve(path)) for path in candidates)
        named = [(path, real) for path, real in resolved if real is not None]
    prefix = posixpath.normpath(pivot.lstrip("/")) + "/" if pivot else ""
    sources = (_source(step, tree, name, path, excludes, prefix) for name, path in named)
    return [each for each in sources if each is not None]


def _source(
    step: Copy, tree: Tree, name: str, path: str, excludes: Ignore, pivot: str
) -> Source | None:
    parents: tuple[tuple[str, str], ...] = ()
    called = posixpath.basename(name)
    if step.parents:
        called = name.removeprefix(pivot)
        above = [each for each in reversed(list(parents_of(name))) if each.startswith(pivot)]
        above += [name] if tree.is_folder(path) and name else []
        parents = tuple((tree.resolve(each) or each, each.removeprefix(pivot)) for each in above)
    if not tree.is_folder(path):
        if excludes and excludes.matches(posixpath.basename(name)):
            return None
        return Source(path, called, False, (), parents)
    below = (each[len(path) + 1 :] if path else each for each in tree.below(path))
    kept = tuple(each for each in below if not (excludes and excludes.matches(each)))
    return Source(path, called if step.parents else "", True, kept, parents)


def digest_of(sources: Iterable[Source], tree: Tree) -> str:
    """SHA-256 of names, kinds, permissions and content; times and owners do not count."""
    sha256 = hashlib.sha256()
    for source in sources:
        lines = [(source.name, source.path)]
        lines += [(f"{source.name}/{each}", f"{source.path}/{each}") for each in source.below]
        lines += [(f"{name}/", path) for path, name in source.parents]
        for name, path in lines:
            path = path.lstrip("/") if not source.path else path
            file = tree.files.get(path)
            facts = f"{file.mode:o}\0{file.digest}" if file else "40755\0"
            sha256.update(f"{name}\0{facts}\n".encode("utf-8", "surrogateescape"))
        sha256.update(b"\n")
    return sha256.hexdigest()
