"""The needs of clauses, one row each: its name, its remedy, and how it is probed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..need import Need
from . import means, probes

__all__ = ["NEEDS", "USES", "Row", "Use"]


@dataclass(frozen=True, slots=True)
class Row:
    """A need, for the reader: `change` is its remedy.

    `lack` probes for it and returns what is missing, or ""; None if only a run of the clauses can find out.
    """

    name: str
    change: str
    lack: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """A facility that no clause and no fixture requires: `without` is what happens if it is missing."""

    name: str
    without: str
    change: str
    lack: Callable[[], str]


def _capability(name: str, change: str = "") -> Row:
    short = name.removeprefix("CAP_")
    return Row(
        name,
        f"root of the machine, or that capability: --cap-add {short} for a container" + change,
        partial(probes.capability, name),
    )


_NAMESPACES = (
    "CAP_SYS_ADMIN (--cap-add SYS_ADMIN for a container); or user namespaces for unprivileged users: "
    "user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1 where it exists, "
    "kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, and a seccomp filter that allows unshare(2)"
)

NEEDS: dict[Need, Row] = {
    Need.OTHER_USERS: Row(
        "other users",
        "root, or CAP_SETUID and CAP_SETGID, where the ids 61001 to 65534 are mapped, which they are not in a user "
        "namespace of one id, as `unshare -Ur` creates it",
        probes.other_users,
    ),
    Need.FILES_OF_OTHERS: Row(
        "files of other users",
        "root, or CAP_CHOWN, where the ids of other users are mapped",
        probes.files_of_others,
    ),
    Need.CAP_SYS_RESOURCE: _capability("CAP_SYS_RESOURCE"),
    Need.CAP_SYS_ADMIN: _capability("CAP_SYS_ADMIN", ", with SETUID and SETGID"),
    Need.CAP_IPC_OWNER: _capability("CAP_IPC_OWNER"),
    Need.CAP_IPC_LOCK: _capability("CAP_IPC_LOCK"),
    Need.CAP_SYS_PTRACE: _capability("CAP_SYS_PTRACE"),
    Need.TRACING: Row(
        "permission to trace",
        "kernel.yama.ptrace_scope of at most 1, or CAP_SYS_PTRACE where it is 2",
        probes.tracing,
    ),
    Need.APPEND_ONLY_FILES: Row(
        "append-only files",
        "root of the machine, or CAP_LINUX_IMMUTABLE, and a TMPDIR on a file system that has them, as ext4 and xfs do",
    ),
    Need.IPC_NAMESPACES: Row(
        "IPC namespaces",
        _NAMESPACES,
        partial(probes.namespace, "ipc"),
    ),
    Need.NETWORK_NAMESPACES: Row(
        "network namespaces",
        _NAMESPACES,
        partial(probes.namespace, "net"),
    ),
    Need.PID_NAMESPACES: Row(
        "PID namespaces",
        _NAMESPACES,
        partial(probes.namespace, "pid_for_children"),
    ),
    Need.USER_NAMESPACES: Row(
        "user namespaces for unprivileged users",
        _NAMESPACES.partition("; or ")[2],
        probes.user_namespaces,
    ),
    Need.MOUNTS: Row(
        "mounts",
        "what namespaces need, and a sandbox that allows mount(2)",
        probes.mounts,
    ),
    Need.NAMESPACE_LIMITS: Row(
        "limits of an IPC namespace",
        "a writable /proc/sys, which most containers mount read-only: --privileged, or "
        "--security-opt systempaths=unconfined",
        probes.limits_of_ones_own,
    ),
    Need.SETTABLE_LIMITS: Row(
        "settable limits of the machine",
        "root, and a writable /proc/sys",
        probes.limits_of_the_machine,
    ),
    Need.WHOLE_MACHINE: Row(
        "permission to change limits of the machine",
        "PYTEST_IPC_WHOLE_MACHINE=1, as root, on a machine where that is acceptable",
        probes.leave_for_the_machine,
    ),
    Need.MACHINE_LIMITS: Row(
        "reachable limits of the machine",
        "another value of the named limit, by sysctl(8) or a container's --sysctl, where that is acceptable",
    ),
    Need.PROCESS_LIMITS: Row(
        "limits of a process",
        "a higher limit of the process: ulimit, a container's --ulimit, or systemd's LimitMEMLOCK= and similar",
        probes.room_of_processes,
    ),
    Need.PROC_FILES: Row(
        "files of /proc",
        "a proc(5) that shows them: one that is mounted without hidepid, and no sandbox that covers it; some come with "
        "CONFIG_SYSVIPC, CONFIG_POSIX_MQUEUE and CONFIG_CHECKPOINT_RESTORE",
        probes.files_of_proc,
    ),
    Need.FIXTURES: Row(
        "calls of the fixtures",
        "a sandbox or seccomp filter that allows the call; for /proc, mount -t proc none /proc",
        means.describe,
    ),
    Need.RESOURCES: Row(
        "free resources",
        "more of the resource that the error names: descriptors for EMFILE, space for ENOSPC, memory for ENOMEM, "
        "rights for EPERM and EACCES",
    ),
    Need.NEWER_KERNEL: Row(
        "a newer kernel",
        "a newer kernel, or one that is built with the named option",
        probes.newest_kernel,
    ),
    Need.OTHER_KERNEL: Row(
        "a kernel without a feature",
        "another kernel: the clause is about those that are built or started without it",
    ),
    Need.SYSTEM_CALLS: Row(
        "system calls",
        "a kernel that has the call, whose page names the release; or a seccomp filter that allows it",
    ),
    Need.LIBC_FUNCTIONS: Row(
        "libc functions",
        "another libc, or a newer one",
    ),
    Need.ARCHITECTURE: Row(
        "another architecture",
        "nothing on this architecture: the clause is about others, or pytest-ipc does not know its structures",
    ),
    Need.SHARED_MEMORY_FILES: Row(
        "files in /dev/shm",
        "a tmpfs with a limit and mode 1777 at /dev/shm: mount -t tmpfs -o size=64m,mode=1777 none /dev/shm, --shm-size"
        " for a container",
        probes.memory_files,
    ),
    Need.FILE_SYSTEM: Row(
        "a file system of another kind",
        "a TMPDIR on a file system of the kind that is named",
    ),
    Need.NETWORK: Row(
        "a network",
        "a loopback device that is up, with IPv6: net.ipv6.conf.all.disable_ipv6=0; for a veth pair, CAP_NET_ADMIN and "
        "veth devices",
        probes.network,
    ),
    Need.TERMINALS: Row(
        "terminals",
        "a devpts with free terminals: mount -t devpts none /dev/pts",
        probes.terminals,
    ),
    Need.CGROUPS: Row(
        "control groups",
        "a mounted file system cgroup2, and root or a cgroup that is delegated to this user: "
        "systemd-run --user --scope -p Delegate=yes",
    ),
    Need.HUGE_PAGES: Row(
        "huge pages",
        "a kernel with hugetlbfs, and as many huge pages as are named: vm.nr_hugepages",
    ),
    Need.CORE_FILES: Row(
        "core files",
        "kernel.core_pattern=core, where that is acceptable, and ulimit -c above 0",
    ),
    Need.PROGRAMS: Row(
        "programs",
        "the package of the program: util-linux for ipcs and ipcrm, coreutils for mkfifo",
    ),
    Need.SECCOMP: Row(
        "seccomp",
        "a kernel with CONFIG_SECCOMP, and a sandbox that allows prctl(2) to use it",
    ),
    Need.TIME: Row(
        "time",
        "another attempt, on a machine with less load",
    ),
    Need.OTHER: Row(
        "other needs",
        "the remedy that the clause's own reason names",
    ),
}

USES = (
    Use(
        "/proc/PID/syscall",
        "wait_blocked uses the state of a child, which does not show the call in which it sleeps",
        "a kernel with CONFIG_HAVE_ARCH_TRACEHOOK and permission to trace one's children: kernel.yama.ptrace_scope "
        "at most 1",
        probes.blocked_calls,
    ),
    Use(
        "pidfd_open(2)",
        "the reaper polls 20 times a second whether its owner lives",
        "Linux 5.3, or a seccomp filter that allows it",
        probes.pidfds,
    ),
    Use(
        "/dev/mqueue",
        "message queues are not visible as files; they are created, used and removed all the same",
        "mount -t mqueue none /dev/mqueue",
        probes.queue_folder,
    ),
)
