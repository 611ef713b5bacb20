"""`stackr login` and `logout`: the credentials for a registry.

A password comes from stdin or a terminal, is checked by the engine, and is kept where the docker
CLI keeps it; it is never shown.
Source: docker/cli, cli/command/registry/login.go, logout.go.
"""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.interrupts import run_interruptible
from stackr.cli.objects.engine import Call, Json, on_engine
from stackr.cli.options import options_of
from stackr.cli.session import open_session
from stackr.errors import InvalidArgument, StackrError, Unauthorized
from stackr.options import Option, check_conflicts
from stackr.registry.credential_store import erase_credentials, store_credentials
from stackr.registry.credentials import DOCKER_HUB, known_credentials, read_config

__all__ = ["login", "logout"]

_UNENCRYPTED = (
    "",
    "WARNING! Your credentials are stored unencrypted in '{}'.",
    "Configure a credential helper to remove this warning. See",
    "https://docs.docker.com/go/credential-store/",
    "",
)


@dataclass(frozen=True, slots=True)
class LoginArguments:
    """`stackr login`. server: "" for Docker Hub."""

    server: Annotated[str, Argument("[SERVER]")] = ""
    password: Annotated[
        str, Option("--password", "-p", metavar="TEXT", help="Others of the host can see it")
    ] = ""
    password_stdin: Annotated[
        bool, Option("--password-stdin", help="Read the password from stdin")
    ] = False
    username: Annotated[str, Option("--username", "-u", metavar="NAME", help="The user's name")] = (
        ""
    )

    def __post_init__(self) -> None:
        check_conflicts(self, ("--password", "--password-stdin"))
        if self.password_stdin and not self.username:
            raise InvalidArgument("the --password-stdin option requires --username to be set")


@dataclass(frozen=True, slots=True)
class LogoutArguments:
    """`stackr logout`."""

    server: Annotated[str, Argument("[SERVER]")] = ""


@takes(LoginArguments)
def login(ctx: typer.Context, arguments: LoginArguments) -> None:
    """Check a user's password with a registry, and keep it for pulls and pushes."""
    registry = _registry(arguments.server)
    is_shown = bool(arguments.password)
    if arguments.password_stdin:
        arguments = replace(arguments, password=_from_stdin(), password_stdin=False)

    async def work(call: Call) -> None:
        if is_shown:
            call.error_line(
                "WARNING! Using --password via the CLI is insecure. Use --password-stdin."
            )
        if not (arguments.username or arguments.password):
            status = await _with_known(call, registry)
            if status:
                call.line(status)
                return
        username, password = _asked(arguments)
        call.line(await _checked(call, registry, username, password))

    on_engine(ctx, work)


def _registry(server: str) -> str:
    """The key of config.json: a registry's host, or Docker Hub's URL."""
    if server in ("", "docker.io", "index.docker.io", DOCKER_HUB):
        return DOCKER_HUB
    return server.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _from_stdin() -> str:
    """Without the end of its line. Raises InvalidArgument for none."""
    text = sys.stdin.read()
    for end in ("\r\n", "\n", "\r"):
        if text.endswith(end):
            text = text.removesuffix(end)
            break
    if not text.strip():
        raise InvalidArgument("password is empty")
    return text


async def _with_known(call: Call, registry: str) -> str:
    """The registry's answer to the credentials that are there already; "" where it takes none."""
    config, path = read_config(os.environ)
    known = await known_credentials(config, registry, path) or {}
    if not known.get("username") or not known.get("password"):
        return ""
    call.error_line(f"Authenticating with existing credentials... [Username: {known['username']}]")
    try:
        return await _checked(call, registry, known["username"], known["password"])
    except Unauthorized:
        call.error_line("Stored credentials invalid or expired")
    except StackrError as error:
        call.error_line(f"Login did not succeed, error: {error.message}")
    return ""


def _asked(arguments: LoginArguments) -> tuple[str, str]:
    """What was not given is asked for, at a terminal."""
    username, password = arguments.username, arguments.password
    if (not username or not password) and not sys.stdin.isatty():
        raise InvalidArgument("cannot perform an interactive login from a non TTY device")
    if not username:
        sys.stdout.write("Username: ")
        sys.stdout.flush()
        username = sys.stdin.readline().strip()
        if not username:
            raise InvalidArgument("username is empty")
    if not password:
        password = getpass.getpass("Password: ", sys.stdout)
        if not password:
            raise InvalidArgument("password is empty")
    return username, password


async def _checked(call: Call, registry: str, username: str, password: str) -> str:
    """Keep what the registry takes; its words."""
    body: Json = {"username": username, "password": password, "serveraddress": registry}
    answer = await call.post("/auth", body) or {}
    token = answer.get("IdentityToken") or ""
    path = await store_credentials(
        os.environ, registry, username=username, password=password, token=token
    )
    if path is not None:
        for line in _UNENCRYPTED:
            call.error_line(line.format(path))
    return str(answer.get("Status") or "Login Succeeded")


@takes(LogoutArguments)
def logout(ctx: typer.Context, arguments: LogoutArguments) -> None:
    """Forget the credentials for a registry."""
    registry = _registry(arguments.server)
    others = () if registry == DOCKER_HUB else (f"http://{registry}", f"https://{registry}")

    async def forget() -> None:
        for each in dict.fromkeys((registry, arguments.server or registry, *others)):
            await erase_credentials(os.environ, each)

    with open_session(options_of(ctx)) as session:
        session.out.line(f"Removing login credentials for {registry}")
        run_interruptible(forget())
