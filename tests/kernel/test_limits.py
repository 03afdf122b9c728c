"""limits(): each with its unit and source, equal to other sources, and a reason if it is not available."""

from __future__ import annotations

import dataclasses
import math
import os
import resource
import select
import shutil
import subprocess

import pytest

from pytest_ipc import Limit, limits
from pytest_ipc.kernel import PIPE_BUF, limit, read_limit


def test_every_limit_has_unit_source_and_page():
    every = limits()
    assert len(every) > 50
    for name, found in every.items():
        assert found.name == name
        assert found.unit
        assert found.source
        assert found.page.endswith(")")
        assert (found.value is None) == bool(found.reason), name


def test_limits_equal_those_of_other_sources():
    every = {name: found.value for name, found in limits().items()}
    assert every["kernel.shmmax"] == limit("kernel/shmmax")
    assert every["PAGE_SIZE"] == resource.getpagesize()
    assert every["PIPE_BUF"] == select.PIPE_BUF == PIPE_BUF
    assert every["IOV_MAX"] == os.sysconf("SC_IOV_MAX")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert (every["RLIMIT_NOFILE"], every["RLIMIT_NOFILE.hard"]) == (soft, hard)


def test_limits_equal_those_of_ipcs():
    program = shutil.which("ipcs")
    if program is None or limits()["kernel.sem.semmsl"].value is None:
        pytest.skip("needs ipcs and the files below /proc/sys/kernel")
    reported = subprocess.run([program, "-l"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    said = {name.strip(): number.strip() for name, _, number in (line.partition("=") for line in reported.splitlines())}
    for name, line in {
        "kernel.sem.semmsl": "max semaphores per array",
        "kernel.sem.semmns": "max semaphores system wide",
        "kernel.sem.semopm": "max ops per semop call",
        "kernel.sem.semmni": "max number of arrays",
        "kernel.shmmni": "max number of segments",
        "kernel.msgmni": "max queues system wide",
        "kernel.msgmax": "max size of message (bytes)",
        "kernel.msgmnb": "default max size of queue (bytes)",
    }.items():
        assert said[line] == str(read_limit(name).value), name


def test_limits_reflect_a_lowered_limit(fork):
    def life():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        return read_limit("RLIMIT_NOFILE").value, read_limit("RLIMIT_NOFILE.hard").value

    assert fork(life).result() == (100, 100)


def test_limits_are_those_of_the_ipc_namespace(ipc_namespace):
    def tell():
        return [read_limit(f"kernel.{name}").value for name in ("shmmni", "sem.semmsl", "sem.semmni")]

    assert ipc_namespace(shmmni=3, sem=(4, 50, 6, 7)).fork(tell).result() == [3, 4, 7]


def test_rlim_infinity_is_infinite(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert read_limit("RLIMIT_MSGQUEUE").value == math.inf


def test_unreadable_limit_has_a_reason(monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    for module, name in (
        ("pytest_ipc.unpatched.os", "statvfs"),
        ("pytest_ipc.unpatched.os", "sysconf"),
        ("resource", "getrlimit"),
    ):
        monkeypatch.setattr(f"{module}.{name}", refuse)
    monkeypatch.setattr("pytest_ipc.unpatched.io.open", refuse)
    every = limits()
    assert {name for name, found in every.items() if found.value is not None} == {"PIPE_BUF"}
    assert every["kernel.msgmnb"] == Limit(
        "kernel.msgmnb",
        None,
        "bytes",
        "/proc/sys/kernel/msgmnb",
        "msgget(2)",
        "/proc/sys/kernel/msgmnb: Permission denied",
    )


def test_limit_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits()["kernel.shmmax"].value = 1  # type: ignore[misc] # a type checker rejects it, too


def test_unknown_limit_raises_lookup_error_with_all_names():
    with pytest.raises(LookupError, match=r"limit must be one of kernel\.shmmax, .*, not 'shmmax'"):
        read_limit("shmmax")
