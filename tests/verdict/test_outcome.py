"""A test's outcome becomes its clause's verdict, the same in plain pytest, under xdist and in JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from errno import ENOSYS, EPERM

import pytest

from pytest_ipc import NotAllowedHere, disputed
from pytest_ipc.kernel import libc
from pytest_ipc.resources.ipc_namespace import NoNamespaceLimits
from pytest_ipc.resources.two_hosts import NoVethPair
from pytest_ipc.verdict.judge import outcome

CLAUSES = """
import errno, os, pytest
from pytest_ipc import clause, disputed, fails_with, untested, ChildDied, Need
from pytest_ipc.custody.state_dir import StateDirError

@clause("a.holds", "a(2)", "DESCRIPTION")
def test_holds():
    '''It holds.'''

@clause("a.assertion", "a(2)", "DESCRIPTION")
def test_assertion():
    '''One is
    two.'''
    assert 1 == 2

@clause("a.wrong-errno", "a(2)", "ERRORS", errno=errno.EEXIST)
def test_wrong_errno():
    '''It fails with EEXIST.'''
    with fails_with(errno.EEXIST):
        os.close(-1)

@clause("a.success", "a(2)", "ERRORS", errno=errno.EEXIST)
def test_success():
    '''It fails.'''
    with fails_with(errno.EEXIST):
        pass

@clause("a.unexpected-error", "a(2)", "DESCRIPTION")
def test_unexpected_error():
    '''It works.'''
    os.close(-1)

@clause("a.died", "a(2)", "DESCRIPTION")
def test_died(fork):
    '''The child lives.'''
    fork(os.abort).result()

@clause("a.timeout", "a(2)", "DESCRIPTION")
def test_timeout(fork, pipe):
    '''It does not block.'''
    p = pipe()
    fork(p.read).result(timeout=0.05)

@clause("a.absent", "a(2)", "DESCRIPTION")
def test_absent():
    '''It is there.'''
    raise OSError(errno.ENOSYS, "a: Function not implemented")

@clause("a.absent-within", "a(2)", "ERRORS")
def test_absent_within_fails_with():
    '''It fails.'''
    with fails_with(errno.EEXIST):
        raise OSError(errno.ENOSYS, "a: Function not implemented")

@clause("a.no-ledger", "a(2)", "ERRORS")
def test_no_ledger_within_fails_with(fork, monkeypatch):
    '''It fails.'''
    def refuse(*arguments, **more): raise StateDirError(errno.EACCES, "no ledger", "/home")
    monkeypatch.setattr("pytest_ipc.processes.started.intent", refuse)
    with fails_with(errno.EEXIST):
        fork(os.close, -1).result()

@clause("a.absent-in-child", "a(2)", "ERRORS")
def test_absent_in_child(fork):
    '''It is there.'''
    def ask(): raise OSError(errno.ENOSYS, "a: Function not implemented")
    fork(ask).result()

@clause("a.untested", "a(2)", "DESCRIPTION")
def test_untested():
    '''It needs something.'''
    untested(Need.OTHER_USERS, "needs CAP_X")

@clause("a.untested-in-child", "a(2)", "DESCRIPTION")
def test_untested_in_child(fork):
    '''It needs something.'''
    fork(untested, Need.TERMINALS, "needs CAP_Y").result()

@clause("a.disputed", "a(2)", "DESCRIPTION", disputed="EINVAL")
def test_disputed():
    '''It is one thing.'''
    disputed(manual="EIDRM", linux="answers EINVAL")

@clause("a.too-new", "a(2)", "DESCRIPTION", since="999.1")
def test_too_new():
    '''It will be so.'''
    assert 1 == 2

@clause("a.too-new-holds", "a(2)", "DESCRIPTION", since="999.1")
def test_too_new_but_there():
    '''It is so already.'''

@clause("a.broken", "a(2)", "DESCRIPTION")
def test_broken():
    '''The test is wrong.'''
    undefined_name

@pytest.fixture
def breaks(): raise OSError(errno.EINVAL, "setup")

@clause("a.broken-setup", "a(2)", "DESCRIPTION")
def test_broken_setup(breaks):
    '''The arrangement fails.'''

@pytest.fixture
def breaks_late():
    yield
    raise RuntimeError("late")

@clause("a.broken-teardown", "a(2)", "DESCRIPTION")
def test_broken_teardown(breaks_late):
    '''It is not cleaned up.'''

@clause("a.deviates-then-breaks", "a(2)", "DESCRIPTION")
def test_deviates_then_breaks(breaks_late):
    '''One is two.'''
    assert 1 == 2

@clause("a.no-room", "a(2)", "DESCRIPTION")
def test_no_room(pipe):
    '''It needs an object that cannot be had.'''
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        pipe()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

@clause("a.family", "a(2)", "ERRORS")
@pytest.mark.parametrize("value", [1, 2, 3])
def test_family(value):
    '''Every one is small.'''
    assert value < 3

def test_without_a_clause():
    pass
"""

EXPECTED = {
    "a.holds": "holds",
    "a.assertion": "deviates",
    "a.wrong-errno": "deviates",
    "a.success": "deviates",
    "a.unexpected-error": "deviates",
    "a.died": "deviates",
    "a.timeout": "deviates",
    "a.absent": "absent",
    "a.absent-within": "absent",
    "a.no-ledger": "untested",
    "a.absent-in-child": "absent",
    "a.untested": "untested",
    "a.untested-in-child": "untested",
    "a.disputed": "disputed",
    "a.too-new": "untested",
    "a.too-new-holds": "holds",
    "a.broken": "broken",
    "a.broken-setup": "broken",
    "a.broken-teardown": "broken",
    "a.deviates-then-breaks": "deviates",
    "a.no-room": "untested",
}


@pytest.fixture
def outcomes(pytester: pytest.Pytester):
    """Run the clauses above in another pytest: their properties in JUnit XML."""
    pytester.makepyfile(CLAUSES)

    def run(*arguments: str):
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--junit-xml=junit.xml", *arguments)
        cases = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
        every = [{p.get("name"): p.get("value") for p in case.iter("property")} for case in cases]
        return result, {properties["clause"]: properties for properties in every if "clause" in properties}

    return run


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_each_outcome_gives_its_verdict(outcomes, arguments):
    _, found = outcomes(*arguments)
    assert {id: properties["verdict"] for id, properties in found.items() if id != "a.family"} == EXPECTED


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_untested_and_absent_clauses_name_their_need(outcomes, arguments):
    _, found = outcomes(*arguments)
    needs = {
        id: properties.get("need", "")
        for id, properties in found.items()
        if properties["verdict"] in ("untested", "absent") or "need" in properties
    }
    assert needs == {
        "a.absent": "system-calls",
        "a.absent-in-child": "system-calls",
        "a.absent-within": "system-calls",
        "a.no-ledger": "resources",
        "a.no-room": "resources",
        "a.too-new": "newer-kernel",
        "a.untested": "other-users",
        "a.untested-in-child": "terminals",
    }


@pytest.mark.parametrize(
    ("error", "need"),
    [(NotAllowedHere, "ipc-namespaces"), (NoNamespaceLimits, "namespace-limits"), (NoVethPair, "network")],
)
def test_resource_that_is_not_permitted_has_a_need(error, need):
    skipped = pytest.skip.Exception("no")
    skipped.__context__ = error(EPERM, "no")  # as in a fixture, which skips in the handler of the error
    assert outcome._verdict(skipped, "setup", "").need == need
    assert outcome._verdict(error(EPERM, "no"), "call", "").need == need


def test_missing_libc_function_and_missing_system_call_are_different_needs():
    missing = libc.function("no_such_function", None)
    with pytest.raises(OSError) as caught:
        missing()
    assert outcome._verdict(caught.value, "call", "").need == "libc-functions"
    assert outcome._verdict(OSError(ENOSYS, "shmget: Function not implemented"), "call", "").need == "system-calls"


def test_pytest_reports_the_same_outcomes(outcomes):
    result, _ = outcomes("-rA")
    # Four broken clauses are two failures, one error at setup, and one at teardown, whose test has passed.
    failed = (
        sum(verdict == "deviates" for verdict in EXPECTED.values()) + 1 + 1
    )  # the family's third, and the broken call
    skipped = sum(verdict in ("untested", "absent") for verdict in EXPECTED.values())
    result.assert_outcomes(passed=6, failed=failed, errors=3, skipped=skipped, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "*= clauses =*",
            "*2 holds",
            "*5 untested: a.no-ledger, a.no-room, a.too-new, a.untested, a.untested-in-child",
            "*3 absent: a.absent, a.absent-in-child, a.absent-within",
            "*1 disputed: a.disputed",
            "*8 deviates: a.assertion, a.deviates-then-breaks, *",
            "*3 broken: a.broken, a.broken-setup, a.broken-teardown",
        ]
    )
    result.stdout.fnmatch_lines(
        ["SKIPPED*test_pytest_reports_the_same_outcomes.py*absent: ENOSYS: *", "SKIPPED*.py*untested: needs CAP_X"]
    )


def test_expected_and_observed_are_recorded(outcomes):
    _, found = outcomes()
    assert found["a.assertion"]["statement"] == "One is two"
    assert (found["a.assertion"]["expected"], found["a.assertion"]["observed"]) == ("1 to be 2", "it is 1")
    assert found["a.wrong-errno"]["expected"] == "EEXIST"
    assert "EBADF" in found["a.wrong-errno"]["observed"]
    assert "SIGABRT" in found["a.died"]["observed"]
    assert found["a.untested"]["reason"] == "needs CAP_X"
    assert "999.1" in found["a.too-new"]["reason"]
    assert "NameError" in found["a.broken"]["reason"]
    assert (found["a.holds"]["page"], found["a.holds"]["section"]) == ("a(2)", "DESCRIPTION")
    came_from = [(found[id]["manual"], found[id]["level"], found[id]["since"]) for id in ("a.holds", "a.too-new")]
    assert came_from == [("man-pages 6.20", "linux", ""), ("man-pages 6.20", "linux", "Linux 999.1")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("'NoDot', 'a(2)', 'S'", "a clause id must look like"),
        ("'a.b', 'a(2)', 'S', since='new'", "since must be a version of the kernel or of glibc"),
        ("'a.b', 'a(2)', 'S', level='bsd'", "level must be one of posix, linux, glibc"),
    ],
)
def test_invalid_clause_is_refused(pytester, arguments, sentence):
    pytester.makepyfile(f"from pytest_ipc import clause\n@clause({arguments})\ndef test_it():\n    'It.'\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*ValueError: *{sentence}*"])


def test_dispute_names_both_sides_and_the_manual_release():
    with pytest.raises(pytest.xfail.Exception) as caught:
        disputed("one thing", "does another")
    assert str(caught.value) == (
        "disputed: the manual (man-pages 6.20) says one thing; this platform, like Linux, does another"
    )


@pytest.mark.parametrize(
    ("page", "section", "reason", "missing"),
    [
        ("proc_sysvipc(5)", "/proc/sysvipc/", "needs /proc/sysvipc/none", "/proc/sysvipc/none"),
        ("pipe(7)", "/proc files", "needs /proc/sys/fs/none-such", "/proc/sys/fs/none-such"),
        ("pipe(7)", "Pipe capacity", "needs /proc/sys/fs/none-such", ""),
        ("proc_sys_kernel(5)", "/proc/sys/kernel/pid_max", "needs /proc/sys/kernel/pid_max", ""),
        ("proc_locks(5)", "/proc/locks", "needs CAP_SYS_ADMIN", ""),
    ],
)
def test_missing_file_is_absent_if_the_clause_is_about_it(page, section, reason, missing):
    mark = pytest.mark.ipc_clause("a.b", page, section).mark
    assert outcome._missing_file(mark, reason) == missing
