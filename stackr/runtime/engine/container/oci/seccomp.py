"""The default system call filter: what a container may ask of the kernel, as Docker allows it.

A call that is not listed fails with EPERM, so that programs see a refusal and not a crash. Calls
that act on the host as a whole need the capability that the kernel asks for as well.
Source: Docker's documentation "Seccomp security profiles for Docker"; the kernel's system call
tables. The lists are checked against the profile of containers-common in the tests.
"""

from __future__ import annotations

import errno
import platform
from collections.abc import Collection
from typing import Any

from stackr.errors import InvalidArgument
from stackr.runtime.architecture import go_architecture
from stackr.text import parse_json

__all__ = ["custom_profile", "default_profile"]

Rule = dict[str, Any]

_FILES = """
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32
fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64
fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64
getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown
lchown32 lgetxattr link linkat listxattr listxattrat llistxattr _llseek lremovexattr lseek
lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat
openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat
splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate
truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
cachestat file_getattr file_setattr listmount statmount
fanotify_mark
"""
_EVENTS = """
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents
io_pgetevents_time64 io_setup io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64
select signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
timerfd_settime64
"""
_MEMORY = """
brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
process_mrelease remap_file_pages
"""
_PROCESSES = """
alarm capget capset execve execveat exit exit_group fork getegid getegid32 geteuid geteuid32 getgid
getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid getresgid32
getresuid getresuid32 getrlimit get_robust_list getrusage getsid gettid getuid getuid32 ioprio_get
ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open
pidfd_send_signal pipe pipe2 prctl prlimit64 process_vm_readv process_vm_writev ptrace
restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo seccomp setfsgid setfsgid32
setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32
setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid
set_thread_area get_thread_area set_tid_address setuid setuid32 sigaltstack signal sigprocmask
sigreturn
tgkill tkill ugetrlimit vfork wait4 waitid waitpid uretprobe
"""
_SCHEDULING = """
getcpu sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
sched_setattr sched_setparam sched_setscheduler sched_yield
"""
_SYNCHRONIZATION = """
futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify
mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl
msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""
_NETWORK = """
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""
_TIME_AND_SYSTEM = """
adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday nanosleep
setitimer sysinfo time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
timer_settime timer_settime64 times uname
"""
_ALLOWED = (
    _FILES
    + _EVENTS
    + _MEMORY
    + _PROCESSES
    + _SCHEDULING
    + _SYNCHRONIZATION
    + _NETWORK
    + _TIME_AND_SYSTEM
).split()

_BY_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie"
    " mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname"
    " sethostname setns syslog umount umount2 unshare",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}

_BY_MACHINE = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls"
    " sync_file_range2",
    "ppc64le": "swapcontext sync_file_range2",
    "riscv64": "riscv_flush_icache riscv_hwprobe",
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
}
_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    "ppc64le": ["SCMP_ARCH_PPC64LE"],
    "riscv64": ["SCMP_ARCH_RISCV64"],
    "s390x": ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
}

# personality(2): PER_LINUX, PER_LINUX32, each with UNAME26, and the query 0xffffffff.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# clone(2): CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
_CLONE_NAMESPACES = 0x7E020000
# socket(2): AF_ALG has a history of holes, AF_VSOCK is not confined to a network namespace.
_AF_ALG, _AF_VSOCK = 38, 40


def default_profile(
    capabilities: Collection[str], machine: str = platform.machine()
) -> dict[str, Any]:
    """`linux.seccomp` of config.json for a container that holds `capabilities`."""
    names = set(_ALLOWED) | set(_BY_MACHINE.get(machine, "").split())
    for capability, calls in _BY_CAPABILITY.items():
        if capability in capabilities:
            names.update(calls.split())
    rules: list[Rule] = [{"names": sorted(names), "action": "SCMP_ACT_ALLOW"}]
    rules += [_allow_if("personality", 0, value, "SCMP_CMP_EQ") for value in _PERSONALITIES]
    rules += [
        _allow_if("socket", 0, _AF_ALG, "SCMP_CMP_LT"),
        _allow_if("socket", 0, _AF_ALG + 1, "SCMP_CMP_EQ"),
        _allow_if("socket", 0, _AF_VSOCK, "SCMP_CMP_GT"),
    ]
    if "CAP_SYS_ADMIN" not in capabilities:
        rules += _unprivileged_clone(machine)
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": _ARCHITECTURES.get(machine, []),
        "syscalls": rules,
    }


def _unprivileged_clone(machine: str) -> list[Rule]:
    """clone without new namespaces; clone3 hides its flags in memory, so callers must fall back."""
    flags = 1 if machine == "s390x" else 0
    rule = _allow_if("clone", flags, _CLONE_NAMESPACES, "SCMP_CMP_MASKED_EQ")
    rule["args"][0]["valueTwo"] = 0
    return [
        rule,
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
    ]


def _allow_if(name: str, index: int, value: int, operator: str) -> Rule:
    return {
        "names": [name],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": index, "value": value, "op": operator}],
    }


def custom_profile(
    text: str, capabilities: Collection[str], machine: str = platform.machine()
) -> dict[str, Any]:
    """`linux.seccomp` from a profile in Docker's JSON format, its conditions resolved.

    Raises InvalidArgument where the text is not a profile.
    """
    try:
        profile = parse_json(text)
        rules = [
            _resolved(rule)
            for rule in profile.get("syscalls") or []
            if _applies(rule, capabilities)
        ]
        result = {"defaultAction": profile["defaultAction"], "syscalls": rules}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from error
    if "defaultErrnoRet" in profile:
        result["defaultErrnoRet"] = profile["defaultErrnoRet"]
    result["architectures"] = profile.get("architectures") or _ARCHITECTURES.get(machine, [])
    return result


def _applies(rule: Rule, capabilities: Collection[str]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    arch = go_architecture(platform.machine())
    if any(name not in capabilities for name in includes.get("caps") or []):
        return False
    if any(name in capabilities for name in excludes.get("caps") or []):
        return False
    wanted = includes.get("arches")
    return not (wanted and arch not in wanted) and arch not in (excludes.get("arches") or [])


def _resolved(rule: Rule) -> Rule:
    names = rule.get("names") or [rule["name"]]
    kept = {key: rule[key] for key in ("action", "errnoRet") if rule.get(key) is not None}
    args = rule.get("args") or []
    return {"names": names, **kept, **({"args": args} if args else {})}
