"""Structure layouts compared with a C compiler, or with the kernel's headers for other machines.

The layouts of 32-bit machines use types whose size depends on this process, so only their members can be checked here.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import pytest

import pytest_ipc
from pytest_ipc.kernel import abi, signalfds

PERM = dict.fromkeys(("uid", "gid", "cuid", "cgid", "mode")) | {"key": "__key", "seq": "__seq"}
STRUCTURES: dict[str, tuple[str, Any, dict[str, str]]] = {
    "struct ipc_perm": ("sys/ipc.h", abi.ipc_perm, {name: c or name for name, c in PERM.items()}),
    "struct shmid_ds": (
        "sys/shm.h",
        abi.shmid_ds,
        {name: f"shm_{name}" for name in "perm segsz atime dtime ctime cpid lpid nattch".split()},
    ),
    "struct shminfo": (
        "sys/shm.h",
        lambda: abi.shminfo,
        {name: name for name in "shmmax shmmin shmmni shmseg shmall".split()},
    ),
    "struct shm_info": (
        "sys/shm.h",
        lambda: abi.shm_info,
        {name: name for name in "used_ids shm_tot shm_rss shm_swp swap_attempts swap_successes".split()},
    ),
    "struct msqid_ds": (
        "sys/msg.h",
        abi.msqid_ds,
        {name: f"msg_{name}" for name in "perm stime rtime ctime cbytes qnum qbytes lspid lrpid".split()},
    ),
    "struct msginfo": (
        "sys/msg.h",
        lambda: abi.msginfo,
        {name: name for name in "msgpool msgmap msgmax msgmnb msgmni msgssz msgtql msgseg".split()},
    ),
    "struct sembuf": ("sys/sem.h", lambda: abi.sembuf, {name: name for name in "sem_num sem_op sem_flg".split()}),
    "struct semid_ds": ("sys/sem.h", abi.semid_ds, {name: f"sem_{name}" for name in "perm otime ctime".split()}),
    "struct seminfo": (
        "sys/sem.h",
        lambda: abi.seminfo,
        {name: name for name in "semmap semmni semmns semmnu semmsl semopm semume semusz semvmx semaem".split()},
    ),
    "struct sigaction": (
        "signal.h",
        abi.sigaction,
        {name: f"sa_{name}" for name in "handler mask flags restorer".split()},
    ),
    "struct sigevent": (
        "signal.h",
        abi.sigevent,
        {"value": "sigev_value", "signo": "sigev_signo", "notify": "sigev_notify", "tid": "sigev_notify_thread_id"},
    ),
    "stack_t": ("signal.h", abi.stack_t, {name: f"ss_{name}" for name in "sp flags size".split()}),
    "struct itimerspec": ("time.h", lambda: abi.itimerspec, {"interval": "it_interval", "value": "it_value"}),
    "struct timeval": ("sys/time.h", lambda: abi.timeval, {"tv_sec": "tv_sec", "tv_usec": "tv_usec"}),
    "struct itimerval": ("sys/time.h", lambda: abi.itimerval, {"interval": "it_interval", "value": "it_value"}),
    "struct robust_list_head": (
        "linux/futex.h",
        lambda: abi.robust_list_head,
        {"next": "list.next", "futex_offset": "futex_offset", "list_op_pending": "list_op_pending"},
    ),
    "struct futex_waitv": (
        "linux/futex.h",
        lambda: abi.futex_waitv,
        {name: name for name in "val uaddr flags".split()} | {"reserved": "__reserved"},
    ),
    "struct flock64": ("fcntl.h", abi.flock64, {name: f"l_{name}" for name in "type whence start len pid".split()}),
    "struct f_owner_ex": ("fcntl.h", lambda: abi.f_owner_ex, {"type": "type", "pid": "pid"}),
    "struct mq_attr": (
        "mqueue.h",
        lambda: abi.mq_attr,
        {name: f"mq_{name}" for name in "flags maxmsg msgsize curmsgs".split()},
    ),
    "struct timespec": ("time.h", lambda: abi.timespec, {"tv_sec": "tv_sec", "tv_nsec": "tv_nsec"}),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_layout_equals_that_of_the_compiler(probe, structure):
    header, layout, members = STRUCTURES[structure]
    expected = {"size": f"sizeof({structure})"}
    for name, member in members.items():
        if not member.startswith("__"):  # musl has other names for these two
            expected[f"{name}.offset"] = f"offsetof({structure}, {member})"
            expected[f"{name}.size"] = f"sizeof((({structure} *)0)->{member})"
    measured = {"size": ctypes.sizeof(layout())}
    for name in members:
        field = getattr(layout(), name)
        measured |= {f"{name}.offset": field.offset, f"{name}.size": field.size}
    answer = probe(header, expected)
    assert {name: measured[name] for name in answer} == answer


def test_sem_nsems_has_the_offset_of_the_compiler(probe):
    """The kernel writes an unsigned long; musl declares only the short in which the number fits."""
    answer = probe(
        "sys/sem.h",
        {
            "end": "offsetof(struct semid_ds, sem_nsems) + sizeof(((struct semid_ds *)0)->sem_nsems)",
            "offset": "offsetof(struct semid_ds, sem_nsems)",
        },
    )
    nsems: Any = getattr(abi.semid_ds(), "nsems")  # noqa: B009 - the class is made at run time
    end = nsems.offset + nsems.size
    assert (nsems.offset, end)[sys.byteorder == "big"] == (answer["offset"], answer["end"])[sys.byteorder == "big"]


def test_ipc_perm_key_and_seq_have_the_offsets_of_glibc(probe):
    names = {"key": "__key", "seq": "__seq"}
    answer = probe(
        "sys/ipc.h",
        {name: f"offsetof(struct ipc_perm, {member})" for name, member in names.items()},
        needs=lambda _name: "__GLIBC__",
    )
    if not answer:
        pytest.skip("not glibc: the members have other names")
    if abi.machine() == "s390x":
        answer["seq"] += 2  # glibc's header omits a pad of the kernel before it
    assert {name: getattr(abi.ipc_perm(), name).offset for name in names} == answer


def test_siginfo_and_sigset_equal_those_of_the_compiler(probe):
    union = abi.SIGINFO_UNION
    assert probe(
        "signal.h",
        {
            "siginfo": "sizeof(siginfo_t)",
            "sigset": "sizeof(sigset_t)",
            "pid": "offsetof(siginfo_t, si_pid)",
            "uid": "offsetof(siginfo_t, si_uid)",
            "value": "offsetof(siginfo_t, si_value)",
            "status": "offsetof(siginfo_t, si_status)",
            "band": "offsetof(siginfo_t, si_band)",
            "fd": "offsetof(siginfo_t, si_fd)",
            "errno": "offsetof(siginfo_t, si_errno)",
            "code": "offsetof(siginfo_t, si_code)",
        },
    ) == {
        "siginfo": abi.SIGINFO_BYTES,
        "sigset": abi.SIGSET_BYTES,
        "pid": union,
        "uid": union + 4,
        "value": union + 8,
        "status": union + 8,
        "band": union,
        "fd": union + abi.POINTER,
        "errno": 4,
        "code": 8,
    }


def test_sigevent_thread_members_have_the_offsets_of_the_compiler(probe):
    members = {"value": "value", "notify": "notify", "function": "notify_function", "attributes": "notify_attributes"}
    answer = probe("signal.h", {name: f"offsetof(struct sigevent, sigev_{c})" for name, c in members.items()})
    assert {name: getattr(abi.sigevent_thread, name).offset for name in members} == answer
    assert ctypes.sizeof(abi.sigevent_thread) == ctypes.sizeof(abi.sigevent())


def test_sem_t_has_the_size_of_the_compiler(probe):
    assert probe("semaphore.h", {"size": "sizeof(sem_t)"}) == {"size": abi.SEM_BYTES}


CONSTANTS = (
    *("SEM_VALUE_MAX", "MQ_PRIO_MAX"),
    *("IPC_", "SHM_", "MSG_", "SA_", "SI_", "CLD_", "PR_", "CLONE_", "F_", "PIPE_BUF", "SECCOMP_MODE"),
    *("SEGV_", "BUS_", "POLL_", "SIGEV_", "SS_", "EFD_", "SFD_", "TFD_", "ITIMER_", "TIMER_", "FUTEX", "CLOCK_"),
    *("MAP_", "PROT_", "MS_", "MREMAP_", "MADV_", "MCL_", "MLOCK_", "MFD_", "FALLOC_FL_"),
    *("PIDFD_", "FD_SETSIZE", "PTHREAD_MUTEX_"),
    *("LOCK_", "DN_"),
    *("SO_", "SCM_"),
    *("MNT_", "RLIMIT_"),
    *("SEM_", "GETALL", "GETNCNT", "GETPID", "GETVAL", "GETZCNT", "SETALL", "SETVAL"),
)


def test_constants_equal_those_of_the_compiler(probe):
    public = [name for name in dir(pytest_ipc.kernel) if name.startswith(CONSTANTS)]
    headers = "sys/ipc.h sys/shm.h sys/msg.h sys/sem.h signal.h fcntl.h limits.h semaphore.h mqueue.h sched.h "
    headers += "sys/prctl.h linux/limits.h linux/seccomp.h sys/mman.h linux/mman.h linux/memfd.h linux/falloc.h "
    headers += "sys/eventfd.h sys/signalfd.h sys/timerfd.h sys/time.h sys/select.h time.h pthread.h linux/futex.h "
    headers += "sys/file.h unistd.h sys/socket.h sys/mount.h sys/resource.h"
    answer = probe(headers, {name: name for name in public}, needs=lambda name: name)
    assert {
        "IPC_EXCL",
        "SHM_RND",
        "MSG_EXCEPT",
        "SA_RESTART",
        "SI_QUEUE",
        "PR_SET_PDEATHSIG",
        "F_SETPIPE_SZ",
        "MAP_FIXED_NOREPLACE",
        "MFD_HUGE_1GB",
        "LOCK_EX",
        "SEM_VALUE_MAX",
        "F_OFD_SETLK",
    } <= answer.keys()
    assert {name: getattr(pytest_ipc.kernel, name) & 0xFFFF_FFFF for name in answer} == {
        name: value & 0xFFFF_FFFF for name, value in answer.items()
    }


def test_signalfd_siginfo_has_the_layout_of_the_compiler(probe):
    names = "signo errno code pid uid fd tid band overrun trapno status int ptr utime stime addr".split()
    answer = probe(
        "sys/signalfd.h",
        {"size": "sizeof(struct signalfd_siginfo)"}
        | {name: f"offsetof(struct signalfd_siginfo, ssi_{name})" for name in names},
    )
    assert answer.pop("size") == pytest_ipc.kernel.SIGNALFD_SIGINFO_BYTES
    raw = bytearray(pytest_ipc.kernel.SIGNALFD_SIGINFO_BYTES)
    for value, offset in enumerate(answer.values(), 1):
        raw[offset if sys.byteorder == "little" else offset + 3] = value
    fields = signalfds._LAYOUT.unpack(bytes(raw))[: len(names)]
    wide = 1 if sys.byteorder == "little" else 1 << 32
    assert list(fields) == [value * (wide if value > 12 else 1) for value in range(1, 17)]


def test_mutex_bytes_are_enough_for_a_pthread_mutex_t(probe):
    size = probe("pthread.h", {"mutex": "sizeof(pthread_mutex_t)", "attributes": "sizeof(pthread_mutexattr_t)"})
    assert size["mutex"] <= pytest_ipc.kernel.MUTEX_BYTES
    assert size["attributes"] <= 64


@pytest.mark.parametrize(
    "structure",
    [abi.ipc_perm, abi.shmid_ds, abi.msqid_ds, abi.sigaction, abi.sigevent, abi.stack_t, abi.flock64],
    ids=lambda layout: layout.__name__,
)
def test_unknown_machine_raises_not_implemented_error(on_machine, structure):
    on_machine("vax")
    with pytest.raises(NotImplementedError, match=f"^layout unknown for struct {structure.__name__} on vax$"):
        structure()


def test_call_with_unknown_layout_raises_not_implemented_error(on_machine, sysv_shm):
    segment = sysv_shm()
    on_machine("vax")
    with pytest.raises(NotImplementedError, match="layout unknown for struct shmid_ds on vax"):
        segment.stat()


@pytest.mark.skipif(not abi.WIDE, reason="64-bit layouts need this process's long to be one")
@pytest.mark.parametrize(
    ("machine", "mode", "seq", "segsz", "atime"),
    [
        ("x86_64", 20, 24, 48, 56),
        ("aarch64", 20, 24, 48, 56),
        ("riscv64", 20, 24, 48, 56),
        ("loongarch64", 20, 24, 48, 56),
        ("s390x", 20, 26, 48, 56),
        ("ppc64le", 20, 24, 72, 48),
    ],
)
def test_64_bit_layouts_have_the_sizes_of_the_kernel_headers(on_machine, machine, mode, seq, segsz, atime):
    on_machine(machine)
    perm: Any = abi.ipc_perm()
    ds: Any = abi.shmid_ds()
    assert (ctypes.sizeof(perm), ctypes.sizeof(ds), ctypes.sizeof(abi.sigaction())) == (48, 112, 152)
    assert (perm.mode.offset, perm.seq.offset, ds.segsz.offset, ds.atime.offset) == (mode, seq, segsz, atime)
    assert (ds.cpid.offset, ds.lpid.offset, ds.nattch.offset) == (80, 84, 88)
    msq: Any = abi.msqid_ds()
    assert (ctypes.sizeof(msq), msq.stime.offset, msq.cbytes.offset, msq.lspid.offset) == (120, 48, 72, 96)


@pytest.mark.parametrize(
    ("uname", "machine"),
    [("i686", "i386"), ("i386", "i386"), ("armv7l", "arm"), ("armv8l", "arm"), ("s390x", "s390x"), ("vax", "vax")],
)
def test_machine_returns_the_abi(on_machine, uname, machine):
    on_machine(uname)
    assert abi.machine() == machine


def test_32_bit_process_on_a_64_bit_machine_has_the_32_bit_abi(on_machine, monkeypatch):
    monkeypatch.setattr(abi.layout, "WIDE", False)
    for uname, machine in (("x86_64", "i386"), ("aarch64", "arm")):
        on_machine(uname)
        assert abi.machine() == machine


def test_time_member_joins_split_times(on_machine):
    on_machine("i686")
    ds = abi.shmid_ds()()
    ds.atime, ds.atime_high = 7, 1
    assert abi.time_member(ds, "atime") == (1 << 32) + 7


def test_sigval_places_sival_int_at_the_start_of_the_union(monkeypatch):
    assert abi.sigval(-1) == (0xFFFF_FFFF if sys.byteorder == "little" or not abi.WIDE else 0xFFFF_FFFF << 32)
    monkeypatch.setattr(sys, "byteorder", "big")
    monkeypatch.setattr(abi.signal, "WIDE", True)
    assert abi.sigval(5) == 5 << 32


def test_capabilities_equal_those_of_the_compiler(probe):
    every = {f"CAP_{name}": bit for bit, name in enumerate(pytest_ipc.kernel.CAPABILITIES)}
    answer = probe("linux/capability.h", {name: name for name in every}, needs=lambda name: name)
    assert answer == {name: every[name] for name in answer}
    assert probe("linux/capability.h", {"last": "CAP_LAST_CAP"})["last"] <= len(every)


def test_capget_structures_equal_those_of_the_compiler(probe):
    from pytest_ipc.kernel import capability

    assert probe(
        "linux/capability.h",
        {
            "header": "sizeof(struct __user_cap_header_struct)",
            "data": "sizeof(struct __user_cap_data_struct)",
            "permitted": "offsetof(struct __user_cap_data_struct, permitted)",
            "version": "_LINUX_CAPABILITY_VERSION_3",
        },
    ) == {
        "header": ctypes.sizeof(capability._Header),
        "data": ctypes.sizeof(capability._Data),
        "permitted": capability._Data.permitted.offset,
        "version": capability._VERSION_3,
    }


def test_struct_rlimit_equals_that_of_the_compiler(probe):
    from pytest_ipc.kernel import rlimits

    assert probe(
        "sys/resource.h",
        {"size": "sizeof(struct rlimit64)", "max": "offsetof(struct rlimit64, rlim_max)"},
        needs=lambda _name: "__GLIBC__",
    ) in ({}, {"size": ctypes.sizeof(rlimits._Rlimit), "max": rlimits._Rlimit.max.offset})
