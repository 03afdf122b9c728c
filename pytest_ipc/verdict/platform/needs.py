"""The needs of clauses, one row each: how a need is probed, its wording, and what would meet it.

Which clauses want a thing is in no list: a clause says itself what it lacked (`untested("needs …")`), a row knows these words,
and so the clauses of a report, and those that the source of the suite shows, fall to the rows by themselves. A reason that no
row knows, or that two know, fails a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import means, probes

__all__ = ["NEEDS", "USES", "Need", "Use", "need_of"]


@dataclass(frozen=True, slots=True)
class Need:
    """A thing that clauses are untested or absent without.

    `words` is the pattern of the reasons that tell of its lack; `change` is what would change that. `lack` tries for it and
    says what is lacking, or nothing; None where nothing but the clauses themselves can find out.
    """

    name: str
    words: str
    change: str
    lack: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """A thing that no clause and no fixture fails without: `without` is what they do then."""

    name: str
    without: str
    change: str
    lack: Callable[[], str]


def _capability(name: str, change: str = "") -> Need:
    short = name.removeprefix("CAP_")
    return Need(
        name,
        f"^needs {name}(, (?!or )|$)",
        f"root of the machine, or that capability: --cap-add {short} for a container" + change,
        partial(probes.capability, name),
    )


_NAMESPACES = (
    "CAP_SYS_ADMIN (--cap-add SYS_ADMIN for a container); or user namespaces for ordinary users: user.max_user_namespaces "
    "above 0, kernel.unprivileged_userns_clone=1 where there is such a thing, kernel.apparmor_restrict_unprivileged_userns=0 "
    "on Ubuntu, and a seccomp filter that lets unshare(2) pass"
)

NEEDS = (
    Need(
        "other users",
        "^needs CAP_SETUID and CAP_SETGID|^cannot give an? [a-z]+ to another user",
        "root, or CAP_SETUID and CAP_SETGID, where the ids 61001 to 65534 are mapped: in a user namespace of one id, as "
        "`unshare -Ur` makes it, they are not",
        probes.other_users,
    ),
    Need(
        "files of other users",
        "^needs CAP_CHOWN|^needs a file of another user",
        "root, or CAP_CHOWN, where the ids of other users are mapped",
        probes.files_of_others,
    ),
    _capability("CAP_SYS_RESOURCE"),
    _capability("CAP_SYS_ADMIN", ", with SETUID and SETGID"),
    _capability("CAP_IPC_OWNER"),
    _capability("CAP_IPC_LOCK"),
    _capability("CAP_SYS_PTRACE"),
    Need(
        "leave to trace",
        "^needs leave to trace",
        "kernel.yama.ptrace_scope of at most 1, or CAP_SYS_PTRACE where it is 2",
        probes.tracing,
    ),
    Need(
        "append-only files",
        "^needs CAP_LINUX_IMMUTABLE",
        "root of the machine, or CAP_LINUX_IMMUTABLE, and a TMPDIR on a file system that has them, as ext4 and xfs do",
    ),
    Need(
        "IPC namespaces",
        "^needs CAP_SYS_ADMIN, or user namespaces|^an IPC namespace needs|actor in an IPC namespace needs|lead nowhere$",
        _NAMESPACES,
        partial(probes.namespace, "ipc"),
    ),
    Need(
        "network namespaces",
        "^network namespaces need|^needs a network namespace",
        _NAMESPACES,
        partial(probes.namespace, "net"),
    ),
    Need(
        "PID namespaces",
        "^needs a PID namespace",
        _NAMESPACES,
        partial(probes.namespace, "pid_for_children"),
    ),
    Need(
        "user namespaces for ordinary users",
        "^needs user namespaces",
        _NAMESPACES.partition("; or ")[2],
        probes.user_namespaces,
    ),
    Need(
        "mounts",
        "^needs a mount|^needs to mount",
        "what would change it for namespaces, and a sandbox that allows mount(2)",
        probes.mounts,
    ),
    Need(
        "limits of an IPC namespace",
        "^cannot (set|write) [^ ]+ in (an IPC|a) namespace of",
        "a /proc/sys that can be written, which most containers mount read-only: --privileged, or "
        "--security-opt systempaths=unconfined",
        probes.limits_of_ones_own,
    ),
    Need(
        "limits of the machine that can be set",
        "^cannot write /proc/sys/[^ ]+: ",
        "root, and a /proc/sys that can be written",
        probes.limits_of_the_machine,
    ),
    Need(
        "leave to change limits of the machine",
        "^changes [^ ]+ for the whole machine",
        "PYTEST_IPC_WHOLE_MACHINE=1, as root, where that disturbs nobody",
        probes.leave_for_the_machine,
    ),
    Need(
        "limits of the machine that can be reached",
        "is not shown or not set here|^a (soft|hard) limit of|is the whole machine's$|^MSGMAX is|seconds are waited for$|"
        "less than 16 pages$|too much to ask for|no power of two|^needs a (lower limit|vm.max_map_count)|"
        r"^(kernel|fs|vm|net|user)\.[a-z_.…]+ is |^a documented limit is in the way",
        "another value of the limit that is named, by sysctl(8) or a container's --sysctl, where that disturbs nobody",
    ),
    Need(
        "limits of a process",
        r"RLIMIT_|^needs to lock a page|^pids\.max of",
        "a higher limit of the process: ulimit before the command, a container's --ulimit, LimitMEMLOCK= and its kin of systemd",
        probes.room_of_processes,
    ),
    Need(
        "files of /proc",
        "^needs /proc/|^ENOENT: /proc/|^needs VmLck|^/proc/PID/status does not tell|^/proc/sys/fs/pipe-max-size is not shown here",
        "a proc(5) that shows them: one that is mounted without hidepid, and no sandbox that covers it; some come with "
        "CONFIG_SYSVIPC, CONFIG_POSIX_MQUEUE and CONFIG_CHECKPOINT_RESTORE",
        probes.files_of_proc,
    ),
    Need(
        "what fixtures use",
        "^needs .*, which [a-z_ ]+ uses: ",
        "a sandbox or seccomp filter that lets the call pass; for /proc, mount -t proc none /proc",
        means.describe,
    ),
    Need(
        "room",
        "^could not be set up: |has room for ",
        "more of what the error names: descriptors for EMFILE, space for ENOSPC, memory for ENOMEM, rights for EPERM and EACCES",
    ),
    Need(
        "a kernel new enough",
        "^the clause came with Linux|^needs Linux|^needs a kernel (?!with huge)|^needs a mincore|^needs a memory file",
        "a newer kernel, or one that is built with what is named",
        probes.newest_kernel,
    ),
    Need(
        "a kernel without something",
        "^this kernel was",
        "another kernel: the clause is about those that are built or started without it",
    ),
    Need(
        "calls of the kernel",
        "^ENOSYS: (?!.* this libc)",
        "a kernel that has the call, whose page names the release; or a seccomp filter that lets it pass",
    ),
    Need(
        "functions of the libc",
        "^ENOSYS: .* this libc has no such function|this libc shows no",
        "another libc, or a newer one",
    ),
    Need(
        "another processor",
        "^(layout|numbers) unknown|no system call of its own|^needs to know how|^needs a (64-bit|little-endian|processor)",
        "nothing on this processor: the clause is about others, or pytest-ipc does not know its layout",
    ),
    Need(
        "memory files",
        "/dev/shm$|^needs a /dev/shm|is mounted read-only$",
        "a tmpfs with a limit and mode 1777 there: mount -t tmpfs -o size=64m,mode=1777 none /dev/shm, --shm-size for a container",
        probes.memory_files,
    ),
    Need(
        "a file system of another kind",
        "^needs a file system",
        "a TMPDIR on a file system of the kind that is named",
    ),
    Need(
        "a network",
        "^needs IPv6|^needs the loopback|^every port may be bound|^a cable between two hosts",
        "a loopback device that is up, with IPv6: net.ipv6.conf.all.disable_ipv6=0; for the cable, CAP_NET_ADMIN and veth devices",
        probes.network,
    ),
    Need(
        "terminals",
        "^needs a pty|^needs /dev/tty",
        "a devpts with room: mount -t devpts none /dev/pts",
        probes.terminals,
    ),
    Need(
        "control groups",
        "^needs a cgroup",
        "a mounted file system cgroup2, and root or a cgroup that is delegated to this user: "
        "systemd-run --user --scope -p Delegate=yes",
    ),
    Need(
        "huge pages",
        "^needs huge pages|with huge pages",
        "a kernel with hugetlbfs, and as many huge pages as are named: vm.nr_hugepages",
    ),
    Need(
        "core files",
        "core_pattern",
        "kernel.core_pattern=core, where that disturbs nobody, and ulimit -c above 0",
    ),
    Need(
        "programs",
        "^needs the program|^needs ipcs|^`ipcs` shows",
        "the package of the program: util-linux for ipcs and ipcrm, coreutils for mkfifo",
    ),
    Need(
        "seccomp",
        "^needs seccomp",
        "a kernel with CONFIG_SECCOMP, and a sandbox that allows prctl(2) to use it",
    ),
    Need(
        "time",
        "^needs a (machine|clock) that",
        "to try again later, on a machine with less to do",
    ),
)

USES = (
    Use(
        "/proc/PID/syscall",
        "wait_blocked goes by the state of a child, which does not tell in what it waits",
        "a kernel with CONFIG_HAVE_ARCH_TRACEHOOK and leave to trace one's children: kernel.yama.ptrace_scope at most 1",
        probes.blocked_calls,
    ),
    Use(
        "pidfd_open(2)",
        "the reaper asks 20 times a second whether its owner lives",
        "Linux 5.3, or a seccomp filter that lets it pass",
        probes.pidfds,
    ),
    Use(
        "/dev/mqueue",
        "message queues are not seen as files; they are made, used and removed all the same",
        "mount -t mqueue none /dev/mqueue",
        probes.queue_folder,
    ),
)


def need_of(reason: str) -> Need | None:
    """The row whose words *reason* is in; None where no row knows it."""
    return next((need for need in NEEDS if re.search(need.words, reason)), None)
