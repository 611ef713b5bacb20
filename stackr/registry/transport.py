"""HTTP to one registry: TLS or not, credentials, tokens, redirects, and its errors as ours.

Credentials go to the registry's own origin and to the token server that it names, never along a
redirect to another one. Source: distribution-spec; Docker's "Token Authentication Specification".
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

import aiohttp
from yarl import URL

from stackr.errors import (
    InvalidArgument,
    NotSupported,
    PermissionDenied,
    StackrError,
    Unauthorized,
    Unavailable,
)
from stackr.registry.answers import error_body, error_in, parse_token, read_limited
from stackr.registry.auth import Challenge, RegistryAuth, parse_challenges
from stackr.registry.retry import (
    TRANSIENT,
    TryAgain,
    pause_s,
    retry_after_s,
)
from stackr.registry.trust import trusted
from stackr.text import visible
from stackr.version import __version__

__all__ = ["Body", "Transport", "is_plain_http"]

_HUB_HOST: Final = "registry-1.docker.io"
_MOST_REDIRECTS: Final = 5
_TOKEN_LIMIT: Final = 1 << 20
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_BODY_REDIRECTS: Final = frozenset((307, 308))
_BUFFER: Final = 256 << 10
_UNSENT: Final = 256 << 10
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE")
_CONNECT_S = 15.0
SILENCE_S = 60.0  # without a byte


Body = bytes | Callable[[], AsyncIterator[bytes]]
"""What a request carries: at once, or from a function that begins it anew for each try."""


def is_plain_http(domain: str, insecure: Sequence[str]) -> bool:
    """Whether a registry is spoken to without TLS: on loopback, or listed as insecure.

    insecure: `host`, `host:port`, or a network as `10.0.0.0/8`.
    """
    try:
        host = URL(f"http://{domain}").host or domain
    except ValueError:  # who connects to it says so
        host = domain
    if host == "localhost" or domain in insecure or host in insecure:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(
        "/" in network and address in ipaddress.ip_network(network, strict=False)
        for network in insecure
    )


@dataclass(frozen=True, slots=True)
class _Refused:
    """Which refusals a caller wants as answers, and whether it waits for the end of others."""

    accept: frozenset[int]
    patient: bool


class Transport:
    """Requests to one registry on behalf of one caller; an asynchronous context manager.

    Raises InvalidArgument for a domain that is no host's name.
    """

    def __init__(
        self,
        domain: str,
        auth: RegistryAuth | None,
        *,
        plain_http: bool,
    ) -> None:
        host = _HUB_HOST if domain == "docker.io" else domain
        self.domain = domain
        self.base = _base(host, plain_http=plain_http)
        self.auth = auth
        self._authorizations: dict[str, tuple[str, float]] = {}
        self._challenges: dict[str, Sequence[Challenge]] = {}
        self._insecure = plain_http
        self._is_plain = False
        """Whether it is known that the registry speaks no TLS."""
        self._lock = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._users = 0

    async def __aenter__(self) -> Transport:
        """May be entered again: a download that others wait for outlives the pull that began it."""
        self._users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users and self._session is not None:
            await self._session.close()
            self._session = None

    def _trust(self) -> ssl.SSLContext | bool:
        """How to know the registry; not at all where it may do without TLS."""
        try:
            return trusted(self.domain, verify=not self._insecure)
        except (OSError, ssl.SSLError) as error:
            raise InvalidArgument(
                f'registry "{self.domain}": its certificates cannot be read: {error}'
            ) from error

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT_S, sock_read=SILENCE_S
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"stackr/{__version__}"},
                auto_decompress=False,
                read_bufsize=_BUFFER,
                connector=aiohttp.TCPConnector(ssl=self._trust(), socket_factory=_socket),
            )
        return self._session

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str | URL,
        *,
        scope: str,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        patient: bool = False,
        accept: frozenset[int] = frozenset((404,)),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request, authorized for `scope` (several ones, with spaces between them),
        redirects followed. Statuses below 400, and those to `accept`, are the caller's business.
        patient: ask again while the registry, or its token server, says that it cannot answer now.

        Raises Unauthorized, PermissionDenied, Unavailable (worth another try), InvalidArgument.
        """
        url = path if isinstance(path, URL) else self.base.join(URL(path, encoded=True))
        with self._translated():
            refused = _Refused(accept, patient)
            response = await self._answer(method, url, scope, dict(headers or {}), body, refused)
            try:
                yield response
            finally:
                response.release() if response.content.at_eof() else response.close()

    async def _answer(
        self,
        method: str,
        url: URL,
        scope: str,
        headers: dict[str, str],
        body: Body | None,
        refused: _Refused,
    ) -> aiohttp.ClientResponse:
        """The first answer that is no refusal. Raises the last refusal."""
        for failures in count(1):
            try:
                try:
                    response = await self._authorized(method, url, scope, headers, body)
                except (aiohttp.ClientResponseError, aiohttp.ServerDisconnectedError):
                    if not await self._turns_to_tls(url):
                        raise
                    url = url.with_scheme("https")
                    continue
                if response.status < 400 or response.status in refused.accept:
                    self._is_plain = self.base.scheme == "http"
                    return response
                said = await error_body(response)
                response.close()
                if response.status == 400 and await self._turns_to_tls(url):
                    url = url.with_scheme("https")
                    continue
                raise self._refusal(response, said)
            except TryAgain as error:
                if not refused.patient:
                    raise
                await asyncio.sleep(pause_s(error, failures))
        raise AssertionError("count() ends")

    async def _turns_to_tls(self, url: URL) -> bool:
        """Whether a registry that may do without TLS speaks nothing else, told by a first failure.

        What servers answer to a request without is their own affair: some close the connection.
        """
        if url.scheme == "https":
            return False
        async with self._lock:
            if self.base.scheme == "http" and not self._is_plain:
                self._is_plain = not await self._speaks_tls()
                self.base = self.base.with_scheme("http" if self._is_plain else "https")
        return not self._is_plain

    async def _speaks_tls(self) -> bool:
        try:
            async with self.session.get(self.base.with_scheme("https").join(URL("/v2/"))):
                return True
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _authorized(
        self,
        method: str,
        url: URL,
        scope: str,
        headers: dict[str, str],
        body: Body | None,
    ) -> aiohttp.ClientResponse:
        used = await self._renewed_authorization(scope)
        response = await self._following(method, url, headers, used, body)
        if response.status != 401 or not self._is_own(response.url):
            return response
        challenges = parse_challenges(", ".join(response.headers.getall("WWW-Authenticate", [])))
        response.close()
        async with self._lock:
            # Another request may have been through this while we waited
            if self._known_authorization(scope) == used:
                await self._authorize(challenges, scope, refused=used)
        return await self._following(method, url, headers, self._known_authorization(scope), body)

    async def _following(
        self,
        method: str,
        url: URL,
        headers: dict[str, str],
        authorization: str | None,
        body: Body | None,
    ) -> aiohttp.ClientResponse:
        for _ in range(_MOST_REDIRECTS + 1):
            sent = dict(headers)
            if authorization and self._is_own(url):
                sent["Authorization"] = authorization
            data = body() if callable(body) else body
            response = await self.session.request(
                method, url, headers=sent, data=data, allow_redirects=False, proxy=_proxy(url)
            )
            if response.status not in (_REDIRECTS if body is None else _BODY_REDIRECTS):
                return response
            location = response.headers.get("Location", "")
            response.close()
            url = self.joined(url, location, verb="redirects")
        raise Unavailable(f'registry "{self.domain}": more than {_MOST_REDIRECTS} redirects')

    def joined(self, url: URL, location: str, *, verb: str = "leads") -> URL:
        """Where the registry leads by a `Location`. Raises InvalidArgument."""
        try:
            target = url.join(URL(location, encoded=True)).with_user(None)
        except ValueError:
            target = URL()
        if target.scheme not in ("http", "https") or not _can_be_asked(target):
            shown = visible(location[:200])
            raise InvalidArgument(f'registry "{self.domain}": {verb} to "{shown}"')
        if url.scheme == "https" and target.scheme == "http":
            raise InvalidArgument(f'registry "{self.domain}": {verb} from https to http')
        return target

    def _is_own(self, url: URL) -> bool:
        return url.origin() == self.base.origin()

    def _known_authorization(self, scope: str) -> str | None:
        value, expires = self._authorizations.get(scope, (None, 0.0))
        return value if time.monotonic() < expires else None

    async def _renewed_authorization(self, scope: str) -> str | None:
        """What is known for a scope; asked for anew, as before, where it has run out meanwhile."""
        known = self._known_authorization(scope)
        challenges = self._challenges.get(scope)
        if known is None and challenges:
            async with self._lock:
                if self._known_authorization(scope) is None:
                    await self._authorize(challenges, scope, refused=None)
            known = self._known_authorization(scope)
        return known

    async def _authorize(
        self, challenges: Sequence[Challenge], scope: str, *, refused: str | None
    ) -> None:
        """Answer the first challenge that we understand. Raises Unauthorized."""
        self._challenges[scope] = challenges
        for challenge in challenges:
            if challenge.scheme == "bearer":
                token, life_s = await self._token(challenge, scope)
                self._authorizations[scope] = (f"Bearer {token}", time.monotonic() + life_s)
                return
            if challenge.scheme == "basic":
                value = self.auth.basic if self.auth else None
                if value is None:
                    raise Unauthorized("no basic auth credentials")
                if value == refused:
                    raise self._unauthorized()
                self._authorizations[scope] = (value, float("inf"))
                return
        raise self._unauthorized()

    async def _token(self, challenge: Challenge, scope: str) -> tuple[str, float]:
        """A bearer token for `scope`, and the seconds that it may be used."""
        auth = self.auth or RegistryAuth()
        if auth.registry_token:
            if not auth.registry_token.isprintable():
                raise Unauthorized("unauthorized: malformed registry token")
            return auth.registry_token, float("inf")
        realm = self._realm(challenge)
        fields = {"service": challenge.parameters.get("service", ""), "client_id": "stackr"}
        scopes = _joined_scopes(scope, challenge.parameters.get("scope", ""))
        if auth.identity_token:
            fields |= {"grant_type": "refresh_token", "refresh_token": auth.identity_token}
            fields["scope"] = " ".join(scopes)
            request = self.session.post(
                realm, data=fields, allow_redirects=False, proxy=_proxy(realm)
            )
        else:
            headers = {"Authorization": auth.basic} if auth.basic else {}
            asked = [(key, value) for key, value in fields.items() if value]
            url = realm.extend_query([*asked, *(("scope", each) for each in scopes)])
            request = self.session.get(
                url, headers=headers, allow_redirects=False, proxy=_proxy(realm)
            )
        async with request as response:
            if response.status != 200:
                raise await self._token_refusal(response)
            return parse_token(await read_limited(response, _TOKEN_LIMIT, "token"), self.domain)

    def _realm(self, challenge: Challenge) -> URL:
        try:
            realm = URL(challenge.parameters.get("realm", "")).with_user(None)
        except ValueError:
            realm = URL()
        if realm.scheme not in ("http", "https") or not _can_be_asked(realm):
            raise Unauthorized(f'registry "{self.domain}": names no token server')
        if realm.scheme == "http" and self.base.scheme == "https":
            raise Unauthorized(f'registry "{self.domain}": names a token server without TLS')
        return realm

    async def _token_refusal(self, response: aiohttp.ClientResponse) -> StackrError:
        if response.status in (401, 403):
            return self._unauthorized()
        message = (
            f'registry "{self.domain}": the token server "{response.url.host}" answers'
            f" {response.status}"
        )
        return _unavailable(message, response)

    def _unauthorized(self) -> Unauthorized:
        if self.auth is not None and (self.auth.username or self.auth.identity_token):
            return Unauthorized("unauthorized: incorrect username or password")
        return Unauthorized("unauthorized: authentication required")

    async def unexpected(self, response: aiohttp.ClientResponse) -> StackrError:
        """What an answer is that is none to the request, though no refusal either."""
        return self._refusal(response, await error_body(response))

    def _refusal(self, response: aiohttp.ClientResponse, said: bytes) -> StackrError:
        code, text = error_in(said)
        if response.status == 401:
            return self._unauthorized()
        if response.status == 403 or code == "DENIED":
            return PermissionDenied(text or "denied: requested access to the resource is denied")
        what = f'registry "{self.domain}": answers {response.status}'
        message = f"{what}: {text}" if text else what
        if response.status in TRANSIENT:
            return _unavailable(message, response)
        return (NotSupported if code == "UNSUPPORTED" else InvalidArgument)(message)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """HTTP's and the system's errors as ours."""
        try:
            yield
        except TimeoutError as error:
            raise Unavailable(f'registry "{self.domain}": did not answer in time') from error
        except aiohttp.ClientPayloadError as error:
            raise Unavailable(f'registry "{self.domain}": the connection broke off') from error
        except aiohttp.InvalidURL as error:
            raise InvalidArgument(f'registry "{self.domain}": invalid address') from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise Unavailable(
                f'registry "{self.domain}": its certificate is not trusted:'
                f" {error.certificate_error}"
            ) from error
        except aiohttp.ClientError as error:
            raise Unavailable(
                f'registry "{self.domain}": cannot be reached: {_reason(error)}'
            ) from error


def _base(host: str, *, plain_http: bool) -> URL:
    try:
        base = URL(f"{'http' if plain_http else 'https'}://{host}")
    except ValueError as error:  # a port beyond 65535
        raise InvalidArgument(f'registry "{host}": invalid address: {error}') from error
    if not _can_be_asked(base):
        raise InvalidArgument(f'registry "{host}": invalid address: no name of a host')
    return base


def _can_be_asked(url: URL) -> bool:
    """Whether there is a host in it, of a name that resolvers take: Python's raises UnicodeError
    for others (labels of more than 63 bytes, empty ones, bad Punycode).
    """
    try:
        return bool(url.host and url.raw_host and url.raw_host.encode("idna"))
    except UnicodeError:
        return False


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """That holds little of what is not under way yet: what has left us has left this host."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return made


def _unavailable(message: str, response: aiohttp.ClientResponse) -> Unavailable:
    if response.status not in TRANSIENT:
        return Unavailable(message)
    return TryAgain(message, after_s=retry_after_s(response.headers.get("Retry-After")))


def _reason(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientSSLError):  # whose numbers are not the system's
        text = str(error.os_error.strerror)
        is_plain = any(said in text for said in _NO_TLS)
        return "server gave HTTP response to HTTPS client" if is_plain else f"TLS: {text}"
    if isinstance(error, aiohttp.ClientOSError) and error.errno is not None:
        # Positive ones are the system's; the resolver's have a text of their own
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return visible(" ".join(str(error).split()))[:300] or type(error).__name__


def _joined_scopes(wanted: str, told: str) -> list[str]:
    """What to ask a token for. A registry tells what one request needs; for the rest of the scope
    we would have to ask again.
    """
    if not any("push" in each.rpartition(":")[2] for each in wanted.split()):
        return (told or wanted).split()
    known = {each.rpartition(":")[0] for each in wanted.split()}
    return [*wanted.split(), *(s for s in told.split() if s.rpartition(":")[0] not in known)]


def _proxy(url: URL) -> str | None:
    """As the environment says (`HTTPS_PROXY`, `NO_PROXY`); never for loopback."""
    host = url.host or ""
    if is_plain_http(host if ":" not in host else f"[{host}]", ()):
        return None
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(url.scheme)
    if not proxy or urllib.request.proxy_bypass_environment(host, proxies):  # type: ignore[attr-defined]
        return None
    return proxy
