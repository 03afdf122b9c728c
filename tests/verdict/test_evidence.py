"""A deviation has its position and the kernel calls before it: the test's own and a child's, and no others."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

CLAUSES = """
import errno, os, pytest
from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import close, getpipe_size, pipe2

@clause("a.before", "a(2)", "DESCRIPTION")
def test_before():
    '''It makes calls that are not evidence for others.'''
    for fd in pipe2():
        close(fd)

@clause("a.own", "a(2)", "ERRORS", errno=errno.EEXIST)
def test_own(request):
    '''It fails.'''
    fds = pipe2()
    for fd in fds:
        request.addfinalizer(lambda fd=fd: close(fd))
    with fails_with(errno.EEXIST):
        getpipe_size(fds[0])  # here

@clause("a.child", "a(2)", "ERRORS")
def test_child(fork, pipe):
    '''It fails in a child.'''
    def life():
        fd = pipe().read_fd
        getpipe_size(fd)
        close(-7)  # there
    fork(life).result()

@clause("a.child-of-child", "a(2)", "ERRORS", errno=errno.EBADF)
def test_child_of_child(fork):
    '''It fails in a child's child, with another error.'''
    with fails_with(errno.EEXIST):
        fork(lambda: fork(close, -8).result()).result()

@clause("a.child-returns", "a(2)", "DESCRIPTION")
def test_child_returns(fork, pipe):
    '''What it gives is wrong.'''
    assert fork(getpipe_size, pipe().read_fd).result() == -9

@clause("a.no-call", "a(2)", "DESCRIPTION")
def test_no_call():
    '''One is two.'''
    assert 1 == 2, "no"  # where

@clause("a.holds", "a(2)", "DESCRIPTION")
def test_holds():
    '''It holds.'''
    close(os.open("/", 0))

@clause("a.untested", "a(2)", "DESCRIPTION")
def test_untested():
    '''It is not tried.'''
    close(os.open("/", 0))
    untested(Need.OTHER, "needs luck")

@clause("a.long", "a(2)", "DESCRIPTION")
def test_long():
    '''It is described in few words.'''
    assert [LONG] == []
""".replace("LONG", "'" + "x" * 500 + "'")


@pytest.fixture(params=["serial", "xdist"])
def found(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """Return the evidence of each clause above, from JUnit XML."""
    pytester.makepyfile(test_them=CLAUSES)
    more = ["-n", "2"] if request.param == "xdist" else []
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "--junit-xml=junit.xml", *more)
    properties = [
        {p.get("name"): p.get("value") or "" for p in case.iter("property")}
        for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    ]
    return {entry["clause"]: entry.get("evidence", "").splitlines() for entry in properties}


def line_of(sign: str) -> int:
    return next(number for number, line in enumerate(CLAUSES.strip("\n").splitlines(), 1) if sign in line)


def test_deviation_has_its_evidence(found):
    own, child, grandchild, alone = (found[f"a.{name}"] for name in ("own", "child", "child-of-child", "no-call"))
    with_line = line_of("# here") - 1  # nothing failed in the block
    assert own[0] == f"test_them.py:{with_line}: with fails_with(errno.EEXIST): getpipe_size(fds[0])  # here"
    assert re.fullmatch(r"pipe2\(\[\d+, \d+\], 0\) = 0", own[1])
    assert re.fullmatch(r"fcntl\(\d+, F_GETPIPE_SZ\) = \d+", own[2])
    assert len(own) == 3
    assert child[0] == f"test_them.py:{line_of('# there')}: close(-7)  # there"
    assert re.fullmatch(r"\[child\] fcntl\(\d+, F_GETPIPE_SZ\) = \d+", child[-2])
    assert child[-1] == "[child] close(-7) = -1 EBADF"
    assert grandchild[0].endswith(": fork(lambda: fork(close, -8).result()).result()")
    assert grandchild[-1] == "[child 2] close(-8) = -1 EBADF"
    assert re.fullmatch(r"\[child\] fcntl\(\d+, F_GETPIPE_SZ\) = \d+", found["a.child-returns"][-1])
    assert any(line.startswith("pipe2(") for line in found["a.child-returns"])
    assert alone == [f'test_them.py:{line_of("# where")}: assert 1 == 2, "no"  # where']
    assert found["a.before"] == found["a.holds"] == found["a.untested"] == []
    assert len(found["a.long"][0]) == 200
