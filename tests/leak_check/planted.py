"""One leak of each kind, and a clean twin that does the same and undoes it. Copied into the projects under test."""

import fcntl
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager

from pytest_ipc import kernel

KEPT: list[object] = []
NAME = f"planted-{os.getpid()}"
ME = f"/tmp/{NAME}"


def note(what: str, id: int | str) -> None:
    """Write down which object was made: the test module looks for it afterwards."""
    with open(__file__.replace("planted.py", "made"), "a") as file:
        file.write(f"{what} {id}\n")


@contextmanager
def descriptors():
    fd = os.open("/dev/null", os.O_RDONLY)
    yield
    os.close(fd)


@contextmanager
def processes():
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield
    process.kill()
    process.wait()


@contextmanager
def zombies():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield
    os.waitpid(pid, 0)


@contextmanager
def threads():
    end = threading.Event()
    thread = threading.Thread(target=end.wait, daemon=True, name="planted")
    thread.start()
    yield
    end.set()
    thread.join()


@contextmanager
def sysv_shm():
    shmid = kernel.shmget(kernel.IPC_PRIVATE, 100, 0o600)
    note("segment", shmid)
    yield
    kernel.shmctl_rmid(shmid)


@contextmanager
def sysv_sem():
    semid = kernel.semget(kernel.IPC_PRIVATE, 2, 0o600)
    note("set", semid)
    kernel.semctl_setval(semid, 1, 1)
    yield
    kernel.semctl_rmid(semid)


@contextmanager
def sysv_msg():
    msqid = kernel.msgget(kernel.IPC_PRIVATE, 0o600)
    note("queue", msqid)
    kernel.msgsnd(msqid, 1, b"x")
    yield
    kernel.msgctl_rmid(msqid)


@contextmanager
def posix_shm():
    note("name", NAME)
    fd = kernel.shm_open(f"/{NAME}", os.O_CREAT | os.O_RDWR, 0o600)
    os.ftruncate(fd, 4096)
    memory = mmap.mmap(fd, 4096)
    os.close(fd)
    KEPT.append(memory)
    yield
    memory.close()
    kernel.shm_unlink(f"/{NAME}")


@contextmanager
def posix_sem():
    note("name", NAME)
    semaphore = kernel.sem_open(f"/{NAME}", os.O_CREAT, 0o600, 1)  # which is mapped
    yield
    kernel.sem_close(semaphore)
    kernel.sem_unlink(f"/{NAME}")


@contextmanager
def posix_mq():
    note("name", NAME)
    fd = kernel.mq_open(f"/{NAME}", os.O_CREAT | os.O_RDWR, 0o600, kernel.MqAttr(maxmsg=1, msgsize=8))
    yield
    os.close(fd)
    kernel.mq_unlink(f"/{NAME}")


@contextmanager
def files():
    path = os.path.join(tempfile.gettempdir(), "planted.fifo")
    os.mkfifo(path)
    yield
    os.unlink(path)


@contextmanager
def abstract_sockets():
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"\0{NAME}")
    KEPT.append(server)
    yield
    server.close()


@contextmanager
def mappings():
    memory = mmap.mmap(-1, 1 << 20)
    KEPT.append(memory)
    yield
    memory.close()


@contextmanager
def attached():
    shmid = kernel.shmget(kernel.IPC_PRIVATE, 1 << 20, 0o600)
    note("segment", shmid)
    address = kernel.shmat(shmid)
    kernel.shmctl_rmid(shmid)
    yield
    kernel.shmdt(address)


@contextmanager
def locks():
    file = tempfile.TemporaryFile()
    fcntl.lockf(file, fcntl.LOCK_EX)
    KEPT.append(file)
    yield
    file.close()


@contextmanager
def dispositions():
    before = signal.signal(signal.SIGUSR1, handler)
    yield
    signal.signal(signal.SIGUSR1, before)


@contextmanager
def signal_mask():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def timers():
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@contextmanager
def posix_timers():
    timer = kernel.timer_create(time.CLOCK_MONOTONIC, kernel.SIGEV_NONE)
    yield
    kernel.timer_delete(timer)


@contextmanager
def alternate_stack():
    memory = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    KEPT.append(memory)
    import ctypes

    before = kernel.sigaltstack(kernel.Stack(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 1 << 16))
    yield
    kernel.sigaltstack(before)


@contextmanager
def wakeup_fd():
    ends = socket.socketpair()
    ends[1].setblocking(False)
    KEPT.extend(ends)
    before = signal.set_wakeup_fd(ends[1].fileno())
    yield
    signal.set_wakeup_fd(before)
    for end in ends:
        end.close()


@contextmanager
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@contextmanager
def working_directory():
    before = os.getcwd()
    os.chdir("/")
    yield
    os.chdir(before)


@contextmanager
def rlimits():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def environment():
    os.environ["PLANTED"] = "a secret"
    yield
    del os.environ["PLANTED"]


@contextmanager
def namespaces():
    before = os.open("/proc/self/ns/uts", os.O_RDONLY)
    kernel.unshare(kernel.CLONE_NEWUTS)
    yield
    kernel.setns(before, kernel.CLONE_NEWUTS)
    os.close(before)


@contextmanager
def mounts():
    place = tempfile.mkdtemp(prefix="planted-")
    kernel.mount("tmpfs", place, "tmpfs")
    yield
    kernel.umount2(place)
    os.rmdir(place)


class Pool:
    """A class of a library with an executor."""


def handler(_signo, _frame):
    pass


def leak(make):
    """Do it, and do not undo it."""
    planted = make()
    planted.__enter__()
    KEPT.append(planted)


def clean(make):
    with make():
        pass
    KEPT.clear()
