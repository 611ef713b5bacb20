"""What an OCI runtime's complaint means: the thing that it is about, in Docker's words and codes.

crun and runc say the same in different words, and clients match Docker's. What is known is told
with the path, the option or the program that is at fault; the rest in the runtime's own last line.
Source: moby `daemon/start.go` and `daemon/errors.go` for texts and exit codes; crun 1.8, runc 1.1.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stackr.errors import Internal, InvalidArgument, StackrError

__all__ = ["StartFailure", "start_failure"]

_HEADS = {
    "create": "failed to create task for container: failed to create shim task: OCI runtime create"
    " failed: unable to start container process: error during container init",
    "exec": "OCI runtime exec failed: exec failed: unable to start container process",
}
_WRONG_KIND = (
    ": unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check if the"
    " specified host path exists and is the expected type"
)
_NOT_A_FOLDER = "not a directory"
_NOT_THERE = "no such file or directory"
_MESSAGE = re.compile(r'msg="((?:[^"\\]|\\.)*)"')
_ULIMITS = {
    getattr(resource, name): name.removeprefix("RLIMIT_").lower()
    for name in dir(resource)
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"  # BSD's name of NOFILE
}


@dataclass(frozen=True, slots=True)
class StartFailure:
    """exit_code: 127 where something is not found, 126 where the program cannot run, else 128.

    Of an exec, it is 126 for all the rest.
    """

    exit_code: int
    message: str

    def error(self) -> StackrError:
        kind = Internal if self.exit_code == 128 else InvalidArgument
        return kind(self.message)


@dataclass(frozen=True, slots=True)
class _Complaint:
    """program: the command's first word. sources: what is mounted, by its place inside."""

    match: re.Match[str]
    program: str
    sources: Mapping[str, str]

    @property
    def why(self) -> str:
        """The kernel's reason, as Go writes it: in small letters."""
        return self.match["why"].strip().lower()


_Cause = tuple[int, str]
_Reading = Callable[[_Complaint], _Cause]


def start_failure(
    text: str, program: str, *, verb: str = "create", sources: Mapping[str, str] | None = None
) -> StartFailure:
    """What `text`, an OCI runtime's output or log, says of why the program never ran.

    verb: create or exec. sources: what is mounted, by its place in the container: folders of the
    host, volumes' names.
    """
    plain = _plain(text)
    for pattern, reading in _READINGS:
        match = pattern.search(plain)
        if match is not None:
            exit_code, why = reading(_Complaint(match, program, sources or {}))
            break
    else:
        exit_code, why = 128, (plain.splitlines() or ["no output"])[-1][:500]
    if verb == "exec" and exit_code == 128:
        exit_code = 126  # whatever the reason
    tail = "" if why.endswith(_WRONG_KIND) else ": unknown"
    return StartFailure(exit_code, f"{_HEADS[verb]}: {why}{tail}")


def _plain(text: str) -> str:
    """The complaints, out of runc's and crun's log formats, and without the bundle's folder."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    told = [line for line in lines if "level=warning" not in line] or lines
    words = [_MESSAGE.search(line) for line in told]
    plain = "\n".join(m[1] if m else line for m, line in zip(words, told, strict=True))
    return re.sub(r'(?<=[\s"`])/\S*?/rootfs(?=/)', "", plain.replace('\\"', '"'))


def _mount(complaint: _Complaint) -> _Cause:
    target = "/" + complaint.match["target"].lstrip("/")
    source = complaint.sources.get(target) or complaint.match.groupdict().get("source") or "tmpfs"
    why = f'error mounting "{source}" to rootfs at "{target}": {complaint.why}'
    if complaint.why == _NOT_A_FOLDER:
        return 127, why + _WRONG_KIND
    return (127 if complaint.why == _NOT_THERE else 128), why


def _mount_point(complaint: _Complaint) -> _Cause:
    """A folder that could not be made: for a mount, where one is below it; else a program's."""
    path = complaint.match["target"]
    below = [t for t in complaint.sources if t == path or t.startswith(f"{path}/")]
    if not below:
        return 127, f"mkdir {path}: {complaint.why}"
    source = complaint.sources[below[0]]
    why = f'error mounting "{source}" to rootfs at "{below[0]}": mkdir {path}: {complaint.why}'
    return 127, why + (_WRONG_KIND if complaint.why == _NOT_A_FOLDER else "")


def _working_dir(complaint: _Complaint) -> _Cause:
    code = 126 if complaint.why == "permission denied" else 127
    return (
        code,
        f'chdir to cwd ("{complaint.match["path"]}") set in config.json failed: {complaint.why}',
    )


def _not_found(complaint: _Complaint) -> _Cause:
    program = complaint.program
    is_path = "/" in program
    why = f"stat {program}: {_NOT_THERE}" if is_path else "executable file not found in $PATH"
    return 127, f'exec: "{program}": {why}'


def _no_interpreter(complaint: _Complaint) -> _Cause:
    return 127, (
        f'exec: "{complaint.program}": {_NOT_THERE}: the program is there, but not the interpreter'
        " or the dynamic linker that it names"
    )


def _cannot_run(complaint: _Complaint) -> _Cause:
    why = complaint.why
    if not complaint.program:  # crun tries to execute the first folder of PATH then
        return _not_found(complaint)
    return 126, f'exec: "{complaint.program}": {_PROGRAM_REASONS.get(why, why)}'


# A folder cannot be executed: crun meets the kernel's word for it, runc's is that of Docker.
_PROGRAM_REASONS = {
    "operation not permitted": "permission denied",
    "is a directory": "permission denied",
}


def _oom_score(complaint: _Complaint) -> _Cause:
    return 128, (
        "oom_score_adj: it cannot be set lower than the engine's own: operation not permitted"
    )


def _ulimit(complaint: _Complaint) -> _Cause:
    name = complaint.match["name"]
    name = (
        _ULIMITS.get(int(name), name) if name.isdecimal() else name.removeprefix("RLIMIT_").lower()
    )
    return 128, f"ulimit {name}: {complaint.why}"


def _meets_runtime(complaint: _Complaint) -> _Cause:
    """The container's limits hold for the OCI runtime too, from when it sets them."""
    return 128, f"ulimit {complaint.match.lastgroup}: too low for the container to be set up"


def _killed_early(complaint: _Complaint) -> _Cause:
    return 128, (
        "its first process was killed before the program began: by its ulimits (cpu), its seccomp"
        " profile or its memory limit"
    )


def _no_devices(complaint: _Complaint) -> _Cause:
    path = complaint.match["path"]
    source = complaint.sources.get("/dev")
    where = f'"{source}", which is mounted at /dev, has none' if source else complaint.why
    return 127, f'device "{path}": {where}'


def _sysctl(complaint: _Complaint) -> _Cause:
    path = complaint.match["path"]
    name = path.removeprefix("/proc/sys/").replace("/", ".")
    code = 127 if complaint.why == _NOT_THERE else 128
    return code, f'sysctl "{name}": {complaint.match["call"]} {path}: {complaint.why}'


def _sysctl_of_host(complaint: _Complaint) -> _Cause:
    name = complaint.match["name"]
    return 128, f'sysctl "{name}": it is the whole host\'s, or that of a namespace that is joined'


def _device(complaint: _Complaint) -> _Cause:
    code = 127 if complaint.why in (_NOT_A_FOLDER, _NOT_THERE) else 128
    return code, f'device "{complaint.match["path"]}": {complaint.why}'


def _memory(complaint: _Complaint) -> _Cause:
    return 128, "memory limit: too low for the program to begin"


def _namespace(complaint: _Complaint) -> _Cause:
    return 128, f"cannot join the {complaint.match['kind']} namespace: its container has ended"


_Q = "[`\"']"
_READINGS: tuple[tuple[re.Pattern[str], _Reading], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), reading)
    for pattern, reading in (
        (
            r"(?P<fsize>file too large$|write to seccomp fd)|(?P<nofile>too many open files$)",
            _meets_runtime,
        ),
        (r"^read from the init process$", _killed_early),
        (r"failed open\(\)ing (?P<path>/dev/\w+): (?P<why>[^:\n]+)$", _no_devices),
        (
            rf"mount {_Q}(?P<source>[^`]*){_Q} to {_Q}(?P<target>[^`]*){_Q}: (?P<why>[^:\n]+)$",
            _mount,
        ),
        (
            r'error mounting "(?P<source>[^"]*)" to rootfs at "(?P<target>[^"]*)":'
            r"[^\n]*?: (?P<why>[^:\n]+)$",
            _mount,
        ),
        (rf"chdir {_Q}(?P<path>[^`]*){_Q}: (?P<why>[^:\n]+)$", _working_dir),
        (r'chdir to cwd \("(?P<path>[^"]*)"\)[^\n]*?: (?P<why>[^:\n]+)$', _working_dir),
        (r"oom_score_adj: (?P<why>[^:\n]+)$", _oom_score),
        (rf"setrlimit {_Q}(?P<name>\w+){_Q}: (?P<why>[^:\n]+)$", _ulimit),
        (r"error setting rlimit type (?P<name>\d+): (?P<why>[^:\n]+)$", _ulimit),
        (
            r"(?P<call>open|write)(?: to)? `?(?P<path>/proc/sys/[^`:\s]+)`?: (?P<why>[^:\n]+)$",
            _sysctl,
        ),
        (
            rf"sysctl {_Q}(?P<name>[^`\"']+){_Q} is not (?:namespaced|in a separate)",
            _sysctl_of_host,
        ),
        (rf"mknod {_Q}(?P<path>[^`]*){_Q}: (?P<why>[^:\n]+)$", _device),
        (
            r"error creating device nodes: (?:\w+ )?(?P<path>/[^:\n]*): (?P<why>[^:\n]+)$",
            _device,
        ),
        (r"the memory limit could be too low", _memory),
        (r"/proc/\d+/ns/(?P<kind>\w+)`?: no such file", _namespace),
        (
            r"exec container process (?:\(missing dynamic library\?\) )?`[^`]*`: no such file"
            r"|\bexec /[^:\n]*: no such file",
            _no_interpreter,
        ),
        (
            rf"executable file {_Q}[^`\"']*{_Q} not found"
            r'|exec: "[^"]*": (?:executable file not found|stat [^:]*: no such file)'
            rf"|stat {_Q}?/[^`\"':]*{_Q}?: no such file",
            _not_found,
        ),
        (r"open executable: (?P<why>[^:\n]+)$", _cannot_run),
        (r'exec: "[^"]*": (?:stat [^:]*: )?(?P<why>[^:\n]+)$', _cannot_run),
        (r"exec container process `[^`]*`: (?P<why>[^:\n]+)$", _cannot_run),
        (r"\bexec /[^:\n]*: (?P<why>[^:\n]+)$", _cannot_run),
        (rf"mkdir {_Q}?(?P<target>/[^`:\n]*){_Q}?: (?P<why>[^:\n]+)$", _mount_point),
    )
)
"""Tried in this order; the first that is found anywhere in the complaint counts."""
