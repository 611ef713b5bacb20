"""What an image is built from, and what is told while it is; values of the runtime seam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stackr.build.cache_entry import CacheSource, CacheTarget
from stackr.errors import StackrError

__all__ = ["BuildFailed", "BuildProgress", "ImageBuild", "Secret", "StateBefore", "is_remote"]

_SCHEMES = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")


def is_remote(context: str) -> bool:
    """Whether a context is fetched: a git repository or an archive, not a folder of this host.

    Source: docker/compose, `urlutil.IsGitURL`.
    """
    return context.startswith(_SCHEMES)


@dataclass(frozen=True, slots=True)
class Secret:
    """Where its content comes from: a file of this host, or the text itself."""

    file: str = ""
    content: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ImageBuild:
    """One image. tags: its names, the first one is what it is known by.

    context: an absolute folder of this host, or an address. dockerfile: in the context, or
    absolute. dockerfile_text: in its place. contexts: further ones by name, each a folder or
    `docker-image://NAME`. network: of RUN steps. ulimits: soft and hard limit by name. ssh: paths
    of agents' sockets by ID. memory_bytes, shm_size_bytes: 0 for the engine's own.
    no_cache_filter: stages of which every step is executed. cache_from, cache_to: where steps come
    from, and are left, beside the engine's own cache. keeps_failure: whether the state before a
    step that fails is left as an image.
    """

    tags: tuple[str, ...]
    context: str
    dockerfile: str = "Dockerfile"
    dockerfile_text: str | None = None
    contexts: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    pull: bool = False
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    shm_size_bytes: int = 0
    memory_bytes: int = 0
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    ssh: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[CacheSource, ...] = ()
    cache_to: tuple[CacheTarget, ...] = ()
    keeps_failure: bool = False


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """kind: sending (a context), sent, step (it begins), output (text is a piece of it), cached,
    done (of a step), pull, notice, or built (text is the image's ID).

    stage: its name or number, "" where the builder does not tell. number counts steps from 1.
    size_bytes: of what has been sent of a context, and of the layer that a step has made.
    """

    kind: str
    stage: str = ""
    number: int = 0
    total: int = 0
    text: str = ""
    line: int = 0
    seconds: float = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StateBefore:
    """What a step that failed had begun with: an image without a name, to be removed by whoever
    asked for it, the step's variables by name, and its shell.
    """

    image: str
    environment: Mapping[str, str] = field(repr=False)
    shell: tuple[str, ...]


class BuildFailed(StackrError):
    """A build that ended in a step. code: how the step's command exited, None for no command.

    line, end_line: of the Dockerfile, 0 where they are not known. log: the last of its output;
    excerpt: the Dockerfile around it, the line that failed marked. before: where it was to be kept.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int = 0,
        end_line: int = 0,
        code: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.end_line = end_line or line
        self.code = code
        self.excerpt: tuple[str, ...] = ()
        self.log: tuple[str, ...] = ()
        self.before: StateBefore | None = None
