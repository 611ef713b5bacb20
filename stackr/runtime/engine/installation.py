"""Set an engine up as a service of systemd: its units, and the group of those who may use it.

With another root (an image that is being built, say) the same files are written below it, and
nothing is started. What is there already is made as it should be, so that it can be done again.
"""

from __future__ import annotations

import contextlib
import grp
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackr.errors import Conflict, NotFound, NotSupported, PermissionDenied, Unavailable
from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.units import MARK, WANTS, Install, service_unit, socket_unit

__all__ = ["Step", "check_installable", "install_steps", "uninstall_steps"]

_UNITS = Path("etc/systemd/system")
_PACKAGED = Path("usr/lib/systemd/system"), Path("lib/systemd/system")
_NAMES = ("stackr.socket", "stackr.service")
_RUNS_SYSTEMD = Path("/run/systemd/system")
_WITHOUT_SYSTEMD = {
    "install": "without it, start the engine by hand: stackr engine start; for an image or"
    " another system, name its folder: --root DIR",
    "uninstall": "to remove the files from an image or another system, name its folder: --root DIR",
}


@dataclass(frozen=True, slots=True)
class Step:
    """text: what it does, in a line; run: does it."""

    text: str
    run: Callable[[], object]


def check_installable(root: Path, *, command: str = "install") -> None:
    """command: of `stackr engine`, which the errors name.

    Raises NotSupported where systemd does not run, NotFound where DIR holds no system,
    PermissionDenied for anyone but root.
    """
    if root == Path("/") and not _RUNS_SYSTEMD.is_dir():
        raise NotSupported(
            f"engine {command}: systemd does not run here", hint=_WITHOUT_SYSTEMD[command]
        )
    if not (root / "etc/group").is_file():
        raise NotFound(
            f'engine {command}: --root "{root}": it holds no system: it has no file etc/group',
            hint="name the folder that an image's or a machine's files are in, up to its /",
        )
    if os.geteuid() != 0:
        raise PermissionDenied(f"engine {command}: only root may do it", hint="run it with sudo")


def install_steps(
    install: Install, config: EngineConfig, root: Path, *, start: bool
) -> Iterator[Step]:
    """In the order in which they are done. Raises Conflict for units that are somebody else's."""
    folder = root / _UNITS
    texts = dict(zip(_NAMES, (socket_unit(install), service_unit(install)), strict=True))
    for name in texts:
        _check_ours(folder / name)
    yield from _group_steps(install.group, root)
    for name, text in texts.items():
        packaged = _packaged(root, name, text)
        if not packaged:
            yield _writing(folder / name, text)
        elif (folder / name).exists():
            yield _removing(folder / name)
        link = WANTS[name]
        yield _linking(folder / link, packaged or f"../{name}")
    if root == Path("/"):
        yield _systemctl("daemon-reload")
        if start:
            yield Step("end the engine that runs by itself; containers go on", _ending(config))
            yield _systemctl("restart", *_NAMES)


def uninstall_steps(root: Path) -> Iterator[Step]:
    """Containers go on, images and volumes stay, and so does the group."""
    folder = root / _UNITS
    for name in _NAMES:
        _check_ours(folder / name)
    if root == Path("/"):
        yield _systemctl("stop", *_NAMES)
    for path in (*(folder / WANTS[name] for name in _NAMES), *(folder / name for name in _NAMES)):
        if path.is_symlink() or path.exists():
            yield _removing(path)
    if root == Path("/"):
        yield _systemctl("daemon-reload")


def _check_ours(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if MARK not in path.read_text(errors="replace"):
            raise Conflict(
                f'engine install: "{path}": is not of stackr engine install',
                hint="move it away, if the engine is to have this one",
            )


def _group_steps(group: str, root: Path) -> Iterator[Step]:
    if group in ("", "root", "0"):
        return
    if root == Path("/"):
        with contextlib.suppress(KeyError):
            grp.getgrnam(group)
            return
        yield _running("groupadd", "--system", "--", group)
        return
    file = root / "etc/group"
    has_it = file.exists() and any(
        line.startswith(f"{group}:") for line in file.read_text().splitlines()
    )
    if not has_it:
        yield _running("groupadd", "--prefix", os.fspath(root), "--system", "--", group)


def _packaged(root: Path, name: str, text: str) -> str:
    """Where a package has the very same unit, which its upgrades then change; "" for nowhere."""
    for folder in _PACKAGED:
        path = root / folder / name
        if path.is_file() and path.read_text(errors="replace") == text:
            return f"/{folder / name}"
    return ""


def _removing(path: Path) -> Step:
    return Step(f"remove {path}", path.unlink)


def _writing(path: Path, text: str) -> Step:
    def write() -> None:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_text(text)
        new.chmod(0o644)
        new.replace(path)

    return Step(f"write {path}", write)


def _linking(path: Path, target: str) -> Step:
    def link() -> None:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return Step(f"link {path} to {target}", link)


def _ending(config: EngineConfig) -> Callable[[], object]:
    return lambda: control.stop(config, timeout_s=60.0)


def _systemctl(*arguments: str) -> Step:
    return _running("systemctl", *arguments)


def _running(*argv: str) -> Step:
    return Step(f"run {' '.join(argv)}", lambda: _run(argv))


def _run(argv: Sequence[str]) -> None:
    """Raises Unavailable with what the program said."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True)
    except FileNotFoundError:
        raise Unavailable(f"{argv[0]}: not found") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"{' '.join(argv)}: {said[0] if said else done.returncode}")
