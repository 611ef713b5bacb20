"""Image references: "nginx:1.27" -> domain, path, tag, digest; and back, short and in full.

The only parser of image names. The grammar and the texts of its errors are those of Docker
(github.com/distribution/reference): a name with no domain means `docker.io`, and a single word
there `docker.io/library`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from stackr.errors import InvalidArgument
from stackr.registry.digest import is_digest

__all__ = ["Reference", "parse_reference"]

DEFAULT_DOMAIN: Final = "docker.io"
_LEGACY_DEFAULT_DOMAIN: Final = "index.docker.io"
_OFFICIAL: Final = "library/"
_NAME_LIMIT: Final = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN_RE = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_RE = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG_RE = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_DIGEST_RE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_IDENTIFIER_RE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository, with a tag, a digest, both or neither."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """The repository in full: `docker.io/library/nginx`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: `nginx`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        # "library/a/b" keeps its prefix, as "a/b" would mean another repository
        return self.path if "/" in short and short != self.path else short

    @property
    def familiar(self) -> str:
        """The reference as people write it: `nginx:1.27`."""
        return self.familiar_name + self._suffix

    def __str__(self) -> str:
        return self.name + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")

    def with_default_tag(self) -> Reference:
        """The same, tagged `latest` where it has neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag="latest")

    def with_digest(self, digest: str) -> Reference:
        """The repository at this digest, with no tag."""
        return replace(self, tag=None, digest=digest)


def parse_reference(text: str) -> Reference:
    """The reference that Docker reads in `text`; no tag is added.

    Raises InvalidArgument with Docker's text.
    """
    if _IDENTIFIER_RE.fullmatch(text):
        raise InvalidArgument(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    remainder, at, digest = text.partition("@")
    slash = remainder.rfind("/")
    colon = remainder.find(":", slash + 1)
    name, tag = (remainder, "") if colon < 0 else (remainder[:colon], remainder[colon + 1 :])
    domain, path = _split_domain(name)
    if path != path.lower() and path.isprintable():
        raise InvalidArgument(
            f"invalid reference format: repository name ({path}) must be lowercase"
        )
    well_formed = (
        _DOMAIN_RE.fullmatch(domain)
        and _PATH_RE.fullmatch(path)
        and (colon < 0 or _TAG_RE.fullmatch(tag))
        and (not at or _DIGEST_RE.fullmatch(digest))
    )
    if not well_formed:
        raise InvalidArgument("invalid reference format")
    if len(domain) + 1 + len(path) > _NAME_LIMIT:
        raise InvalidArgument("repository name must not be more than 255 characters")
    if at and not is_digest(digest):
        raise InvalidArgument("unsupported digest algorithm, or invalid checksum digest length")
    return Reference(domain, path, tag or None, digest or None)


def _split_domain(name: str) -> tuple[str, str]:
    """The first component is a domain where it has a dot, a port, an upper-case letter, or is
    `localhost`; the path of an official image gains `library/`.
    """
    first, slash, rest = name.partition("/")
    is_domain = slash and (
        "." in first or ":" in first or first == "localhost" or first != first.lower()
    )
    domain, path = (first, rest) if is_domain else (DEFAULT_DOMAIN, name)
    if domain == _LEGACY_DEFAULT_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path
