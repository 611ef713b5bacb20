"""`stackr run`: a one-off container of a service, on the caller's terminal where there is one."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from stackr.cli.arguments import without_dashes
from stackr.cli.commands.attach import joined
from stackr.cli.declared import Argument, Group, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.cli.streams import DEFAULT_KEYS, forwarded_signals, join
from stackr.cli.terminal import console_size, has_waiting_input
from stackr.errors import InvalidArgument, NotSupported
from stackr.options import Option, check_conflicts
from stackr.planner.commands.oneoff import OneOff, needs_options
from stackr.planner.plan.options import UpOptions
from stackr.runtime.protocol import Runtime, Streams, SupportsAttach
from stackr.runtime.types import ContainerState
from stackr.runtime.workloads import Workloads
from stackr.spec import dotenv
from stackr.spec.files import HOST
from stackr.spec.model.mounts import BindOptions, ServiceVolume, VolumeOptions
from stackr.spec.model.project import Project
from stackr.spec.model.service import Port
from stackr.spec.shellwords import split
from stackr.spec.short import parse_port, parse_volume
from stackr.stack.oneoff import Converse, Kill, OneOffEnd, run_one_off
from stackr.stack.planning import desire
from stackr.stack.source import current_folder
from stackr.stack.workloads.oneoff import ClusterJob
from stackr.stack.workloads.refusals import refuse_given

__all__ = ["CONTEXT_SETTINGS", "run"]

CONTEXT_SETTINGS = {"allow_interspersed_args": False}


@dataclass(frozen=True, slots=True)
class RunArguments:
    """`stackr run`, with its texts as they were given. command, entrypoint: None for its own."""

    service: Annotated[str, Argument("SERVICE")]
    command: Annotated[tuple[str, ...] | None, Argument("[COMMAND [ARG]...]")] = None
    detach: Annotated[bool, Option("--detach", "-d", help="Leave it running, and print its ID")] = (
        False
    )
    auto_remove: Annotated[bool, Option("--rm", help="Remove it when it ends")] = False
    name: Annotated[str, Option("--name", metavar="NAME", help="The container's name")] = ""
    entrypoint: Annotated[
        str | None,
        Option("--entrypoint", metavar="COMMAND", help="In place of the image's own"),
    ] = None
    environment: Annotated[
        tuple[str, ...], Option("--env", "-e", metavar="KEY=VALUE", help="Set a variable")
    ] = ()
    env_files: Annotated[
        tuple[str, ...],
        Option("--env-from-file", metavar="PATH", help="Set the variables of a file"),
    ] = ()
    labels: Annotated[
        tuple[str, ...],
        Option("--label", "--labels", "-l", metavar="KEY=VALUE", help="Set a label"),
    ] = ()
    volumes: Annotated[
        tuple[str, ...],
        Option("--volume", "--volumes", "-v", metavar="SPEC", help="Mount: ./src:/app:ro"),
    ] = ()
    ports: Annotated[
        tuple[str, ...],
        Option("--publish", "-p", metavar="SPEC", help="Publish a port: 8080:80"),
    ] = ()
    service_ports: Annotated[
        bool, Option("--service-ports", "-P", help="Publish the service's own ports")
    ] = False
    use_aliases: Annotated[
        bool, Option("--use-aliases", help="Answer to the service's names in its networks")
    ] = False
    user: Annotated[
        str | None, Option("--user", "-u", metavar="USER", help="Run it as this user")
    ] = None
    working_dir: Annotated[
        str | None, Option("--workdir", "-w", metavar="DIR", help="Run it in this folder")
    ] = None
    cap_add: Annotated[
        tuple[str, ...], Option("--cap-add", metavar="NAME", help="Add a capability")
    ] = ()
    cap_drop: Annotated[
        tuple[str, ...], Option("--cap-drop", metavar="NAME", help="Drop a capability")
    ] = ()
    terminal: Annotated[
        bool | None,
        Option(
            "--tty/--no-tty",
            "-t/-T",
            help="With a terminal (default where there is one) or not",
        ),
    ] = None
    no_terminal: Annotated[bool, Option("--no-TTY", hidden=True)] = False
    interactive: Annotated[
        bool | None,
        Option("--interactive/--no-interactive", "-i", help="Keep its stdin open (default)"),
    ] = None
    options: Annotated[
        UpOptions,
        Group(
            ("no_deps", "pull", "remove_orphans", "build"),
            {"--no-deps": "Do not start what the service depends on"},
        ),
    ] = field(default_factory=UpOptions)
    quiet_pull: Annotated[
        bool, Option("--quiet-pull", help="Pull without showing how far it is")
    ] = False
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="Show nothing but the program's output")
    ] = False
    quiet_build: Annotated[
        bool, Option("--quiet-build", help="Build without showing how far it is")
    ] = False

    def __post_init__(self) -> None:
        check_conflicts(self, ("--service-ports", "--publish"))

    def check_cluster(self) -> None:
        """Raises NotSupported for what a task of a cluster has not."""
        refuse_given(
            {"--name": bool(self.name), "--remove-orphans": self.options.remove_orphans},
            "make the containers",
        )
        if not self.tty:
            refuse_given(
                {
                    "--interactive": bool(self.interactive),
                    "stdin": self.stdin and has_waiting_input(),
                },
                "give a task no input but that of a terminal",
                hint="--no-interactive runs it without",
            )

    @property
    def stdin(self) -> bool:
        return self.interactive is not False

    @property
    def tty(self) -> bool:
        """Raises InvalidArgument where one is asked for, and the caller has none."""
        return _has_terminal(False if self.no_terminal else self.terminal, interactive=self.stdin)


@takes(RunArguments)
def run(ctx: typer.Context, arguments: RunArguments) -> int:
    """Run a command in a new container of a service; its exit code is stackr's."""
    options = options_of(ctx)
    if arguments.quiet:
        options = options.silent()
    if arguments.command:
        arguments = replace(arguments, command=without_dashes(arguments.command))
    with open_session(options) as session:
        told = session.quieter(pulls=arguments.quiet_pull, builds=arguments.quiet_build)
        return _run(told, arguments)


def _has_terminal(asked: bool | None, *, interactive: bool) -> bool:
    """Raises InvalidArgument where a terminal is asked for, and the caller has none to type at."""
    if asked is None:
        return sys.stdin.isatty() and sys.stdout.isatty()
    if asked and interactive and not sys.stdin.isatty():
        raise InvalidArgument("run: --tty: the input device is not a TTY", hint="leave out -t")
    return asked


def _run(session: Session, arguments: RunArguments) -> int:
    project = source_of(session.options).load((arguments.service,))
    wanted = _one_off(project, arguments)
    up_options = arguments.options
    desired = session.prepared(
        lambda: desire(
            project,
            needs_options(wanted.service, up_options),
            engine=session.options.engine,
            all_resources=session.options.all_resources,
        )
    )
    converse = None if arguments.detach else _conversation(session, wanted)
    end = session.on_engine(
        lambda runtime: run_one_off(
            session.context(project), runtime, desired(), wanted, up_options, converse=converse
        ),
        cluster=OnCluster(
            project.name, lambda cluster: _on_cluster(session, cluster, project, wanted, arguments)
        ),
    )
    if arguments.detach and end.container:
        session.out.line(end.container)
    return end.exit_code


async def _on_cluster(
    session: Session, cluster: Workloads, project: Project, wanted: OneOff, arguments: RunArguments
) -> OneOffEnd:
    """As a job, whose output is shown; at a terminal, by the engine of the node that it is on."""
    arguments.check_cluster()

    def write(stream: str, line: bytes) -> None:
        out = sys.stderr.buffer if stream == "stderr" else sys.stdout.buffer
        out.write(line + b"\n")
        out.flush()

    async def join_terminal(runtime: Runtime, container: ContainerState) -> int:
        if not isinstance(runtime, SupportsAttach):
            raise NotSupported("run: the node's engine does not offer it")
        return await joined(session, runtime, container, stdin=wanted.stdin, keys=DEFAULT_KEYS)

    job = ClusterJob(session.context(project), cluster, project, wanted, arguments.options)
    if arguments.detach or session.is_dry_run:
        return await job.begin()
    return await (job.at_terminal(join_terminal) if wanted.tty else job.followed(write))


def _conversation(session: Session, wanted: OneOff) -> Converse:
    """The container's streams joined to the caller's, and the caller's signals passed on."""

    async def converse(streams: Streams, kill: Kill) -> bool:
        with forwarded_signals(kill):
            is_left = await join(
                streams, tty=wanted.tty, stdin=wanted.stdin, detach_keys=DEFAULT_KEYS
            )
        if is_left:
            session.err.line("read escape sequence")
        return is_left

    return converse


def _one_off(project: Project, arguments: RunArguments) -> OneOff:
    entrypoint = None
    if arguments.entrypoint is not None:
        try:
            entrypoint = tuple(split(arguments.entrypoint))
        except ValueError as error:
            raise InvalidArgument(f'--entrypoint: "{arguments.entrypoint}": {error}') from error
    return OneOff(
        service=arguments.service,
        slug=secrets.token_hex(32),
        name=arguments.name,
        command=arguments.command,
        entrypoint=entrypoint,
        environment=_environment(project, arguments),
        labels=_labels(arguments.labels),
        cap_add=arguments.cap_add,
        cap_drop=arguments.cap_drop,
        user=arguments.user,
        working_dir=arguments.working_dir,
        ports=None if arguments.service_ports else _ports(arguments.ports),
        volumes=_volumes(arguments.volumes),
        use_aliases=arguments.use_aliases,
        tty=arguments.tty,
        stdin=arguments.stdin,
        auto_remove=arguments.auto_remove,
        console_size=console_size(tty=arguments.tty),
    )


def _environment(project: Project, arguments: RunArguments) -> dict[str, str]:
    """Those of the files, then those of `-e`; `KEY` alone takes the value that the stack sees."""
    given: dict[str, str] = {}
    for text in arguments.environment:
        key, equals, value = text.partition("=")
        if not key:
            raise InvalidArgument(f'--env: "{text}": KEY=VALUE is expected')
        if equals or key in project.environment:
            given[key] = value if equals else project.environment[key]
    found: dict[str, str] = {}
    for path in arguments.env_files:
        try:
            file = str(current_folder() / path)
            dotenv.read(HOST, file, found, given.get, lambda name: None)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise InvalidArgument(f"--env-from-file: {path}: {why}") from error
    return {**found, **given}


def _labels(texts: Sequence[str]) -> dict[str, str]:
    labels = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise InvalidArgument(f'--label: "{text}": label must be set as KEY=VALUE')
        labels[key] = value
    return labels


def _ports(texts: Sequence[str]) -> tuple[Port, ...]:
    ports = []
    for text in texts:
        try:
            ports += [Port.model_construct(**entry) for entry in parse_port(text)]
        except ValueError as error:
            raise InvalidArgument(f'--publish: "{text}": {error}') from error
    return tuple(ports)


def _volumes(texts: Sequence[str]) -> tuple[ServiceVolume, ...]:
    options = {"bind": BindOptions, "volume": VolumeOptions}
    volumes = []
    for text in texts:
        try:
            entry = parse_volume(text)
        except ValueError as error:
            raise InvalidArgument(f'--volume: "{text}": {error}') from error
        if entry["type"] == "bind":
            entry["source"] = os.path.abspath(os.path.expanduser(entry["source"]))
        entry |= {key: options[key](**entry[key]) for key in options.keys() & entry.keys()}
        volumes.append(ServiceVolume(**entry))
    return tuple(volumes)
