"""System calls by number: the tables equal the headers, and names cover the calls that libc makes for them."""

from __future__ import annotations

import os

import pytest

from pytest_ipc import unpatched
from pytest_ipc.kernel import abi, number_of, numbers_of, syscall_name, syscalls


def table(machine: str) -> dict[str, int]:
    return {name: int(number) for name, number in (word.split("=") for word in syscalls._TABLES[machine].split())}


def asked(probe, header: str, names: dict[str, int]) -> dict[str, int]:
    answer: dict[str, int] = probe(header, {name: f"__NR_{name}" for name in names}, needs=lambda name: f"__NR_{name}")
    return answer


def test_numbers_equal_those_of_the_header(probe):
    names = table(abi.machine())
    answer = asked(probe, "asm/unistd.h", names)
    assert len(answer) > 20
    assert {name: names[name] for name in answer} == answer


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("aarch64", "asm-generic/unistd.h"),
        ("riscv64", "asm-generic/unistd.h"),
        ("loongarch64", "asm-generic/unistd.h"),
        ("i386", "asm/unistd_32.h"),
    ],
)
def test_numbers_of_other_machines_equal_those_of_installed_headers(probe, machine, header):
    if header.startswith("asm-generic") and not abi.WIDE:
        pytest.skip("the generic header gives a 32-bit process 32-bit numbers")
    if header.startswith("asm/") and abi.machine() not in ("x86_64", "i386"):
        pytest.skip("the header of that name is for another machine here")
    names = table(machine)
    answer = asked(probe, header, names)
    assert len(answer) > 20
    assert {name: names[name] for name in answer} == answer


@pytest.mark.parametrize("machine", syscalls._TABLES)
def test_numbers_are_unique(machine):
    numbers = list(table(machine).values())
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("machine", "name", "calls"),
    [
        ("x86_64", "open", {"open", "openat", "openat2"}),
        ("x86_64", "openat", {"open", "openat", "openat2"}),
        ("x86_64", "semop", {"semop", "semtimedop"}),
        ("x86_64", "pause", {"pause", "ppoll"}),
        ("x86_64", "read", {"read"}),
        ("x86_64", "sigwaitinfo", {"rt_sigtimedwait"}),
        ("aarch64", "open", {"openat", "openat2"}),
        ("aarch64", "pause", {"ppoll"}),
        ("aarch64", "waitpid", {"wait4", "waitid"}),
        ("i686", "semop", {"ipc", "semtimedop_time64"}),
        ("i686", "msgrcv", {"ipc", "msgrcv"}),
        ("s390x", "semop", {"ipc", "semtimedop"}),
    ],
)
def test_numbers_of_includes_the_calls_libc_may_make(on_machine, monkeypatch, machine, name, calls):
    monkeypatch.setattr(abi.layout, "WIDE", machine != "i686")
    on_machine(machine)
    assert {syscall_name(number) for number in numbers_of(name)} == calls


def test_unknown_name_raises_value_error_with_all_names():
    with pytest.raises(ValueError, match=r"system call must be one of .*openat.*, not 'opennat'"):
        numbers_of("opennat")
    with pytest.raises(LookupError, match="no number is known for the system call 'opennat' on"):
        number_of("opennat")


@pytest.mark.parametrize("name", ["sem_wait", "sem_clockwait", "pthread_mutex_lock", "cnd_wait"])
def test_wait_of_libc_is_refused_with_the_call_in_which_it_sleeps(name):
    with pytest.raises(ValueError, match=rf"^system call must be futex, in which {name}\(\) sleeps, not '{name}'$"):
        numbers_of(name)


def test_unknown_number_is_named_by_its_number():
    assert syscall_name(99999) == "system call 99999"


def test_unknown_machine_has_no_numbers(on_machine):
    on_machine("vax")
    assert numbers_of("read") == frozenset()
    assert syscall_name(0) == "system call 0"
    with pytest.raises(LookupError, match="on vax"):
        number_of("read")


@pytest.mark.parametrize(
    ("machine", "reported", "counted"),
    [
        ("s390x", b"0 0x3 0x7ff", "x86_64"),
        ("x86_64", b"0 0x3 0x7ff", "x86_64"),
        ("x86_64", b"63 0x3 0x7ff", "aarch64"),
        ("arm", b"3 0x3 0x7ff", "arm"),
        ("riscv64", b"63 0x3 0x7ff", "riscv64"),
        ("aarch64", b"12345 0x3 0x7ff", "aarch64"),
        ("aarch64", b"", "aarch64"),
        ("vax", b"0 0x3 0x7ff", "vax"),
    ],
)
def test_proc_shows_the_numbers_of_the_emulators_host(tmp_path, monkeypatch, machine, reported, counted):
    """The call that reads the file is the only one whose name is known."""
    (tmp_path / "syscall").write_bytes(reported)
    real = os.open
    monkeypatch.setattr(unpatched.os, "open", lambda _path, flags: real(tmp_path / "syscall", flags))
    monkeypatch.setattr(syscalls, "machine", lambda: machine)
    assert syscalls.counted_as.__wrapped__() == counted


def test_emulator_calls_are_known_only_under_an_emulator(on_machine, monkeypatch):
    on_machine("s390x")
    assert table("s390x")["rt_sigsuspend"] not in numbers_of("pause")
    monkeypatch.setattr(syscalls, "counted_as", lambda: "x86_64")
    numbers_of.cache_clear()
    assert numbers_of("pause") >= {table("x86_64")["rt_sigsuspend"], table("x86_64")["pause"]}
    assert syscall_name(0) == "read"
