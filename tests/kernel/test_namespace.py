"""Calls on namespaces, mounts, capabilities and limits: their results and their errors."""

from __future__ import annotations

import os
from errno import EINVAL, ENOENT, EPERM

import pytest

from pytest_ipc import fails_with, trial, unpatched
from pytest_ipc.kernel import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_PRIVATE,
    MS_REC,
    RLIM_INFINITY,
    RLIMIT_MEMLOCK,
    CapabilitySets,
    capabilities,
    capget,
    capset,
    getrlimit,
    kernel_is_older,
    kernel_version,
    map_user,
    mount,
    prlimit,
    process_status,
    setrlimit,
    umount2,
    unshare,
)


def test_map_user_maps_to_the_same_or_another_user(fork):
    if (refusal := trial(lambda: unshare(CLONE_NEWUSER))) is not None:
        pytest.skip(f"no user namespace can be created here: {refusal}")

    def life(uid, gid):
        outside = os.getuid(), os.getgid()
        unshare(CLONE_NEWUSER)
        map_user(uid, gid, *outside)
        return os.getuid(), os.getgid()

    for inside in ((0, 0), (7, 8)):
        try:
            assert fork(life, *inside).result() == inside
        except PermissionError as error:
            pytest.skip(f"this user may not be mapped here: {error}")


def test_mount_and_umount2(fork, tmp_path):
    def apart() -> None:
        unshare(CLONE_NEWNS)
        mount(None, "/", None, MS_REC | MS_PRIVATE)

    if (refusal := trial(apart)) is not None:
        pytest.skip(f"needs CAP_SYS_ADMIN: {refusal}")

    def life():
        apart()
        (tmp_path / "below").touch()
        mount("tmpfs", tmp_path, "tmpfs")
        hidden = os.listdir(tmp_path)
        umount2(tmp_path)
        with fails_with(EINVAL):
            umount2(tmp_path)
        with fails_with(ENOENT):
            umount2(tmp_path / "nothing")
        return hidden, os.listdir(tmp_path)

    assert fork(life).result() == ([], ["below"])


@pytest.mark.parametrize("call", [lambda: mount(None, "a\0b"), lambda: umount2("a\0b")], ids=["mount", "umount2"])
def test_path_with_a_nul_raises_value_error(call):
    with pytest.raises(ValueError, match="must not contain a NUL"):
        call()


def test_capget_agrees_with_proc():
    held = capget()
    shown = process_status()
    if "CapEff" not in shown:
        pytest.skip("this kernel does not show capabilities")
    assert held == CapabilitySets(*(int(shown[name], 16) for name in ("CapEff", "CapPrm", "CapInh")))
    assert held.effective == capabilities()


def test_capset_drops_and_does_not_add_capabilities(fork):
    def life():
        first = capget()
        less = CapabilitySets(first.effective & ~1, first.permitted & ~1, first.inheritable & ~1)
        capset(less)
        given_up = capget() == less
        with fails_with(EPERM):
            capset(CapabilitySets(less.effective | 1, less.permitted | 1, less.inheritable))
        return given_up, capget() == less

    assert fork(life).result() == (True, True)


def test_rlimits_are_read_and_set(fork):
    def life():
        setrlimit(RLIMIT_MEMLOCK, 4096, 8192)
        old = prlimit(0, RLIMIT_MEMLOCK, (0, 8192))
        with fails_with(EINVAL):
            getrlimit(99)
        return old, getrlimit(RLIMIT_MEMLOCK), prlimit(os.getpid(), RLIMIT_MEMLOCK)

    assert fork(life).result() == ((4096, 8192), (0, 8192), (0, 8192))
    assert RLIM_INFINITY == 2**64 - 1


def test_kernel_version_is_compared_by_numbers(monkeypatch):
    for release, version, older in (
        ("6.9.1-custom", "6.10", True),
        ("6.10.0", "6.9", False),
        ("6.1", "6.1", False),
        ("6.1", "6.1.2", True),
        ("unknown", "6.1", False),
    ):
        monkeypatch.setattr(
            unpatched.os, "uname", lambda release=release: os.uname_result(("Linux", "here", release, "", ""))
        )
        assert kernel_is_older(version) is older
        assert kernel_version()[:1] in ((6,), ())
    with pytest.raises(ValueError, match=r"must look like '4\.17', not '6\.x'"):
        kernel_is_older("6.x")
