"""`.dockerignore`, by Docker's rules: the last pattern that fits decides, `!` takes back in."""

from __future__ import annotations

from e2b_dockerfile_utils import PatternMatcher

from stackr.build.errors import DockerfileError

__all__ = ["Ignore", "ignore_files", "parse_ignore"]

_MOST_BYTES = 1 << 20


def ignore_files(dockerfile: str) -> tuple[str, str]:
    """Where it is looked for, the first one that is there: beside the Dockerfile, in the root."""
    return f"{dockerfile}.dockerignore", ".dockerignore"


class Ignore:
    """What of a context is left out. Without patterns, nothing is.

    has_exceptions: whether something is taken back in.
    """

    def __init__(self, patterns: list[str]) -> None:
        try:
            self._matcher = PatternMatcher(patterns)
        except ValueError as error:
            raise DockerfileError(f".dockerignore: {error}") from None
        self.has_exceptions = any(each.startswith("!") for each in self._matcher.patterns)

    def __bool__(self) -> bool:
        return bool(self._matcher.patterns)

    def matches(self, path: str) -> bool:
        return self._matcher.matches(path)

    def skips_below(self, folder: str) -> bool:
        """Whether nothing below an ignored folder can be taken back in."""
        return not (self.has_exceptions and self._matcher.may_match_under(folder))


def parse_ignore(data: bytes) -> Ignore:
    """Raises DockerfileError for a malformed pattern."""
    if len(data) > _MOST_BYTES:
        raise DockerfileError(".dockerignore: is larger than 1 MiB")
    text = data.decode("utf-8-sig", "replace")
    return Ignore([line for line in text.splitlines() if not line.startswith("#")])
