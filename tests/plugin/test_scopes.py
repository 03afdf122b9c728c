"""ipc_class, ipc_module, ipc_package and ipc_session: one Ipc for all tests of a class, module, package or run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ipc.kernel.waiting import Deadline

SCOPES = ["class", "module", "package", "session"]
TESTS = """
import os
from pathlib import Path

import pytest

from pytest_ipc import Ipc
from pytest_ipc.custody.record import made_by

NOTE = Path(os.environ["NOTE"])


def note(scope, segment):
    with NOTE.open("a") as file:
        file.write(f"{scope} {segment.id}\\n")


@pytest.fixture(scope="SCOPE")
def segment(ipc_SCOPE):
    assert isinstance(ipc_SCOPE, Ipc)
    made = ipc_SCOPE.sysv_shm()
    note("SCOPE", made)
    return made


class TestOne:
    def test_first(self, segment, ipc_SCOPE):
        assert segment.exists()
        assert segment in ipc_SCOPE.scope.owned()

    def test_second(self, segment, ipc):
        assert segment.exists()
        assert segment not in ipc.scope.owned()
        assert ipc.fork(lambda: segment.attach().buf[0]).result() == 0


class TestTwo:
    def test_third(self, segment, ipc):
        note("function", ipc.sysv_shm())
        assert segment.exists()

    def test_fourth(self):
        assert "SCOPE" in NOTE.read_text()
"""
# Made for each class, module, package and run: two classes in each of two modules of each of two packages.
MADE = {"class": 8, "module": 4, "package": 2, "session": 1}
LATER = """
import os
from pathlib import Path

from pytest_ipc import fails_with
from pytest_ipc.kernel import shmctl_stat


def test_objects_of_a_narrower_scope_are_gone(worker):
    rows = [row.split() for row in Path(os.environ["NOTE"]).read_text().splitlines()]
    if worker == "master":
        assert [scope for scope, _ in rows].count("SCOPE") == COUNT
    for scope, id in rows:
        if scope == "function" or ("SCOPE" != "session" and worker == "master"):
            with fails_with(22, 43):
                shmctl_stat(int(id))
        elif worker == "master":
            shmctl_stat(int(id))
"""


def ids() -> set[str]:
    """Return the ids of the segments that exist."""
    return {row.split()[1] for row in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


@pytest.fixture
def project(pytester, monkeypatch):
    """Two packages with two modules each, and a module that comes last."""
    monkeypatch.setenv("NOTE", str(pytester.path / "note"))
    (pytester.path / "note").touch()

    def make(scope: str) -> None:
        for package in ("one", "two"):
            folder = pytester.mkpydir(package)
            for module in ("test_a.py", "test_b.py"):
                (folder / module).write_text(TESTS.replace("SCOPE", scope))
        later = LATER.replace("SCOPE", scope).replace("COUNT", str(MADE[scope]))
        pytester.makepyfile(**{"zzz/__init__": "", "zzz/test_later": later})
        pytester.makeconftest(
            """
            import os
            import pytest

            @pytest.fixture
            def worker():
                return os.environ.get("PYTEST_XDIST_WORKER", "master")
            """
        )

    return make


@pytest.mark.parametrize("scope", SCOPES)
def test_objects_end_with_their_scope(pytester, project, scope):
    project(scope)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=17)
    gone = [line.split()[1] for line in (pytester.path / "note").read_text().splitlines()]
    assert gone
    assert not set(gone) & ids()


@pytest.mark.parametrize("scope", ["module", "session"])
def test_each_worker_has_its_own(pytester, project, scope):
    project(scope)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", "-n", "2", "--dist", "loadfile")
    result.assert_outcomes(passed=17)
    gone = [line.split()[1] for line in (pytester.path / "note").read_text().splitlines()]
    assert not set(gone) & ids()


def test_records_name_the_narrowest_scope_that_is_in_use(pytester):
    pytester.makepyfile(
        """
        import pytest
        from pytest_ipc.custody.record import made_by

        @pytest.fixture(scope="module", autouse=True)
        def of_the_module(ipc_module):
            assert made_by.test == "test_records_name_the_narrowest_scope_that_is_in_use.py"
            yield
            assert made_by.test == "test_records_name_the_narrowest_scope_that_is_in_use.py"

        class TestClass:
            def test_in_class(self, ipc_class):
                assert made_by.test.endswith("::TestClass")

            def test_own(self, ipc, request):
                assert made_by.test == request.node.nodeid
                request.getfixturevalue("ipc_session")
                assert made_by.test == request.node.nodeid

            def test_none_of_its_own(self):
                assert made_by.test.endswith("::TestClass")

        def test_after_the_class():
            assert made_by.test == "test_records_name_the_narrowest_scope_that_is_in_use.py"
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)


def test_killed_run_leaks_nothing_of_a_wider_scope(pytester):
    pytester.makepyfile(
        """
        import os, signal
        from pathlib import Path

        def test_killed(ipc_session):
            Path("note").write_text(str(ipc_session.sysv_shm().id))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider")
    id = (pytester.path / "note").read_text()
    assert Deadline(20).until(lambda: id not in ids())
