"""The flags of the kernel calls in evidence by their names: `shmget(5, 1, IPC_CREAT | IPC_EXCL | 0600) = 7`.

Evidence is recorded as numbers. They are named by the values of this machine, which most architectures share; a number
that is not wholly explained keeps the rest in hexadecimal.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable
from functools import cache

from ...kernel import (
    epoll,
    files,
    ipc,
    memory,
    msg,
    namespace,
    process,
    sem,
    shm,
    signalfds,
    splicing,
    timerfd,
    timers,
)

__all__ = ["named"]

_CALL = re.compile(r"((?:\[pid \d+\] )*)(\w+)\((.*)\)( = .*)?")
_NUMBER = re.compile(r"-?\d+")

# By call, the naming of each argument: - for none, NAME for one of a list, NAME* for a set of bits, "mode" for
# permissions; several are joined by "+", and take their bits in order.
_CALLS = """
open - access+open* mode
shm_open - access+open* mode
mq_open - access+open* mode
openat - - access+open* mode
mkfifo - mode
mkfifoat - - mode
pipe2 - open*
shmget - - get*+mode
semget - - get*+mode
msgget - get*+mode
shmat - - attach*
shmctl - shmctl
msgctl - msgctl
semctl - - semctl
msgsnd - - - message*
msgrcv - - - - message*
mmap - - protection* share+map*
mprotect - - protection*
msync - - sync*
madvise - - advice
mlockall all*
mremap - - - remap*
flock - lock*
fcntl - fcntl
lockf - section
memfd_create - memory*
unshare clone*
setns - clone*
sigaction signal
kill - signal
tgkill - - signal
sigqueue - signal
pthread_kill - signal
pidfd_send_signal - signal
prctl process
timer_create clock
timerfd_create clock timerfd*
timerfd_settime - time*
timer_settime - time*
eventfd - event*
signalfd - - signalfd*
epoll_create1 epoll_create*
epoll_ctl - epoll
socketpair domain type+socket*
accept4 - - - socket*
send - - - data*
recv - - - data*
getsockopt - level
splice - - - - - move*
tee - - - move*
vmsplice - - - move*
"""

_NAMES = """
access O_RDONLY O_WRONLY O_RDWR
open O_CREAT O_EXCL O_TRUNC O_APPEND O_NONBLOCK O_DIRECT O_DIRECTORY O_NOFOLLOW O_CLOEXEC O_PATH O_NOCTTY
get IPC_CREAT IPC_EXCL IPC_NOWAIT SHM_NORESERVE
attach SHM_RDONLY SHM_RND SHM_REMAP SHM_EXEC
shmctl IPC_RMID IPC_SET IPC_STAT IPC_INFO SHM_LOCK SHM_UNLOCK SHM_STAT SHM_INFO SHM_STAT_ANY
msgctl IPC_RMID IPC_SET IPC_STAT IPC_INFO MSG_STAT MSG_INFO MSG_STAT_ANY
semctl IPC_RMID IPC_SET IPC_STAT IPC_INFO GETPID GETVAL GETALL GETNCNT GETZCNT SETVAL SETALL SEM_STAT SEM_INFO
semctl SEM_STAT_ANY
message IPC_NOWAIT MSG_NOERROR MSG_EXCEPT MSG_COPY
protection PROT_READ PROT_WRITE PROT_EXEC
share MAP_SHARED MAP_PRIVATE MAP_SHARED_VALIDATE
map MAP_FIXED MAP_ANONYMOUS MAP_GROWSDOWN MAP_LOCKED MAP_NORESERVE MAP_POPULATE MAP_STACK MAP_HUGETLB
map MAP_FIXED_NOREPLACE
sync MS_ASYNC MS_INVALIDATE MS_SYNC
advice MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE MADV_REMOVE MADV_DONTFORK
advice MADV_DOFORK MADV_WIPEONFORK MADV_KEEPONFORK
all MCL_CURRENT MCL_FUTURE MCL_ONFAULT
remap MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP
lock LOCK_SH LOCK_EX LOCK_NB LOCK_UN
fcntl F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN F_GETOWN F_SETSIG F_GETSIG F_OFD_GETLK
fcntl F_OFD_SETLK F_OFD_SETLKW F_SETLEASE F_GETLEASE F_NOTIFY F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ F_ADD_SEALS
fcntl F_GET_SEALS
section F_ULOCK F_LOCK F_TLOCK F_TEST
memory MFD_CLOEXEC MFD_ALLOW_SEALING MFD_HUGETLB MFD_NOEXEC_SEAL MFD_EXEC
clone CLONE_NEWNS CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET CLONE_NEWCGROUP
process PR_SET_PDEATHSIG PR_GET_PDEATHSIG PR_SET_CHILD_SUBREAPER PR_SET_DUMPABLE PR_SET_NO_NEW_PRIVS
clock CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID CLOCK_BOOTTIME
clock CLOCK_REALTIME_ALARM CLOCK_BOOTTIME_ALARM CLOCK_TAI
time TFD_TIMER_ABSTIME TFD_TIMER_CANCEL_ON_SET
event EFD_SEMAPHORE EFD_NONBLOCK EFD_CLOEXEC
epoll EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD
domain AF_UNIX AF_INET AF_INET6 AF_NETLINK
socket SOCK_NONBLOCK SOCK_CLOEXEC
signalfd SFD_NONBLOCK SFD_CLOEXEC
epoll_create EPOLL_CLOEXEC
timerfd TFD_NONBLOCK TFD_CLOEXEC
type SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_SEQPACKET
data MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_CTRUNC MSG_TRUNC MSG_DONTWAIT MSG_EOR MSG_WAITALL MSG_NOSIGNAL MSG_MORE
data MSG_CMSG_CLOEXEC
level SOL_SOCKET
move SPLICE_F_MOVE SPLICE_F_NONBLOCK SPLICE_F_MORE SPLICE_F_GIFT
"""

_MODULES = (
    *(epoll, files, ipc, memory, msg, namespace, process, sem, shm, signalfds, splicing, timerfd, timers),
    *(os, socket, time, fcntl, select),
)

# The part of the number that a list without a star is about; the rest are the bits of the next list.
_MASKS = {"access": 3, "share": 3, "type": 15}


@cache
def _calls() -> dict[str, list[str]]:
    rows = (row.split() for row in _CALLS.strip().splitlines())
    return {name: arguments for name, *arguments in rows}


@cache
def _values(kind: str) -> dict[int, str]:
    """Return the names of a list by value; names that this Python does not know are left out."""
    if kind == "signal":
        return {int(signo): signo.name for signo in signal.Signals}
    found: dict[int, str] = {}
    for row in _NAMES.strip().splitlines():
        list_name, *names = row.split()
        for name in names if list_name == kind else ():
            value = next((int(getattr(m, name)) for m in _MODULES if hasattr(m, name)), None)
            if value is not None:
                found.setdefault(value, name)
    return found


def named(line: str) -> str:
    """Return a line of evidence with its flags by name; other lines unchanged."""
    call = _CALL.fullmatch(line)
    if call is None or call[2] not in _calls():
        return line
    arguments = _split(call[3])
    for index, naming in enumerate(_calls()[call[2]][: len(arguments)]):
        if naming != "-" and _NUMBER.fullmatch(arguments[index]):
            arguments[index] = _named(int(arguments[index]), naming)
    return f"{call[1]}{call[2]}({', '.join(arguments)}){call[4] or ''}"


def _split(text: str) -> list[str]:
    """Return the arguments; a comma in a quoted text separates nothing."""
    return [part.strip() for part in re.findall(r"""(?:b?'(?:\\.|[^'\\])*'|b?"(?:\\.|[^"\\])*"|[^,])+""", text)]


def _named(number: int, naming: str) -> str:
    if number < 0:
        return str(number)
    words = list[str]()
    for part in naming.split("+"):
        words_of_part, number = _PARTS.get(part, _of_list)(number, part)
        words += words_of_part
    if number:
        words.append(hex(number) if words or naming.endswith(("*", "mode")) else str(number))
    return " | ".join(words) or "0"


def _of_mode(number: int, _part: str) -> tuple[list[str], int]:
    return ([f"0{number & 0o7777:o}"] if number & 0o7777 else []), number & ~0o7777


def _of_list(number: int, part: str) -> tuple[list[str], int]:
    """Return the names that *part* gives to a number, and what they leave of it."""
    values = _values(part.removesuffix("*"))
    if part.endswith("*"):
        names = []
        for value, name in sorted(values.items(), key=lambda entry: -entry[0].bit_count()):
            if value and number & value == value:
                names.append((value, name))
                number &= ~value
        return [name for _, name in sorted(names)], number
    own = number & _MASKS.get(part, -1)
    return ([values[own]], number & ~own) if own in values else ([], number)


_PARTS: dict[str, Callable[[int, str], tuple[list[str], int]]] = {"mode": _of_mode}
