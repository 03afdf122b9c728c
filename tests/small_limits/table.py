"""The limits, each near its minimum, and what is tried under it: a row each.

A limit is as small as still lets the suite itself run: pytest needs some descriptors, some memory, a thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ROWS", "SAMPLE", "Row"]

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Row:
    """One small limit: by getrlimit(2), by /proc/sys, of /dev/shm or of the pipes of a user; and what it touches.

    `sysctls` are of a new IPC and network namespace; those of `machine` are everybody's, and only set where that is
    allowed.
    """

    rlimits: dict[str, int] = field(default_factory=dict)
    sysctls: dict[str, int | str] = field(default_factory=dict)
    machine: dict[str, int | str] = field(default_factory=dict)
    shm: str = ""  # options of a tmpfs
    pipes: bool = False  # as many pages as the user may have are taken
    touches: tuple[str, ...] = ()


def _rlimit(name: str, value: int, *touches: str) -> Row:
    return Row(rlimits={name: value}, touches=touches)


def _sysctl(name: str, value: int | str, *touches: str, **more: int | str) -> Row:
    return Row(sysctls={name: value, **more}, touches=touches)


def _machine(name: str, value: int | str, *touches: str) -> Row:
    return Row(machine={name: value}, touches=touches)


SHM, SEM, MSG = ("shm", "namespace", "limits"), ("sem", "namespace", "limits"), ("msg", "namespace", "limits")

ROWS: dict[str, Row] = {
    "NOFILE-40": _rlimit("NOFILE", 40),
    "NOFILE-64": _rlimit("NOFILE", 64, "socket", "process", "lock", "limits"),
    "NPROC-4": _rlimit("NPROC", 4),
    "NPROC-12": _rlimit("NPROC", 12, "process", "signal"),
    "MEMLOCK-0": _rlimit("MEMLOCK", 0, "mmap", "shm", "limits", "process"),
    "MEMLOCK-4096": _rlimit("MEMLOCK", 4096, "mmap", "shm", "limits", "process"),
    "SIGPENDING-0": _rlimit("SIGPENDING", 0, "signal", "mq_*"),
    "SIGPENDING-8": _rlimit("SIGPENDING", 8, "signal", "mq_*"),
    "MSGQUEUE-0": _rlimit("MSGQUEUE", 0, "posix"),
    "MSGQUEUE-4096": _rlimit("MSGQUEUE", 4096, "posix"),
    "FSIZE-2M": _rlimit("FSIZE", 2 * MIB, "mmap", "posix", "limits"),
    "AS-384M": _rlimit("AS", 384 * MIB, "mmap", "shm", "process"),
    "DATA-192M": _rlimit("DATA", 192 * MIB, "mmap", "shm", "process"),
    "STACK-256K": _rlimit("STACK", 256 * KIB, "process", "signal", "mmap"),
    "CORE-0": _rlimit("CORE", 0, "signal", "process"),
    "LOCKS-0": _rlimit("LOCKS", 0, "lock", "process"),
    "NICE-RTPRIO-0": Row(rlimits={"NICE": 0, "RTPRIO": 0}, touches=("process", "sync", "posix")),
    "shmmax-1": _sysctl("kernel/shmmax", 1, *SHM),
    "shmmax-4096": _sysctl("kernel/shmmax", 4096, *SHM),
    "shmall-0": _sysctl("kernel/shmall", 0, *SHM),
    "shmall-2": _sysctl("kernel/shmall", 2, *SHM),
    "shmmni-0": _sysctl("kernel/shmmni", 0, *SHM),
    "shmmni-1": _sysctl("kernel/shmmni", 1, *SHM),
    "shm_rmid_forced": _sysctl("kernel/shm_rmid_forced", 1, *SHM),
    "semmsl-1": _sysctl("kernel/sem", "1 32000 500 32000", *SEM),
    "semmns-2": _sysctl("kernel/sem", "32000 2 500 32000", *SEM),
    "semopm-1": _sysctl("kernel/sem", "32000 32000 1 32000", *SEM),
    "semmni-1": _sysctl("kernel/sem", "32000 32000 500 1", *SEM),
    "sem-1": _sysctl("kernel/sem", "1 1 1 1", *SEM),
    "sem-0": _sysctl("kernel/sem", "0 0 0 0", *SEM),
    "msgmax-0": _sysctl("kernel/msgmax", 0, *MSG),
    "msgmax-16": _sysctl("kernel/msgmax", 16, *MSG),
    "msgmnb-0": _sysctl("kernel/msgmnb", 0, *MSG),
    "msgmnb-16": _sysctl("kernel/msgmnb", 16, *MSG),
    "msgmni-0": _sysctl("kernel/msgmni", 0, *MSG),
    "msgmni-1": _sysctl("kernel/msgmni", 1, *MSG),
    "queues_max-0": _sysctl("fs/mqueue/queues_max", 0, "posix", "namespace"),
    "queues_max-1": _sysctl("fs/mqueue/queues_max", 1, "posix", "namespace"),
    "msg_max-1": Row(
        sysctls={"fs/mqueue/msg_default": 1, "fs/mqueue/msg_max": 1}, touches=("posix", "namespace", "limits")
    ),
    "msgsize_max-128": Row(
        sysctls={"fs/mqueue/msgsize_default": 128, "fs/mqueue/msgsize_max": 128},
        touches=("posix", "namespace", "limits"),
    ),
    "msg_default-1": Row(
        sysctls={"fs/mqueue/msg_default": 1, "fs/mqueue/msgsize_default": 128}, touches=("posix", "namespace")
    ),
    "somaxconn-0": _sysctl("net/core/somaxconn", 0, "socket"),
    "somaxconn-1": _sysctl("net/core/somaxconn", 1, "socket"),
    "max_dgram_qlen-0": _sysctl("net/unix/max_dgram_qlen", 0, "socket"),
    "max_dgram_qlen-1": _sysctl("net/unix/max_dgram_qlen", 1, "socket"),
    "shm-4K": Row(shm="size=4k,mode=1777", touches=("posix", "mmap", "sync", "shm")),
    "shm-64K": Row(shm="size=64k,mode=1777", touches=("posix", "mmap")),
    "shm-4-inodes": Row(shm="nr_inodes=4,mode=1777", touches=("posix", "mmap", "sync")),
    "shm-read-only": Row(shm="ro,mode=1777", touches=("posix", "mmap", "sync")),
    "pipe-pages-taken": Row(pipes=True, touches=("pipe", "fifo")),
    "pipe-max-size-4096": _machine("fs/pipe-max-size", 4096, "pipe", "fifo"),
    "pipe-user-pages-soft-1": _machine("fs/pipe-user-pages-soft", 1, "pipe", "fifo"),
    "pipe-user-pages-hard-64": _machine("fs/pipe-user-pages-hard", 64, "pipe", "fifo"),
    "max_map_count-1000": _machine("vm/max_map_count", 1000, "mmap", "shm"),
    "file-max-1000": _machine("fs/file-max", 1000, "socket", "process", "limits"),
    "nr_open-1024": _machine("fs/nr_open", 1024, "limits", "socket", "process"),
    "overcommit-2": _machine("vm/overcommit_memory", 2, "mmap", "shm"),
    "leases-off": _machine("fs/leases-enable", 0, "lock"),
    "lease-break-time-1": _machine("fs/lease-break-time", 1, "lock"),
    "protected_fifos-2": _machine("fs/protected_fifos", 2, "fifo"),
    "ptrace_scope-3": _machine("kernel/yama/ptrace_scope", 3, "process", "fifo"),
    "wmem-4608": Row(machine={"net/core/wmem_default": 4608, "net/core/wmem_max": 4608}, touches=("socket",)),
    "rmem-2304": Row(machine={"net/core/rmem_default": 2304, "net/core/rmem_max": 2304}, touches=("socket",)),
    "optmem_max-256": _machine("net/core/optmem_max", 256, "socket"),
    "user-namespaces-0": _machine("user/max_user_namespaces", 0, "namespace", "limits"),
    "ipc-namespaces-0": _machine("user/max_ipc_namespaces", 0, "namespace", "limits"),
}

# One of each kind, for every run of the tests; the others are tried by --every-limit.
SAMPLE = (
    "NOFILE-64",
    "MEMLOCK-0",
    "SIGPENDING-0",
    "MSGQUEUE-0",
    "shmall-2",
    "sem-1",
    "msgmnb-16",
    "shm-64K",
    "pipe-pages-taken",
)
