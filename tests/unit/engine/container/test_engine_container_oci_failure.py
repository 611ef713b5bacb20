"""What crun and runc complain of becomes one text that names the thing, and Docker's exit code."""

from __future__ import annotations

import pytest

from stackr.runtime.engine.container.oci.failure import start_failure

SOURCES = {
    "/etc/passwd": "/srv/folder",
    "/etc": "/srv/file",
    "/t": "tmpfs",
    "/dev": "/srv/dev",
    "/etc/passwd/x": "data",
}
_RUNC = 'time="2026-11-29T13:47:00Z" level=error msg="runc create failed: {}"'
_INIT = "unable to start container process: error during container init: "
_VICE_VERSA = "Are you trying to mount a directory onto a file (or vice-versa)?"


def _runc(text: str) -> str:
    return _RUNC.format(text.replace('"', '\\"'))


@pytest.mark.parametrize(
    ("complaint", "exit_code", "words"),
    [
        (
            "mount `/proc/self/fd/9` to `etc/passwd`: Not a directory",
            127,
            ('error mounting "/srv/folder" to rootfs at "/etc/passwd": not a dir', _VICE_VERSA),
        ),
        (
            _runc(
                f'{_INIT}error mounting "/srv/file" to rootfs at "/etc": mount /srv/file:/etc (via'
                " /proc/self/fd/6), flags: 0x5000: not a directory"
            ),
            127,
            ('error mounting "/srv/file" to rootfs at "/etc": not a directory', _VICE_VERSA),
        ),
        (
            "writing file `/sys/fs/cgroup/unified/x/cgroup.procs`: File too large",
            128,
            ("ulimit fsize: too low",),
        ),
        ("write to seccomp fd", 128, ("ulimit fsize: too low",)),
        (
            "error opening file `/proc/self/setgroups`: Too many open files",
            128,
            ("ulimit nofile: too low",),
        ),
        (
            _runc(f"{_INIT}open /proc/sys/net/ipv4/ip_forward: too many open files"),
            128,
            ("ulimit nofile: too low",),
        ),
        ("read from the init process", 128, ("killed before the program began", "ulimits (cpu)")),
        (
            "failed open()ing /dev/null: No such file or directory",
            127,
            ('device "/dev/null": "/srv/dev", which is mounted at /dev, has none',),
        ),
        (
            "mkdir `/etc/passwd/x`: Not a directory",
            127,
            ('error mounting "data" to rootfs at "/etc/passwd/x": mkdir', _VICE_VERSA),
        ),
        (
            _runc(
                f'{_INIT}error mounting "/v" to rootfs at "/etc/passwd/x": open o_path procfd: open'
                " /run/b/rootfs/etc/passwd/x: not a directory"
            ),
            127,
            ('error mounting "data" to rootfs at "/etc/passwd/x": not a directory', _VICE_VERSA),
        ),
        (
            "mount `tmpfs` to `t`: Invalid argument",
            128,
            ('error mounting "tmpfs" to rootfs at "/t": invalid argument',),
        ),
        (
            _runc(
                f'{_INIT}error mounting "tmpfs" to rootfs at "/t": mount tmpfs:/t (via'
                " /proc/self/fd/6), data: size=zz: invalid argument"
            ),
            128,
            ('error mounting "tmpfs" to rootfs at "/t": invalid argument',),
        ),
        ("chdir `/etc/passwd`: Not a directory", 127, ('chdir to cwd ("/etc/passwd")',)),
        ("chdir `/private`: Permission denied", 126, ('chdir to cwd ("/private")',)),
        (
            _runc(f"{_INIT}mkdir /etc/group: not a directory"),
            127,
            ("mkdir /etc/group: not a directory",),
        ),
        (
            "write to /proc/self/oom_score_adj: Permission denied",
            128,
            ("oom_score_adj: it cannot be set lower",),
        ),
        (
            'time="x" level=fatal msg="nsexec[1]: failed to update /proc/self/oom_score_adj:'
            ' Permission denied"\n' + _runc("can't get final child's PID from pipe: EOF"),
            128,
            ("oom_score_adj: it cannot be set lower",),
        ),
        (
            "setrlimit `RLIMIT_NOFILE`: Operation not permitted",
            128,
            ("ulimit nofile: operation not permitted",),
        ),
        (
            _runc(
                f"{_INIT}error setting rlimits for ready process: error setting rlimit type 7:"
                " operation not permitted"
            ),
            128,
            ("ulimit nofile: operation not permitted",),
        ),
        (
            "open /proc/sys/net/ipv4/nosuch: No such file or directory",
            127,
            ('sysctl "net.ipv4.nosuch": open /proc/sys/net/ipv4/nosuch: no such file',),
        ),
        (
            _runc(f"{_INIT}write /proc/sys/net/ipv4/ip_forward: invalid argument"),
            128,
            ('sysctl "net.ipv4.ip_forward": write', "invalid argument"),
        ),
        ("the sysctl `vm.swappiness` is not namespaced", 128, ('sysctl "vm.swappiness": it is',)),
        ("mknod `/etc/passwd/d`: Not a directory", 127, ('device "/etc/passwd/d": not a dir',)),
        (
            _runc(
                f"{_INIT}error creating device nodes: mkdir /run/b/rootfs/etc/x: not a directory"
            ),
            127,
            ('device "/etc/x": not a directory',),
        ),
        (
            "OOM: the memory limit could be too low: read from sync socket: Connection reset",
            128,
            ("memory limit: too low",),
        ),
        (
            "open `/proc/999999/ns/net`: No such file or directory",
            128,
            ("cannot join the net namespace: its container has ended",),
        ),
        ("invalid seccomp action `SCMP_ACT_FOO`", 128, ("invalid seccomp action `SCMP_ACT_FOO`",)),
        ("writing file `cpuset.cpus`: Invalid argument", 128, ("writing file `cpuset.cpus`",)),
        ("", 128, ("no output",)),
    ],
)
def test_the_thing_is_named(complaint: str, exit_code: int, words: tuple[str, ...]) -> None:
    failure = start_failure(complaint, "true", sources=SOURCES)
    assert failure.exit_code == exit_code
    assert all(word in failure.message for word in words), failure.message
    assert 'exec: "true"' not in failure.message
    # Docker's command takes these words for a program that is not there, or that cannot be run.
    assert exit_code == 127 or "no such file" not in failure.message
    assert exit_code == 126 or "permission denied" not in failure.message


@pytest.mark.parametrize(
    ("complaint", "program", "exit_code", "words"),
    [
        (
            "executable file `nope` not found in $PATH: No such file or directory",
            "nope",
            127,
            'exec: "nope": executable file not found in $PATH',
        ),
        (
            _runc('exec: "/nope": stat /nope: no such file or directory'),
            "/nope",
            127,
            'exec: "/nope": stat /nope: no such file or directory',
        ),
        ("open executable: Permission denied", "/a", 126, 'exec: "/a": permission denied'),
        ("open executable: Operation not permitted", "/a", 126, 'exec: "/a": permission denied'),
        (
            "open executable: Permission denied",
            "",
            127,
            'exec: "": executable file not found in $PATH',
        ),
        ("open executable: Not a directory", "/f/x", 126, 'exec: "/f/x": not a directory'),
        (_runc('exec: "/f": permission denied'), "/f", 126, 'exec: "/f": permission denied'),
        (
            _runc('exec: "/f/x": stat /f/x: not a directory'),
            "/f/x",
            126,
            'exec: "/f/x": not a directory',
        ),
        (
            "exec container process (missing dynamic library?) `/b`: No such file or directory",
            "/b",
            127,
            "not the interpreter or the dynamic linker",
        ),
        ("exec /b: no such file or directory", "/b", 127, "not the interpreter"),
        ("exec container process `/b`: Exec format error", "/b", 126, "exec format error"),
        ("exec /b: exec format error", "/b", 126, 'exec: "/b": exec format error'),
        ("exec /bin/echo: argument list too long", "echo", 126, "argument list too long"),
    ],
)
def test_a_program_that_cannot_be_run(
    complaint: str, program: str, exit_code: int, words: str
) -> None:
    failure = start_failure(complaint, program, sources=SOURCES)
    assert (failure.exit_code, words in failure.message) == (exit_code, True), failure.message


@pytest.mark.parametrize(
    ("complaint", "exit_code"),
    [
        ("chdir `/nodir`: No such file or directory", 127),
        ('exec failed: chdir to cwd ("/f") set in config.json failed: not a directory', 127),
        ("open executable: Permission denied", 126),
        ("the kernel is out of sorts", 126),
    ],
)
def test_an_exec_that_cannot_begin_is_126_or_127(complaint: str, exit_code: int) -> None:
    failure = start_failure(complaint, "true", verb="exec")
    assert failure.exit_code == exit_code
    assert failure.message.startswith("OCI runtime exec failed: exec failed")
