"""The ipc_requires_… markers: skipped with the numbers, by what there is when the test is about to run.

Never by a user id.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_ipc import limits, trial
from pytest_ipc.kernel import CLONE_NEWUSER, CapabilitySets, capget, capset, map_user, unshare
from pytest_ipc.requirements import requires_capability, requires_kernel, requires_limit, requires_shm


def run(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rs", "--strict-markers", *arguments)


def test_met_requirement_does_not_skip(pytester):
    result = run(
        pytester,
        """
        import pytest

        pytestmark = pytest.mark.ipc_requires_kernel("2.6")

        @pytest.mark.ipc_requires_shm("4K")
        @pytest.mark.ipc_requires_limit("PIPE_BUF", 512)
        @pytest.mark.ipc_requires_limit("PAGE_SIZE", at_least="1K", at_most="1M")
        class TestAll:
            def test_it(self):
                pass
        """,
    )
    result.assert_outcomes(passed=1)


def test_unmet_requirement_skips_with_the_numbers(pytester):
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.ipc_requires_shm("64T")
        def test_shm():
            assert False

        @pytest.mark.ipc_requires_limit("PIPE_BUF", 1 << 30)
        def test_limit():
            assert False

        @pytest.mark.ipc_requires_limit("PIPE_BUF", at_most=511)
        def test_most():
            assert False

        @pytest.mark.ipc_requires_kernel("99.1")
        def test_kernel():
            assert False

        @pytest.mark.ipc_requires_kernel("99")
        class TestClass:
            @pytest.mark.ipc_requires_kernel("2.6")
            def test_in_class(self):
                assert False
        """,
    )
    result.assert_outcomes(skipped=5)
    result.stdout.fnmatch_lines(
        [
            "SKIPPED [[]1[]] *_with_the_numbers.py:3: needs 64 TiB free in /dev/shm, which has *",
            "SKIPPED [[]1[]] *.py:7: needs PIPE_BUF of at least 1073741824 bytes, not 4096",
            "SKIPPED [[]1[]] *.py:11: needs PIPE_BUF of at most 511 bytes, not 4096",
            f"SKIPPED [[]1[]] *.py:15: needs Linux 99.1, not {os.uname().release}",
            f"SKIPPED [[]1[]] *.py:21: needs Linux 99, not {os.uname().release}",
        ]
    )


WRONG = {
    'ipc_requires_shm("much")': "the amount must be a number like 100 or text like '256M', not 'much'",
    "ipc_requires_shm(-1)": "the amount must be a non-negative number, not -1",
    "ipc_requires_shm()": "requires_shm() missing 1 required positional argument: 'size'",
    'ipc_requires_limit("kernel.shmnmi", 5)': "there is no limit 'kernel.shmnmi'; perhaps kernel.shmmni",
    'ipc_requires_limit("kernel.shmmni")': "requires_limit needs at_least, at_most or both",
    'ipc_requires_limit("kernel.shmmni", True)': "the amount must be a number like 100 or text like '256M', not True",
    "ipc_requires_limit(7, 5)": "there is no limit 7",
    'ipc_requires_capability("CAP_SYS_ADMN")': "there is no capability 'CAP_SYS_ADMN'; perhaps CAP_SYS_ADMIN",
    "ipc_requires_capability()": "requires_capability needs at least one name, such as 'CAP_SYS_ADMIN'",
    'ipc_requires_kernel("five")': "kernel version must look like '4.17', not 'five'",
    "ipc_requires_kernel(5.10)": "the version must be text like '5.10', not 5.1",
}


@pytest.mark.parametrize("marker", WRONG)
def test_bad_arguments_are_a_usage_error_that_names_the_test(pytester, marker):
    result = run(pytester, f"import pytest\n\n@pytest.mark.{marker}\ndef test_it():\n    pass\n", "-k", "it")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.stderr.lines if line]
    name = marker.partition("(")[0]
    assert line.startswith(f"ERROR: {result_name(pytester)}::test_it: the marker {name}: {WRONG[marker]}")


def result_name(pytester: pytest.Pytester) -> str:
    (path,) = pytester.path.glob("test_*.py")
    return path.name


def test_worker_reports_unmet_requirements(pytester):
    result = run(pytester, "import pytest\n\n@pytest.mark.ipc_requires_shm()\ndef test_it():\n    pass\n", "-n", "1")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*::test_it: the marker ipc_requires_shm: requires_shm() missing 1 required*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_the_markers_are_listed_with_their_help(pytester):
    result = pytester.runpytest_subprocess("--markers", "-p", "no:cacheprovider")
    text = result.stdout.str()
    for line in (
        "ipc_requires_shm(size): Skip the test unless",
        "ipc_requires_limit(name, at_least=None, *, at_most=None): Skip",
        "ipc_requires_capability(*names): Skip",
        "ipc_requires_kernel(version): Skip",
    ):
        assert f"\n@pytest.mark.{line}" in text


FOREIGN = ["clause", "requires_shm", "requires_limit", "requires_capability", "requires_kernel", "requires_luck"]


def test_markers_of_other_projects_are_not_looked_at(pytester):
    result = run(
        pytester,
        """
        import sys
        import pytest

        @pytest.mark.clause("WHERE")
        def test_parser():
            pass

        @pytest.mark.clause
        @pytest.mark.requires_kernel
        def test_bare():
            pass

        @pytest.mark.requires_kernel("llr")
        @pytest.mark.requires_capability("multimodal", "turbo")
        @pytest.mark.requires_limit(cpu=4)
        @pytest.mark.requires_shm(mine=True)
        class TestOther:
            def test_it(self):
                assert "pytest_ipc.requirements" not in sys.modules
        """,
        "-o",
        "markers=" + "\n".join(FOREIGN),
    )
    result.assert_outcomes(passed=3)


def test_a_marker_that_another_plugin_adds_is_served(pytester):
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            items[0].add_marker(pytest.mark.ipc_requires_kernel("99"))
        """
    )
    result = run(pytester, "def test_it():\n    assert False\n\ndef test_other():\n    pass\n")
    result.assert_outcomes(skipped=1, passed=1)
    result.stdout.fnmatch_lines(["SKIPPED *.py:1: needs Linux 99, *"])


def test_capability_is_checked_by_its_bit(fork):
    def life():
        before = requires_capability("CAP_CHOWN")() is None, capget().effective & 1 == 1
        capset(CapabilitySets(0, 0, 0))
        return before, requires_capability("CAP_CHOWN")(), requires_capability("CHOWN")()

    (reported, has), *lacks = fork(life).result()
    assert reported == has
    assert lacks == ["needs CAP_CHOWN, which this process does not have"] * 2


def test_user_0_without_capabilities_has_none(fork):
    if os.geteuid() != 0:
        pytest.skip("needs to be user 0")

    def life():
        capset(CapabilitySets(0, 0, 0))
        return os.geteuid(), requires_capability("CAP_SYS_ADMIN")()

    assert fork(life).result() == (0, "needs CAP_SYS_ADMIN, which this process does not have")


def test_a_capability_that_the_bits_promise_and_the_kernel_does_not_give(fork):
    """In a user namespace of one's own all bits are set, and CAP_SYS_RESOURCE is good for nothing."""

    def in_a_user_namespace() -> None:
        uid, gid = os.getuid(), os.getgid()
        unshare(CLONE_NEWUSER)
        map_user(0, 0, uid, gid)

    if (refusal := trial(in_a_user_namespace)) is not None:
        pytest.skip(f"no user namespace can be made here: {refusal}")

    def life():
        in_a_user_namespace()
        return requires_capability("CAP_SYS_RESOURCE")(), requires_capability("CAP_SYS_ADMIN")()

    assert fork(life).result() == (
        "needs CAP_SYS_RESOURCE, which is set, but a trial call fails: Operation not permitted",
        None,
    )


def test_dev_shm_requirement_is_the_free_space(fork):
    """In a mount namespace with 1 MiB there, half of which is taken."""
    from pytest_ipc.kernel import CLONE_NEWNS, MS_PRIVATE, MS_REC, mount

    def small_dev_shm() -> None:
        unshare(CLONE_NEWNS)
        mount(None, "/", None, MS_REC | MS_PRIVATE)
        mount("tmpfs", "/dev/shm", "tmpfs")

    if (refusal := trial(small_dev_shm)) is not None:
        pytest.skip(f"needs CAP_SYS_ADMIN, to mount another /dev/shm: {refusal}")

    def life():
        small_dev_shm()
        subprocess.run(["mount", "-o", "remount,size=1M", "/dev/shm"], check=True)
        before = requires_shm("1M")()
        with open("/dev/shm/taken", "wb") as file:
            file.write(bytes(512 * 1024))
        return before, requires_shm("512K")(), requires_shm(600 * 1024)()

    assert fork(life).result() == (None, None, "needs 600 KiB free in /dev/shm, which has 512 KiB")


def test_unmet_requirement_is_one_sentence():
    assert requires_limit("RLIMIT_NOFILE", 1)() is None
    assert requires_kernel("3.0")() is None
    lack = requires_limit("RLIMIT_NOFILE", 1 << 40)()
    assert str(lack).startswith("needs RLIMIT_NOFILE of at least 1099511627776 descriptors, not ")


def test_missing_limit_is_unmet(monkeypatch):
    monkeypatch.setattr("pytest_ipc.unpatched.io.open", open_none)
    lack = requires_limit("kernel.shmmni", 1)()
    assert lack == (
        "needs kernel.shmmni of at least 1 segments, which is not available: "
        "/proc/sys/kernel/shmmni: No such file or directory"
    )


def open_none(path):
    raise FileNotFoundError(2, "No such file or directory", path)


def test_every_limit_can_be_asked_for():
    assert {name for name in limits() if requires_limit(name, 0) is None} == set()


def test_the_plain_import_is_of_this_project():
    """A program that only asks for limits loads no pytest."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, pytest_ipc; pytest_ipc.limits(); assert 'pytest' not in sys.modules"],
        check=False,
    )
    assert done.returncode == 0
