"""The description of a platform: what it says, and what it omits if that is not available."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_ipc.kernel import proc
from pytest_ipc.verdict.platform import describe


def test_description_of_this_platform():
    found = describe.describe()
    assert os.uname().release in found["kernel"]
    assert f"{os.sysconf('SC_PAGE_SIZE')} byte pages" in found["architecture"]
    assert found["user"] == f"uid {os.getuid()}, gid {os.getgid()}"
    assert all(found.values())


def test_description_without_proc(monkeypatch):
    monkeypatch.setattr(proc, "_read", lambda _path: None)
    monkeypatch.setattr(describe, "_text", lambda _path: "")
    found = describe.describe()
    assert "capabilities" not in found
    assert "kernel/shmmax" not in found["limits"]


@pytest.mark.parametrize(
    ("path", "text", "sign"),
    [
        ("/proc/version", "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016", "gVisor"),
        ("/proc/cpuinfo", "model name : UML\nvendor_id : User Mode Linux", "user-mode Linux"),
        ("/proc/self/uid_map", "0 1000 1", "a user namespace of its own"),
    ],
)
def test_sandboxes_are_recognized(monkeypatch, path, text, sign):
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self, **options: text if str(self) == path else real(self, **options))
    assert sign in describe.describe()["container"]


def test_capabilities_are_named(monkeypatch):
    for held, text in ((0, "none"), (1 << 15, "IPC_OWNER"), ((1 << 41) - 1 & ~(1 << 24), "all but SYS_RESOURCE")):
        monkeypatch.setattr(proc, "capabilities", lambda held=held: held)
        assert describe.describe()["capabilities"] == text


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (
            {"kernel": "Linux 6.12.9 #1 SMP", "architecture": "x86_64, 4096 byte pages, little-endian"},
            "Linux 6.12.9 x86_64",
        ),
        (
            {"kernel": "Linux 4.4.0 #1", "container": "gVisor, a seccomp filter (2 in force)"},
            "Linux 4.4.0, gVisor, a seccomp filter",
        ),
        ({}, "a platform without a name"),
    ],
)
def test_default_name_of_a_platform(found, name):
    assert describe.short_name(found) == name
