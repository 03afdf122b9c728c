"""The manual that the clauses are read in: its release, and the level and first version of each page.

The clauses are sentences of the Linux manual in the release below. Other sources are POSIX.1-2024, the kernel's
documentation, util-linux, and the kernel's source where nothing is documented. The release is set here, once;
docs/manual.py shows the changes of a later one.

The level of a clause is that of its promise: `posix` for every conforming system, `linux` for the kernel, `glibc` for
that libc. It is the page's, unless the clause is about something that POSIX lacks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

__all__ = ["LEVELS", "RELEASE", "UNKNOWN", "Source", "source"]

RELEASE = "man-pages 6.20"
LEVELS = ("posix", "linux", "glibc")

_POSIX = "POSIX.1-2024"
_KERNEL = "Linux 6.18, Documentation"
_SOURCE = "Linux 6.18, source"
_UTIL_LINUX = "util-linux 2.42"

# By page: the level, and the kernel and libc that introduced it, if the page names them.
_PAGES = """
_exit(3) posix
accept(2) posix
alarm(2) posix
bind(2) posix
capabilities(7) linux 2.2
cgroups(7) linux 4.5
clone(2) linux
close(2) posix
connect(2) posix
core(5) linux
credentials(7) posix
epoll(7) linux 2.5.44, glibc 2.3.2
epoll_create(2) linux 2.6, glibc 2.3.2
epoll_ctl(2) linux 2.6, glibc 2.3.2
epoll_wait(2) linux 2.6, glibc 2.3.2
eventfd(2) linux 2.6.22, glibc 2.8
execve(2) posix
F_GETLEASE(2const) linux 2.4
F_GETSIG(2const) linux
F_GET_SEALS(2const) linux 3.17
fallocate(2) linux 2.6.23, glibc 2.10
fcntl(2) posix
fcntl_locking(2) posix
fifo(7) posix
flock(2) linux
fork(2) posix
ftok(3) posix
futex(2) linux 2.6.0
FUTEX_CMP_REQUEUE(2const) linux 2.6.7
FUTEX_LOCK_PI(2const) linux 2.6.18
FUTEX_REQUEUE(2const) linux 2.6.0
FUTEX_UNLOCK_PI(2const) linux 2.6.18
FUTEX_WAIT(2const) linux 2.6.0
FUTEX_WAIT_BITSET(2const) linux 2.6.25
FUTEX_WAKE(2const) linux 2.6.0
FUTEX_WAKE_BITSET(2const) linux 2.6.25
FUTEX_WAKE_OP(2const) linux 2.6.14
futex_waitv(2) linux 5.16
get_robust_list(2) linux 2.6.17
getrlimit(2) posix
ip(7) linux
ipc_namespaces(7) linux 2.6.19
ipv6(7) linux
IPV6_V6ONLY(2const) posix
kill(2) posix
listen(2) posix
lockf(3) posix
madvise(2) linux
memfd_create(2) linux 3.17, glibc 2.27
mkfifo(3) posix
mknod(2) posix
mlock(2) posix
mlockall(2) posix
mmap(2) posix
mprotect(2) posix
mq_close(3) posix 2.6.6, glibc 2.3.4
mq_getattr(3) posix 2.6.6, glibc 2.3.4
mq_notify(3) posix 2.6.6, glibc 2.3.4
mq_open(3) posix 2.6.6, glibc 2.3.4
mq_overview(7) posix 2.6.6, glibc 2.3.4
mq_receive(3) posix 2.6.6, glibc 2.3.4
mq_send(3) posix 2.6.6, glibc 2.3.4
mq_unlink(3) posix 2.6.6, glibc 2.3.4
mremap(2) linux
msgctl(2) posix
msgget(2) posix
msgop(2) posix
msync(2) posix
munmap(2) posix
namespaces(7) linux
network_namespaces(7) linux 2.6.24
open(2) posix
pause(2) posix
pidfd_getfd(2) linux 5.6
pidfd_open(2) linux 5.3
pidfd_send_signal(2) linux 5.1
pipe(2) posix
pipe(7) posix
poll(2) posix
popen(3) posix
posix_fallocate(3) posix
posix_spawn(3) posix
prctl(2) linux 2.1.57, glibc 2.0.6
proc_locks(5) linux
proc_net(5) linux
proc_pid_stat(5) linux
proc_sys_kernel(5) linux
proc_sysvipc(5) linux
process_vm_readv(2) linux 3.2, glibc 2.15
pthread_cond_wait(3) posix
pthread_create(3) posix
pthread_kill(3) posix
pthread_mutex_lock(3) posix
pthread_mutexattr_setpshared(3) posix
pthread_mutexattr_setrobust(3) posix glibc 2.12
pthread_sigmask(3) posix
pthread_sigqueue(3) glibc glibc 2.11
ptrace(2) linux
read(2) posix
recv(2) posix
recvmsg(2) posix
select(2) posix
sem_close(3) posix
sem_destroy(3) posix
sem_getvalue(3) posix
sem_init(3) posix
sem_open(3) posix
sem_overview(7) posix
sem_post(3) posix
sem_unlink(3) posix
sem_wait(3) posix
semctl(2) posix
semget(2) posix
semop(2) posix
send(2) posix
setitimer(2) linux
setns(2) linux 3.0, glibc 2.14
setpgid(2) posix
setsid(2) posix
shm_open(3) posix
shm_overview(7) posix
shmctl(2) posix
shmget(2) posix
shmop(2) posix
shutdown(2) posix
sigaction(2) posix
sigaltstack(2) posix
sigevent(7) posix
signal(7) posix
signalfd(2) linux 2.6.22, glibc 2.8
sigpending(2) posix
sigprocmask(2) posix
sigqueue(3) posix 2.2
sigsuspend(2) posix
sigwait(3) posix
sigwaitinfo(2) posix
socket(7) linux
socketpair(2) posix
splice(2) linux 2.6.17, glibc 2.5
system(3) posix
sysvipc(7) posix
tcp(7) linux
tcsetpgrp(3) posix
tee(2) linux 2.6.17, glibc 2.5
timer_create(2) posix 2.6
timer_delete(2) posix 2.6
timer_getoverrun(2) posix 2.6
timer_settime(2) posix 2.6
timerfd_create(2) linux 2.6.25, glibc 2.8
TIOCSCTTY(2const) linux
tkill(2) linux 2.5.75, glibc 2.30
truncate(2) posix
udp(7) linux
unix(7) linux
unshare(2) linux 2.6.16
user_namespaces(7) linux 3.8
vmsplice(2) linux 2.6.17, glibc 2.5
wait(2) posix
write(2) posix
"""

# Pages outside the Linux manual, and the kernel's source.
_ELSEWHERE = {
    "cgroup-v2.rst": (_KERNEL, "4.5"),
    "kernel.rst": (_KERNEL, ""),
    "mfd_noexec.rst": (_KERNEL, "6.3"),
    "net/unix/af_unix.c": (_SOURCE, ""),
    "ipcrm(1)": (_UTIL_LINUX, ""),
    "ipcs(1)": (_UTIL_LINUX, ""),
}

# Features that POSIX lacks: a clause that mentions one, or is in such a section, has the level `linux`.
_LINUX_ONLY = re.compile(
    r"/proc|/dev/(shm|mqueue)|\bLinux\b|\bCAP_|\bcapabilit|\b(IPC|SEM|SHM|MSG)_INFO\b|\b(SEM|SHM|MSG)_STAT"
    r"|\bSHM_(LOCK|UNLOCK|HUGE|NORESERVE|REMAP|EXEC)|\bMSG_(EXCEPT|COPY|TRUNC)\b|\bsemtimedop|\bprlimit|\bnamespace"
    r"|\bpidfd|\bP_PIDFD|\bO_(DIRECT|PATH|TMPFILE)\b"
    r"|\bF_(SETPIPE|GETPIPE|SETLEASE|GETLEASE|ADD_SEALS|GET_SEALS|SEAL|SETSIG|NOTIFY)|\blease"
    r"|\bRLIMIT_(MEMLOCK|MSGQUEUE|NPROC|SIGPENDING|RTTIME|NICE|RTPRIO)\b"
    r"|\bMAP_(POPULATE|LOCKED|NORESERVE|GROWSDOWN|HUGE|STACK|SYNC|FIXED_NOREPLACE|NONBLOCK)|\bMADV_|\bMREMAP_"
    r"|\bSI_(KERNEL|TKILL|SIGIO)\b|\bSIGEV_THREAD_ID|\bSS_AUTODISARM|\btgkill|\bPOLLRDHUP|\bEPOLL|\bFALLOC_|\bPR_"
    r"|\bsubreaper|\b__W|\bO_NOTIFICATION|\bpipe-max-size|\bpipe-user-pages|\bQSIZE\b|\bO_ASYNC\b|\bSIGIO\b"
    r"|\bmemory file|\bFIONREAD\b|\bfdinfo\b|\bvforks?\b|\bSCHED_(BATCH|IDLE)\b|\bcgroup"
)
# Features that POSIX.1-2024 added.
_NEW_IN_POSIX = re.compile(
    r"\bppoll\(\)|\baccept4\b|\bpipe2\(\)|\bO_CLOEXEC\b|\bSOCK_CLOEXEC\b|\bMSG_CMSG_CLOEXEC\b|\bF_OFD_"
    r"|pen file description"
)
_LINUX_SECTIONS = {
    "C library/kernel differences",
    "Changing the capacity of a pipe",
    "Leases",
    "Linux notes",
    "POSIX_SPAWN_SETSID",
    "Pipe capacity",
    "VERSIONS",
    "Linux implementation of message queue descriptors",
}


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a clause: the release of the manual, its level, and the version that introduced it."""

    manual: str
    level: str
    since: str


UNKNOWN = Source("", "posix", "")


@cache
def _pages() -> dict[str, tuple[str, str]]:
    rows = (line.split(" ", 2) for line in _PAGES.split("\n") if line)
    return {page: (level, since[0] if since else "") for page, level, *since in rows}


def source(page: str, section: str, statement: str = "", since: str | None = None, level: str | None = None) -> Source:
    """Return the source of a clause; *since* and *level* are those that the clause sets itself."""
    whole = f"{section} {statement}"
    if page.endswith("(3p)") or page == _POSIX:
        return Source(_POSIX, level or "posix", _named(since or ""))
    if page in _ELSEWHERE:
        release, begun = _ELSEWHERE[page]
        return Source(release, level or "linux", _named(since or begun))
    usual, begun = _pages().get(page, ("linux", ""))  # a test asks for a row
    special = usual == "posix" and (since or section in _LINUX_SECTIONS or _LINUX_ONLY.search(whole))
    if special and _NEW_IN_POSIX.search(whole):
        special = False
    return Source(RELEASE, level or ("linux" if special else usual), _named(since or begun))


def _named(since: str) -> str:
    """Return a version with its owner: "Linux 2.6.22, glibc 2.8"."""
    return f"Linux {since}" if since[:1].isdigit() else since
