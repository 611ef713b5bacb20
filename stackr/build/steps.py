"""What an instruction comes to once its variables are known: the steps of a stage, as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stackr.build.address import is_added_address
from stackr.build.dockerfile import Heredoc, Instruction
from stackr.build.mounts import RunMount

__all__ = ["Change", "Config", "Copy", "Folder", "Run", "Step"]


@dataclass(frozen=True, slots=True)
class Change:
    """An instruction that changes the image's configuration alone, which `config` is afterwards."""

    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Folder:
    """WORKDIR: a folder that is made where it is missing. user: whose it becomes."""

    instruction: Instruction
    path: str
    user: str


@dataclass(frozen=True, slots=True)
class Run:
    """RUN. env: `name=value`, what the image has and the build arguments in scope.

    proxies: predefined arguments, which the cache does not go by. scripts: heredocs that the
    program reads, below `/dev/pipes`. network: default, none or host.
    """

    instruction: Instruction
    argv: tuple[str, ...]
    env: tuple[str, ...]
    proxies: tuple[str, ...]
    working_dir: str
    user: str
    network: str
    mounts: tuple[RunMount, ...]
    scripts: tuple[Heredoc, ...] = ()
    is_shell: bool = True


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY or ADD. sources: patterns, or addresses of ADD; heredocs: files, by name.

    source_image: of `--from`, "" for the build's context. target: absolute, with a slash at its end
    where it must be a folder. mode: of `--chmod`, as it is written. checksum: of ADD, "" for none.
    """

    instruction: Instruction
    sources: tuple[str, ...]
    target: str
    source_image: str = ""
    heredocs: tuple[Heredoc, ...] = ()
    owner: str = ""
    mode: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()
    is_add: bool = False
    checksum: str = ""
    keep_git_dir: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The sources that are fetched."""
        return tuple(each for each in self.sources if self.is_add and is_added_address(each))

    @property
    def local(self) -> Copy:
        """With the sources that are not."""
        kept = tuple(each for each in self.sources if each not in self.addresses)
        return replace(self, sources=kept)


Step = Change | Folder | Run | Copy


Config = dict[str, Any]
"""The `config` object of an OCI image configuration, with its spelling."""
