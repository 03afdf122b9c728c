"""System call numbers: for /proc/PID/syscall and for libc.syscall().

Numbers depend on the machine, and libc may make another call than the one named: glibc's semop(2) is a semtimedop, its
pause(2) a ppoll on newer architectures; old 32-bit ABIs use ipc(2) and socketcall(2). `numbers_of` returns every number
that can have a name on this machine. Under an emulator of another CPU, such as qemu-user, /proc shows the numbers
of the host; that is detected.
"""

from __future__ import annotations

from functools import cache

from ..unpatched import os
from .abi import machine

__all__ = ["number_of", "numbers_of", "syscall_name"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_TABLES = {
    "x86_64": """
        read=0 readv=19 write=1 writev=20 open=2 openat=257 openat2=437 poll=7 ppoll=271 select=23
        pselect6=270 epoll_wait=232 epoll_pwait=281 pause=34 rt_sigsuspend=130 rt_sigtimedwait=128
        nanosleep=35 clock_nanosleep=230 wait4=61 waitid=247 futex=202 flock=73 fcntl=72 accept=43
        accept4=288 connect=42 recvfrom=45 recvmsg=47 recvmmsg=299 sendto=44 sendmsg=46
        sendmmsg=307 msgsnd=69 msgrcv=70 semop=65 semtimedop=220 mq_timedsend=242
        mq_timedreceive=243 splice=275 tee=276 vmsplice=278 sendfile=40 io_uring_enter=426 exit=60
        pidfd_open=434 pidfd_send_signal=424 tgkill=234 getpid=39
        rt_sigaction=13 rt_sigprocmask=14 set_robust_list=273 get_robust_list=274 io_setup=206
        io_destroy=207 timer_gettime=224 futex_waitv=449
        semget=64 semctl=66 shmctl=31 msgctl=71 sigaltstack=131
        memfd_create=319
    """,
    "i386": """
        read=3 readv=145 write=4 writev=146 open=5 openat=295 openat2=437 poll=168 ppoll=309
        ppoll_time64=414 select=82 _newselect=142 pselect6=308 pselect6_time64=413 epoll_wait=256
        epoll_pwait=319 pause=29 sigsuspend=72 rt_sigsuspend=179 rt_sigtimedwait=177
        rt_sigtimedwait_time64=421 nanosleep=162 clock_nanosleep=267 clock_nanosleep_time64=407
        wait4=114 waitid=284 waitpid=7 futex=240 futex_time64=422 flock=143 fcntl=55 fcntl64=221
        semtimedop_time64=420 mq_timedsend=279 mq_timedsend_time64=418 mq_timedreceive=280
        mq_timedreceive_time64=419 splice=313 tee=315 vmsplice=316 sendfile=187 io_uring_enter=426
        ipc=117 socketcall=102 exit=1 pidfd_open=434 pidfd_send_signal=424 tgkill=270 getpid=20
        msgsnd=400 msgrcv=401
        rt_sigaction=174 rt_sigprocmask=175 set_robust_list=311 get_robust_list=312 io_setup=245
        io_destroy=246 timer_gettime=261 futex_waitv=449
        semget=393 semctl=394 shmctl=396 msgctl=402 sigaltstack=186
        memfd_create=356
        connect=362 accept4=364 sendto=369 sendmsg=370 recvfrom=371 recvmsg=372 recvmmsg=337 sendmmsg=345
    """,
    "aarch64": """
        read=63 readv=65 write=64 writev=66 openat=56 openat2=437 ppoll=73 pselect6=72
        epoll_pwait=22 rt_sigsuspend=133 rt_sigtimedwait=137 nanosleep=101 clock_nanosleep=115
        wait4=260 waitid=95 futex=98 flock=32 fcntl=25 accept=202 accept4=242 connect=203
        recvfrom=207 recvmsg=212 recvmmsg=243 sendto=206 sendmsg=211 sendmmsg=269 msgsnd=189
        msgrcv=188 semop=193 semtimedop=192 mq_timedsend=182 mq_timedreceive=183 splice=76 tee=77
        vmsplice=75 sendfile=71 io_uring_enter=426 exit=93 pidfd_open=434 pidfd_send_signal=424
        tgkill=131 getpid=172
        rt_sigaction=134 rt_sigprocmask=135 set_robust_list=99 get_robust_list=100 io_setup=0
        io_destroy=1 timer_gettime=108 futex_waitv=449
        semget=190 semctl=191 shmctl=195 msgctl=187 sigaltstack=132
        memfd_create=279
    """,
    "arm": """
        read=3 readv=145 write=4 writev=146 open=5 openat=322 openat2=437 poll=168 ppoll=336
        ppoll_time64=414 _newselect=142 pselect6=335 pselect6_time64=413 epoll_wait=252
        epoll_pwait=346 pause=29 sigsuspend=72 rt_sigsuspend=179 rt_sigtimedwait=177
        rt_sigtimedwait_time64=421 nanosleep=162 clock_nanosleep=265 clock_nanosleep_time64=407
        wait4=114 waitid=280 futex=240 futex_time64=422 flock=143 fcntl=55 fcntl64=221 accept=285
        accept4=366 connect=283 recv=291 recvfrom=292 recvmsg=297 send=289 recvmmsg=365 sendto=290 sendmsg=296
        sendmmsg=374 msgsnd=301 msgrcv=302 semop=298 semtimedop=312 semtimedop_time64=420
        mq_timedsend=276 mq_timedsend_time64=418 mq_timedreceive=277 mq_timedreceive_time64=419
        splice=340 tee=342 vmsplice=343 sendfile=187 io_uring_enter=426 exit=1 pidfd_open=434
        pidfd_send_signal=424 tgkill=268 getpid=20
        rt_sigaction=174 rt_sigprocmask=175 set_robust_list=338 get_robust_list=339 io_setup=243
        io_destroy=244 timer_gettime=259 futex_waitv=449
        semget=299 semctl=300 shmctl=308 msgctl=304 sigaltstack=186
        memfd_create=385
    """,
    "riscv64": """
        read=63 readv=65 write=64 writev=66 openat=56 openat2=437 ppoll=73 pselect6=72
        epoll_pwait=22 rt_sigsuspend=133 rt_sigtimedwait=137 nanosleep=101 clock_nanosleep=115
        wait4=260 waitid=95 futex=98 flock=32 fcntl=25 accept=202 accept4=242 connect=203
        recvfrom=207 recvmsg=212 recvmmsg=243 sendto=206 sendmsg=211 sendmmsg=269 msgsnd=189
        msgrcv=188 semop=193 semtimedop=192 mq_timedsend=182 mq_timedreceive=183 splice=76 tee=77
        vmsplice=75 sendfile=71 io_uring_enter=426 exit=93 pidfd_open=434 pidfd_send_signal=424
        tgkill=131 getpid=172
        rt_sigaction=134 rt_sigprocmask=135 set_robust_list=99 get_robust_list=100 io_setup=0
        io_destroy=1 timer_gettime=108 futex_waitv=449
        semget=190 semctl=191 shmctl=195 msgctl=187 sigaltstack=132
        memfd_create=279
    """,
    "ppc64le": """
        read=3 readv=145 write=4 writev=146 open=5 openat=286 openat2=437 poll=167 ppoll=281
        select=82 _newselect=142 pselect6=280 epoll_wait=238 epoll_pwait=303 pause=29
        sigsuspend=72 rt_sigsuspend=178 rt_sigtimedwait=176 nanosleep=162 clock_nanosleep=248
        wait4=114 waitid=272 waitpid=7 futex=221 flock=143 fcntl=55 mq_timedsend=264
        mq_timedreceive=265 splice=283 tee=284 vmsplice=285 sendfile=186 io_uring_enter=426
        ipc=117 socketcall=102 exit=1 pidfd_open=434 pidfd_send_signal=424 tgkill=250 getpid=20
        semtimedop=392 msgsnd=400 msgrcv=401
        rt_sigaction=173 rt_sigprocmask=174 set_robust_list=300 get_robust_list=299 io_setup=227
        io_destroy=228 timer_gettime=242 futex_waitv=449
        semget=393 semctl=394 shmctl=396 msgctl=402 sigaltstack=185
        memfd_create=360
        connect=328 accept=330 accept4=344 send=334 sendto=335 sendmsg=341 sendmmsg=349 recv=336
        recvfrom=337 recvmsg=342 recvmmsg=343
    """,
    "s390x": """
        read=3 readv=145 write=4 writev=146 open=5 openat=288 openat2=437 poll=168 ppoll=302
        select=142 pselect6=301 epoll_wait=251 epoll_pwait=312 pause=29 sigsuspend=72
        rt_sigsuspend=179 rt_sigtimedwait=177 nanosleep=162 clock_nanosleep=262 wait4=114
        waitid=281 futex=238 flock=143 fcntl=55 mq_timedsend=273 mq_timedreceive=274 splice=306
        tee=308 vmsplice=309 sendfile=187 io_uring_enter=426 ipc=117 socketcall=102 exit=1
        pidfd_open=434 pidfd_send_signal=424 tgkill=241 getpid=20 semtimedop=392 msgsnd=400
        msgrcv=401
        rt_sigaction=174 rt_sigprocmask=175 set_robust_list=304 get_robust_list=305 io_setup=243
        io_destroy=244 timer_gettime=256 futex_waitv=449
        semget=393 semctl=394 shmctl=396 msgctl=402 sigaltstack=186
        memfd_create=350
        connect=362 accept4=364 sendto=369 sendmsg=370 recvfrom=371 recvmsg=372 recvmmsg=357 sendmmsg=358
    """,
}
_TABLES["loongarch64"] = _TABLES["riscv64"]  # both have asm-generic/unistd.h without renameat

# The other names under which the wait of a program can appear.
_KIN = (
    {"open", "openat", "openat2"},
    {"poll", "ppoll", "ppoll_time64"},
    {"select", "_newselect", "pselect6", "pselect6_time64"},
    {"epoll_wait", "epoll_pwait"},
    {"pause", "ppoll"},
    {"sigsuspend", "rt_sigsuspend"},
    {"sigtimedwait", "sigwaitinfo", "sigwait", "rt_sigtimedwait", "rt_sigtimedwait_time64"},
    {"sleep", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64"},
    {"wait", "wait4", "waitpid", "waitid"},
    {"futex", "futex_time64"},
    {"fcntl", "fcntl64", "lockf"},
    {"semop", "semtimedop", "semtimedop_time64", "ipc"},
    {"msgsnd", "ipc"},
    {"msgrcv", "ipc"},
    {"accept", "accept4", "socketcall"},
    {"connect", "socketcall"},
    {"recv", "recvfrom", "recvmsg", "socketcall"},
    {"send", "sendto", "sendmsg", "socketcall"},
    {"mq_send", "mq_timedsend", "mq_timedsend_time64"},
    {"mq_receive", "mq_timedreceive", "mq_timedreceive_time64"},
)


# The functions of libc whose waits are in the system call futex.
_IN_FUTEX = ("sem_", "pthread_", "mtx_", "cnd_", "thrd_")

# The other calls that an emulator may make for one.
_EMULATED = ({"pause", "sigsuspend", "rt_sigsuspend"},)


@cache
def _table(machine: str) -> dict[str, int]:
    pairs = (entry.partition("=") for entry in _TABLES.get(machine, "").split())
    return {name: int(number) for name, _, number in pairs}


@cache
def counted_as() -> str:
    """Return the machine whose numbers /proc/PID/syscall shows: this one, unless its CPU is emulated."""
    if machine() not in _TABLES:
        return machine()
    try:
        fd = os.open("/proc/thread-self/syscall", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return machine()
    try:
        word = os.read(fd, 64).split()[0]  # the file shows the read(2) of itself
    except (OSError, IndexError):
        return machine()
    finally:
        os.close(fd)
    found = [name for name in _TABLES if str(_table(name)["read"]).encode() == word]
    return machine() if machine() in found or not found else found[0]


@cache
def syscall_name(number: int) -> str:
    """Return the name of system call *number* in /proc, or "system call N" if the table does not contain it."""
    return _name(counted_as(), number)


@cache
def name_of(number: int) -> str:
    """Return the name of system call *number* as programs here call it; an emulator's host has other numbers."""
    return _name(machine(), number)


def _name(machine: str, number: int) -> str:
    return next((name for name, known in _table(machine).items() if known == number), f"system call {number}")


def number_of(name: str) -> int:
    """Return the number of system call *name*. LookupError if this machine's table does not contain it."""
    try:
        return _table(machine())[name]
    except KeyError:
        raise LookupError(f"no number is known for the system call {name!r} on {machine()}") from None


@cache
def numbers_of(name: str) -> frozenset[int]:
    """Return every number that /proc/PID/syscall can show for a program that is blocked in *name*.

    ValueError for an unknown name. The set is empty on a machine without a table.
    """
    table = _table(counted_as())
    families = _KIN if counted_as() == machine() else (*_KIN, *_EMULATED)
    kin = {name}.union(*(family for family in families if name in family))
    numbers = frozenset(table[relative] for relative in kin if relative in table)
    if not numbers and table:
        if name.startswith(_IN_FUTEX):
            raise ValueError(f"system call must be futex, in which {name}() sleeps, not {name!r}")
        raise ValueError(f"system call must be one of {', '.join(sorted(table))}, not {name!r}")
    return numbers
