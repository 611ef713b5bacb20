"""Makes the containers' services, once for an engine: the only place that knows how they fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from stackr.errors import InvalidArgument, StackrError
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container import capabilities
from stackr.runtime.engine.container import host as host_facts
from stackr.runtime.engine.container.exec.calls import Execs
from stackr.runtime.engine.container.exec.executor import Executor
from stackr.runtime.engine.container.health.probe_command import CommandProbes
from stackr.runtime.engine.container.health.prober import Probes
from stackr.runtime.engine.container.io.log_options import rotation
from stackr.runtime.engine.container.io.turns import Turns
from stackr.runtime.engine.container.life.adoption import Adoption
from stackr.runtime.engine.container.life.bring_up import BringUp
from stackr.runtime.engine.container.life.healing import Healing
from stackr.runtime.engine.container.life.lifecycle import Lifecycle
from stackr.runtime.engine.container.life.limiter import Limiter
from stackr.runtime.engine.container.life.removal import Removal
from stackr.runtime.engine.container.life.stopping import Stopping
from stackr.runtime.engine.container.life.teardown import Teardown
from stackr.runtime.engine.container.life.watch import Watch
from stackr.runtime.engine.container.limits.groups import Groups, check_parent
from stackr.runtime.engine.container.limits.resources import rlimits
from stackr.runtime.engine.container.needs import ImageSource, NetworkAccess, VolumeAccess
from stackr.runtime.engine.container.oci.init_program import find_init
from stackr.runtime.engine.container.oci.monitor import Monitor, find_conmon
from stackr.runtime.engine.container.oci.runtime import OciRuntime, choose_runtime
from stackr.runtime.engine.container.oci.seccomp import custom_profile
from stackr.runtime.engine.container.parts import Parts
from stackr.runtime.engine.container.records.live import Tasks
from stackr.runtime.engine.container.records.lost import BundleRecords
from stackr.runtime.engine.container.records.store import Store
from stackr.runtime.engine.container.service import Containers
from stackr.runtime.engine.container.settings.defaults import (
    default_log_config,
    default_seccomp,
    default_ulimits,
)
from stackr.runtime.engine.container.storage.storage import Storage
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.linux.delegation import delegate
from stackr.runtime.engine.linux.descriptors import Descriptors
from stackr.runtime.engine.linux.inotify import FileWatches
from stackr.runtime.engine.linux.launcher_client import Launcher
from stackr.runtime.engine.options import EngineOptions
from stackr.runtime.engine.project_locks import ProjectLocks
from stackr.runtime.engine.roots import make_folder
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State

__all__ = ["make_containers"]

_PROFILES = ("", "builtin", "unconfined")


async def make_containers(
    config: EngineConfig,
    state: State,
    events: EventBus,
    images: ImageSource,
    snapshots: Overlay,
    networks: NetworkAccess,
    volumes: VolumeAccess,
    locks: ProjectLocks | None = None,
) -> Containers:
    """Start the launcher and choose the OCI runtime; `open` takes over what runs.

    Raises Unavailable where conmon or the OCI runtime is missing, or control groups are.
    """
    for folder in (config.containers_root, config.bundles_root):
        make_folder(folder, 0o700)
    host = replace(
        host_facts.detect(),
        default_ulimits=default_ulimits(config.options),
        seccomp=default_seccomp(config.options),
    )
    _check_options(config.options, host)
    delegate(host.cgroups)
    launcher = Launcher()
    try:
        runtime = await _runtime(config, host, launcher)
        parts = Parts(
            config=config,
            host=host,
            events=events,
            images=images,
            snapshots=snapshots,
            networks=networks,
            store=Store(state, BundleRecords(config, state)),
            storage=Storage(config, images, snapshots, volumes),
            groups=Groups(config, host.cgroups, state),
            launcher=launcher,
            runtime=runtime,
            monitor=Monitor(find_conmon(), launcher, runtime),
            watches=FileWatches(),
            descriptors=Descriptors(),
            lives={},
            tasks=Tasks(),
            turns=Turns(),
            note=state.note,
            locks=locks or ProjectLocks(),
        )
        return _wired(parts)
    except BaseException:
        await launcher.close()
        raise


def _check_options(options: EngineOptions, host: host_facts.Host) -> None:
    """What containers get by default is what they could ask for. Raises InvalidArgument."""
    checks: Mapping[str, Callable[[], object]] = {
        "log-opts": lambda: rotation(default_log_config(options)),
        "default-ulimits": lambda: rlimits((), host),
        "cgroup-parent": lambda: check_parent(options.cgroup_parent),
        "seccomp-profile": lambda: (
            host.seccomp in _PROFILES or custom_profile(host.seccomp, capabilities.DEFAULT)
        ),
        "init-path": lambda: options.init_path and find_init(own=options.init_path),
    }
    for name, check in checks.items():
        try:
            check()
        except StackrError as error:
            raise InvalidArgument(f"engine's options: {name}: {error.message}") from error


async def _runtime(config: EngineConfig, host: host_facts.Host, launcher: Launcher) -> OciRuntime:
    launcher.hide = host.cgroups.hide_from_crun
    return await choose_runtime(
        launcher,
        root=config.exec_root,
        host=host,
        folder=config.bundles_root,
        cgroup=f"{config.cgroup_parent}/probe",
        wanted=config.options.default_runtime,
    )


def _wired(parts: Parts) -> Containers:
    executor = Executor(parts)
    commands = CommandProbes(executor, parts.descriptors, parts.events)
    execs = Execs(parts, executor)
    watch = Watch(parts, Probes(commands, parts.storage), Healing(parts, execs.attended))
    limiter = Limiter(parts)
    teardown = Teardown(parts, limiter)
    stopping = Stopping(parts, watch)
    removal = Removal(parts, stopping)
    lifecycle = Lifecycle(
        parts,
        limiter=limiter,
        teardown=teardown,
        bring_up=BringUp(parts, limiter, teardown),
        watch=watch,
        stopping=stopping,
        removal=removal,
    )
    adoption = Adoption(
        parts, lifecycle=lifecycle, teardown=teardown, stopping=stopping, removal=removal
    )
    return Containers(
        parts,
        lifecycle=lifecycle,
        stopping=stopping,
        removal=removal,
        adoption=adoption,
        watch=watch,
        execs=execs,
    )
