"""The engine's daemon: opens its parts (`wiring.py`), serves the API, and closes them in reverse.

Containers do not depend on it: they go on when it stops or is killed, and are taken over by the
next one. `python -m stackr.runtime.engine.daemon` runs it in the foreground; with --detach in the
background, telling through --ready-fd that it is ready, or why it is not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from stackr.errors import PermissionDenied, StackrError, Unavailable
from stackr.runtime.engine import log_format
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import LISTEN_AGAIN, log_path
from stackr.runtime.engine.option_values import Proxies
from stackr.runtime.engine.options import EngineOptions
from stackr.runtime.engine.starter import Starter
from stackr.runtime.engine.wiring import open_engine

__all__ = ["main", "serve"]

_log = logging.getLogger("stackr.engine")
_OOM_SCORE_ADJ = "-500"  # as dockerd: the kernel takes a container first
_LEAST_OPEN_FILES = 64


async def serve(config: EngineConfig, ready: Callable[[], None]) -> None:
    """Run the engine until SIGTERM or SIGINT; `ready` is called once the API answers.

    Raises Unavailable where another daemon has the data root, PermissionDenied without root.
    """
    _check(config)
    config.live.options = config.read_options()
    log_format.set_up(config.options)
    _set_proxies(config.options.proxies)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(LISTEN_AGAIN, lambda: None)  # until there is a server
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    async with contextlib.AsyncExitStack() as parts:
        parts.enter_context(_pidfile(config.options.pidfile))
        await open_engine(config, parts)
        gc.collect()
        gc.freeze()
        _log.info("ready: %s", config.socket)
        ready()
        await stop.wait()
        _log.info("stopping; containers go on")
        _notify_systemd("STOPPING=1")


def _check(config: EngineConfig) -> None:
    if os.geteuid() != 0:
        raise PermissionDenied("engine: must run as root")
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < _LEAST_OPEN_FILES:
        raise Unavailable(
            f"engine: too few open files: the limit is {most}, and it needs {_LEAST_OPEN_FILES}",
            hint="raise the hard limit of open files: ulimit -Hn",
        )


def _set_proxies(proxies: Proxies) -> None:
    """Over those of the environment. Source: moby, daemon/command/daemon.go, overrideProxyEnv."""
    for name, value in proxies.model_dump().items():
        if value:
            os.environ[name.upper()] = os.environ[name] = value


@contextlib.contextmanager
def _pidfile(name: str) -> Iterator[None]:
    """Whose number it is that a service manager is to send signals to. Raises Unavailable."""
    if not name:
        yield
        return
    path = Path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise Unavailable(f'pidfile "{path}": {error.strerror}') from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _notify_systemd(state: str) -> None:
    """sd_notify(3), where systemd started us."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.connect(address)
            connection.sendall(state.encode())
        except OSError as error:
            _log.warning("systemd: cannot be told: %s", error)


def _prepare_process() -> None:
    faulthandler.enable()  # a fault in a library of C is told in the log
    os.umask(0o022)
    log_format.set_up(EngineOptions())
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ)
    # A shell's soft limit, mostly 1,024, would be that of all containers together. What a container
    # may open is in its configuration (`limits.rlimits`), and does not come from here.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.version_info < (3, 12):
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


def _parse(argv: Sequence[str]) -> tuple[EngineConfig, bool, int | None]:
    """flags: options as JSON; the command line has checked them, and the folders beside them."""
    parser = argparse.ArgumentParser(prog="stackr-engine", allow_abbrev=False)
    default = EngineConfig.from_environment({**os.environ, "STACKR_ENGINE_CONFIG": os.devnull})
    parser.add_argument("--data-root", type=Path, default=default.data_root)
    parser.add_argument("--exec-root", type=Path, default=default.exec_root)
    parser.add_argument("--config-file", type=Path)
    parser.add_argument("--flags", type=json.loads, default={})
    parser.add_argument("--detach", action="store_true")
    parser.add_argument("--ready-fd", type=int)
    given = parser.parse_args(argv)
    config = EngineConfig.at(
        given.data_root.absolute(),
        given.exec_root.absolute(),
        file=given.config_file,
        flags=given.flags,
        build_cache_bytes=default.build_cache_bytes,
    )
    return config, given.detach, given.ready_fd


def main(argv: Sequence[str] = sys.argv[1:]) -> int:
    """Run the daemon; the exit code is 0 after a stop, 1 where it could not start."""
    config, detach, ready_fd = _parse(argv)
    starter = Starter(ready_fd)
    if detach:
        starter.detach(f"its log is {log_path(config)}")
    _prepare_process()

    def ready() -> None:
        _notify_systemd("READY=1")
        starter.ready()

    try:
        asyncio.run(serve(config, ready))
    except (StackrError, OSError) as error:
        hint = getattr(error, "hint", None)
        _log.error("%s%s", error, f" ({hint})" if hint else "")
        starter.failed(str(error) or f"engine: failed: {error!r}", hint)
        return 1
    except (Exception, asyncio.CancelledError) as error:
        _log.exception("the engine failed")
        starter.failed(f"engine: failed: {error!r}", f"its log is {log_path(config)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
