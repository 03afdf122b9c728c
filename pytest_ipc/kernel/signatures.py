"""The signatures of C functions: what each argument means, which a pointer's type in C does not say.

A line of the table has a function, the kinds of its arguments, and the kind of its result:

    msgrcv(msqid out:msgbuf@r size long f:msg) size

`f:` and `c:` are flags and commands by the group of their names; `in:`, `out:` and `io:` pointers to what the call
reads, writes, or both, `*` with a number of elements, `@` with a number of bytes: a constant, the number of the
argument that has it, or `r`, the result. `ctl:` is the argument that a command gives its meaning. A kind that an
earlier call may have given (fd, msqid, semid, shmid, pid, addr, sem) refers to that call.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from ..unpatched import fcntl, os, signal

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Kinds of values that a call gives and a later one takes; they differ between two runs.
GIVEN = frozenset({"fd", "msqid", "semid", "shmid", "pid", "addr", "sem"})

_TABLE = """
    msgget(key f:get) msqid
    msgsnd(msqid in:msgbuf@2 size f:msg) zero
    msgrcv(msqid out:msgbuf@r size long f:msg) size
    msgctl(msqid c:msgctl ctl:msgctl) int
    semget(key int f:get) semid
    semop(semid in:sembuf*2 size) zero
    semtimedop(semid in:sembuf*2 size in:timespec) zero
    semctl(semid int c:semctl ctl:semctl) int
    shmget(key size f:get) shmid
    shmat(shmid addr f:shm) addr
    shmdt(addr) zero
    shmctl(shmid c:shmctl ctl:shmctl) int
    ftok(path int) key
    pipe2(out:fd*2! f:openflag) zero
    open(path f:open mode) fd
    close(fd) zero
    read(fd out:bytes@r size) size
    write(fd in:bytes@2 size) size
    fcntl(fd c:fcntl ctl:fcntl) int
    ioctl(fd c:ioctl ctl:ioctl) int
    flock(fd f:lock) zero
    lockf(fd c:lockf off) zero
    mkfifo(path mode) zero
    mkfifoat(fd path mode) zero
    tee(fd fd size f:splice) size
    splice(fd io:off fd io:off size f:splice) size
    ftruncate(fd off) zero
    fallocate(fd f:falloc off off) zero
    posix_fallocate(fd off off) errno
    memfd_create(name f:mfd) fd
    shm_open(name f:open mode) fd
    shm_unlink(name) zero
    mmap(addr size f:prot f:map fd off) addr
    munmap(addr size) zero
    mprotect(addr size f:prot) zero
    msync(addr size f:ms) zero
    mremap(addr size size f:mremap addr) addr
    madvise(addr size c:madv) zero
    mlock(addr size) zero
    mlock2(addr size f:mlock2) zero
    munlock(addr size) zero
    mlockall(f:mcl) zero
    munlockall() zero
    mq_open(name f:open mode in:mq_attr) fd
    mq_close(fd) zero
    mq_unlink(name) zero
    mq_send(fd in:bytes@2 size uint) zero
    mq_timedsend(fd in:bytes@2 size uint in:abstime) zero
    mq_receive(fd out:bytes@r size out:uint) size
    mq_timedreceive(fd out:bytes@r size out:uint in:abstime) size
    mq_getattr(fd out:mq_attr) zero
    mq_setattr(fd in:mq_attr out:mq_attr) zero
    sem_open(name f:open mode uint) sem
    sem_close(sem) zero
    sem_unlink(name) zero
    sem_init(sem int uint) zero
    sem_destroy(sem) zero
    sem_post(sem) zero
    sem_wait(sem) zero
    sem_trywait(sem) zero
    sem_timedwait(sem in:abstime) zero
    sem_getvalue(sem out:int) zero
    eventfd(uint f:efd) fd
    timerfd_create(c:clock f:tfd) fd
    timerfd_settime(fd f:settime in:itimerspec out:itimerspec) zero
    timerfd_gettime(fd out:itimerspec) zero
    epoll_create(int) fd
    epoll_create1(f:epoll) fd
    epoll_ctl(fd c:epoll_ctl fd in:epoll_event) zero
    epoll_wait(fd out:epoll_event*r int int) size
    socketpair(c:af f:sock int out:fd*2!) zero
    socket(c:af f:sock int) fd
    send(fd in:bytes@2 size f:msgflag) size
    recv(fd out:bytes@r size f:msgflag) size
    kill(pid c:signal) zero
    alarm(uint) uint
    dup(fd) fd
    dup2(fd fd) fd
    dup3(fd fd f:openflag) fd
    unlink(path) zero
    link(path path) zero
    mkdir(path mode) zero
    rmdir(path) zero
    lseek(fd off c:seek) off
    pread(fd out:bytes@r size off) size
    pwrite(fd in:bytes@2 size off) size
    fchmod(fd mode) zero
    chmod(path mode) zero
    truncate(path off) zero
    umask(mode) mode
    setsid() pid
    setpgid(pid pid) zero
    getpgid(pid) pid
    getpgrp() pid
    getsid(pid) pid
    getpid() pid
    getppid() pid
    setuid(id) zero
    setgid(id) zero
    seteuid(id) zero
    setegid(id) zero
    setresuid(id id id) zero
    setresgid(id id id) zero
    setgroups(size in:gid*0) zero
    setrlimit(c:rlimit in:rlimit) zero
    unshare(f:clone) zero
    pause() zero
    sigaction(c:signal in:sigaction out:sigaction) zero
    prctl(c:prctl ulong ulong ulong ulong) int
    signal(c:signal c:disposition) disposition
    sigmask(c:how in:sigset) zero
    waitpid(pid out:status f:wait) pid
"""

# By group and command, the kind of the argument; a command that is not here takes none.
_COMMANDS: dict[str, dict[str, str]] = {
    "msgctl": {
        "IPC_STAT": "out:msqid_ds",
        "IPC_SET": "in:msqid_ds",
        "MSG_STAT": "out:msqid_ds",
        "MSG_STAT_ANY": "out:msqid_ds",
        "IPC_INFO": "out:msginfo",
        "MSG_INFO": "out:msginfo",
    },
    "semctl": {
        "SETVAL": "int",
        "GETALL": "out:ushort*n",
        "SETALL": "in:ushort*n",
        "IPC_STAT": "out:semid_ds",
        "IPC_SET": "in:semid_ds",
        "SEM_STAT": "out:semid_ds",
        "SEM_STAT_ANY": "out:semid_ds",
        "IPC_INFO": "out:seminfo",
        "SEM_INFO": "out:seminfo",
    },
    "shmctl": {
        "IPC_STAT": "out:shmid_ds",
        "IPC_SET": "in:shmid_ds",
        "SHM_STAT": "out:shmid_ds",
        "SHM_STAT_ANY": "out:shmid_ds",
        "IPC_INFO": "out:shminfo",
        "SHM_INFO": "out:shm_info",
    },
    "fcntl": {
        **dict.fromkeys(("F_SETFL",), "f:open"),
        **dict.fromkeys(("F_SETFD",), "f:fd"),
        **dict.fromkeys(("F_DUPFD", "F_DUPFD_CLOEXEC", "F_SETPIPE_SZ"), "int"),
        **dict.fromkeys(("F_SETLEASE",), "c:lease"),
        **dict.fromkeys(("F_SETSIG",), "c:signal"),
        **dict.fromkeys(("F_SETOWN",), "pid"),
        **dict.fromkeys(("F_ADD_SEALS",), "f:seal"),
        **dict.fromkeys(("F_NOTIFY",), "int"),
        **dict.fromkeys(("F_SETLK", "F_SETLKW", "F_OFD_SETLK", "F_OFD_SETLKW"), "in:flock64"),
        **dict.fromkeys(("F_GETLK", "F_OFD_GETLK"), "io:flock64"),
    },
    "ioctl": {"FIONREAD": "out:int"},
}

# Constants that Python's modules do not have, with the numbers that are the same on every machine of the tables.
_OWN: dict[str, dict[str, int]] = {
    "get": {"IPC_CREAT": 0o1000, "IPC_EXCL": 0o2000, "SHM_HUGETLB": 0o4000, "SHM_NORESERVE": 0o10000},
    "msg": {"IPC_NOWAIT": 0o4000, "MSG_NOERROR": 0o10000, "MSG_EXCEPT": 0o20000, "MSG_COPY": 0o40000},
    "semflag": {"IPC_NOWAIT": 0o4000, "SEM_UNDO": 0o10000},
    "shm": {"SHM_RDONLY": 0o10000, "SHM_RND": 0o20000, "SHM_REMAP": 0o40000, "SHM_EXEC": 0o100000},
    "msgctl": {"IPC_RMID": 0, "IPC_SET": 1, "IPC_STAT": 2, "IPC_INFO": 3, "MSG_STAT": 11, "MSG_INFO": 12}
    | {"MSG_STAT_ANY": 13},
    "semctl": {"IPC_RMID": 0, "IPC_SET": 1, "IPC_STAT": 2, "IPC_INFO": 3, "GETPID": 11, "GETVAL": 12, "GETALL": 13}
    | {"GETNCNT": 14, "GETZCNT": 15, "SETVAL": 16, "SETALL": 17, "SEM_STAT": 18, "SEM_INFO": 19, "SEM_STAT_ANY": 20},
    "shmctl": {"IPC_RMID": 0, "IPC_SET": 1, "IPC_STAT": 2, "IPC_INFO": 3, "SHM_LOCK": 11, "SHM_UNLOCK": 12}
    | {"SHM_STAT": 13, "SHM_INFO": 14, "SHM_STAT_ANY": 15},
    "lock": {"LOCK_SH": 1, "LOCK_EX": 2, "LOCK_NB": 4, "LOCK_UN": 8},
    "lockf": {"F_ULOCK": 0, "F_LOCK": 1, "F_TLOCK": 2, "F_TEST": 3},
    "mfd": {"MFD_CLOEXEC": 1, "MFD_ALLOW_SEALING": 2, "MFD_HUGETLB": 4, "MFD_NOEXEC_SEAL": 8, "MFD_EXEC": 16},
    "efd": {"EFD_SEMAPHORE": 1, "EFD_NONBLOCK": os.O_NONBLOCK, "EFD_CLOEXEC": os.O_CLOEXEC},
    "tfd": {"TFD_NONBLOCK": os.O_NONBLOCK, "TFD_CLOEXEC": os.O_CLOEXEC},
    "settime": {"TFD_TIMER_ABSTIME": 1, "TFD_TIMER_CANCEL_ON_SET": 2},
    "epoll": {"EPOLL_CLOEXEC": os.O_CLOEXEC},
    "epoll_ctl": {"EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3},
    "prot": {"PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4},
    "ms": {"MS_ASYNC": 1, "MS_INVALIDATE": 2, "MS_SYNC": 4},
    "mremap": {"MREMAP_MAYMOVE": 1, "MREMAP_FIXED": 2, "MREMAP_DONTUNMAP": 4},
    "mcl": {"MCL_CURRENT": 1, "MCL_FUTURE": 2, "MCL_ONFAULT": 4},
    "mlock2": {"MLOCK_ONFAULT": 1},
    "splice": {"SPLICE_F_MOVE": 1, "SPLICE_F_NONBLOCK": 2, "SPLICE_F_MORE": 4, "SPLICE_F_GIFT": 8},
    "falloc": {"FALLOC_FL_KEEP_SIZE": 1, "FALLOC_FL_PUNCH_HOLE": 2},
    "fd": {"FD_CLOEXEC": 1},
    "lease": {"F_RDLCK": 0, "F_WRLCK": 1, "F_UNLCK": 2},
    "seal": {"F_SEAL_SEAL": 1, "F_SEAL_SHRINK": 2, "F_SEAL_GROW": 4, "F_SEAL_WRITE": 8, "F_SEAL_FUTURE_WRITE": 16},
    "ioctl": {"FIONREAD": 0x541B},
    "clock": {"CLOCK_REALTIME": 0, "CLOCK_MONOTONIC": 1, "CLOCK_BOOTTIME": 7},
    "af": {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10},
    "sock": {"SOCK_NONBLOCK": os.O_NONBLOCK, "SOCK_CLOEXEC": os.O_CLOEXEC},
    "msgflag": {"MSG_OOB": 1, "MSG_PEEK": 2, "MSG_TRUNC": 0x20, "MSG_DONTWAIT": 0x40, "MSG_WAITALL": 0x100}
    | {"MSG_NOSIGNAL": 0x4000},
    "seek": {"SEEK_SET": 0, "SEEK_CUR": 1, "SEEK_END": 2},
    "wait": {"WNOHANG": 1, "WUNTRACED": 2, "WCONTINUED": 8},
    "how": {"SIG_BLOCK": 0, "SIG_UNBLOCK": 1, "SIG_SETMASK": 2},
    "disposition": {"SIG_DFL": 0, "SIG_IGN": 1},
    "prctl": {"PR_SET_PDEATHSIG": 1, "PR_GET_PDEATHSIG": 2, "PR_SET_DUMPABLE": 4, "PR_SET_NAME": 15}
    | {
        "PR_SET_CHILD_SUBREAPER": 36,
        "PR_GET_CHILD_SUBREAPER": 37,
        "PR_SET_NO_NEW_PRIVS": 38,
        "PR_SET_PTRACER": 0x59616D61,
    },
    "sa": {"SA_NOCLDSTOP": 1, "SA_NOCLDWAIT": 2, "SA_SIGINFO": 4, "SA_ONSTACK": 0x08000000, "SA_RESTART": 0x10000000}
    | {"SA_NODEFER": 0x40000000, "SA_RESETHAND": 0x80000000},
    "clone": {"CLONE_NEWIPC": 0x08000000, "CLONE_NEWNS": 0x00020000, "CLONE_NEWUSER": 0x10000000},
}
_ACCESS = {0: "O_RDONLY", 1: "O_WRONLY", 2: "O_RDWR", 3: "O_ACCMODE"}


class Kind(NamedTuple):
    """The meaning of an argument.

    `way` is "in", "out", "io", "flags", "command", "ctl", or "" for a plain value, whose `name` is its kind, as "fd".
    `number` and `size` have the elements and the bytes of a pointer; `gives` is true where the elements are `GIVEN`.
    """

    way: str
    name: str
    number: str = ""
    size: str = ""
    gives: bool = False

    @property
    def is_pointer(self) -> bool:
        """Whether the argument is an address that the call reads or writes."""
        return self.way in ("in", "out", "io")


class Signature(NamedTuple):
    """The kinds of a function's arguments and of its result."""

    arguments: tuple[Kind, ...]
    result: str


_WAYS = {"f": "flags", "c": "command"}


def _kind(text: str) -> Kind:
    found = re.fullmatch(r"(?:(\w+):)?(\w+)(?:\*(\w+))?(?:@(\w+))?(!)?", text)
    assert found is not None, text
    way = _WAYS.get(found[1] or "", found[1] or "")
    return Kind(way, found[2], found[3] or "", found[4] or "", bool(found[5]))


@cache
def _signatures() -> dict[str, Signature]:
    lines = re.findall(r"(\w+)\((.*?)\) (\w+)", _TABLE)
    return {name: Signature(tuple(map(_kind, kinds.split())), result) for name, kinds, result in lines}


def signature(name: str) -> Signature | None:
    """Return the signature of a C function; None if the table does not have it."""
    return _signatures().get(name)


@cache
def command_kind(group: str, command: int) -> Kind | None:
    """Return the kind of the argument of *command*; None if it takes none."""
    text = _COMMANDS.get(group, {}).get(names_of(group).get(command, ""))
    return _kind(text) if text is not None else None


@cache
def names_of(group: str) -> dict[int, str]:
    """Return the names of a group of constants, by number."""
    found = {number: name for name, number in _OWN.get(group, {}).items()}
    if group in ("open", "openflag"):
        found |= _in(os, "O_", not_these={"O_ACCMODE", "O_RDONLY", "O_WRONLY", "O_RDWR", "O_NDELAY", "O_FSYNC"})
        found |= {os.O_SYNC: "O_SYNC", os.O_NONBLOCK: "O_NONBLOCK"}
    elif group == "fcntl":
        found |= _in(fcntl, "F_", not_these={"F_RDLCK", "F_WRLCK", "F_UNLCK", "F_EXLCK", "F_SHLCK"})
        found = {number: name for number, name in found.items() if not name.startswith("F_SEAL")}
        found |= {1031: "F_SETPIPE_SZ", 1032: "F_GETPIPE_SZ", 5: "F_GETLK", 6: "F_SETLK", 7: "F_SETLKW"}
        found |= {36: "F_OFD_GETLK", 37: "F_OFD_SETLK", 38: "F_OFD_SETLKW", 1033: "F_ADD_SEALS", 1034: "F_GET_SEALS"}
        found |= {10: "F_SETSIG", 11: "F_GETSIG", 8: "F_SETOWN", 9: "F_GETOWN", 1024: "F_SETLEASE", 1025: "F_GETLEASE"}
        found |= {12: "F_GETLK64", 13: "F_SETLK64", 14: "F_SETLKW64"} if 12 not in found else {}
    elif group == "signal":
        found |= {int(number): number.name for number in signal.Signals}
    elif group == "rlimit":
        import resource

        found |= _in(resource, "RLIMIT_")
    elif group in ("map", "madv"):
        from . import memory

        found |= _in(memory, f"{group.upper()}_", not_these={"MAP_FILE", "MAP_ANON", "MAP_SHARED_VALIDATE"})
        found = {number: name for number, name in found.items() if not name.startswith("MAP_HUGE_")}
    elif group == "sock":
        found |= {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 5: "SOCK_SEQPACKET"}
    return found


def _in(module: object, prefix: str, not_these: frozenset[str] | set[str] = frozenset()) -> dict[int, str]:
    return {
        int(value): name
        for name, value in sorted(vars(module).items(), reverse=True)
        if name.startswith(prefix) and name not in not_these and isinstance(value, int)
    }


def flag_names(group: str, value: int) -> tuple[list[str], int]:
    """Return the names of the flags in *value* and the remaining number, for example a mode."""
    names: list[str] = []
    if value < 0:
        return [], value
    if group == "open":
        names.append(_ACCESS[value & 3])
        value &= ~3
    elif group == "map" and value & 3 in (1, 2, 3):
        names.append({1: "MAP_SHARED", 2: "MAP_PRIVATE", 3: "MAP_SHARED_VALIDATE"}[value & 3])
        value &= ~3
    elif group == "sock" and value & 15 in (1, 2, 5):
        names.append(names_of("sock")[value & 15])
        value &= ~15
    for flag, name in sorted(names_of(group).items(), reverse=True):  # O_SYNC before O_DSYNC, which it contains
        if flag > 0 and value & flag == flag:
            names.append(name)
            value &= ~flag
    return names, value
