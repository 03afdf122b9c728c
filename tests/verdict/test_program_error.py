"""A clause whose program fails with a bug of its own is broken.

One whose program reports the platform's answer deviates.
"""

from __future__ import annotations

import pytest

SUITE = """
import subprocess, sys
import pytest
from pytest_ipc import clause

BUGS = ["None.x", "import no_such_module", "undefined", "x = (", "len(3)", "{}[1]", "raise Exception"]
ANSWERS = [
    "assert 1 == 2",
    "open('/no/such/file')",
    "raise TimeoutError",
    "raise SystemExit(3)",
    "import os; os.kill(os.getpid(), 9)",
]

def become(source):
    import os
    os.execv(sys.executable, [sys.executable, "-c", source])

@clause("a.forked-bug", "a(2)", "S")
@pytest.mark.parametrize("source", BUGS)
def test_forked_bug(fork, source):
    '''It holds.'''
    fork(become, source).result()

@clause("a.forked-answer", "a(2)", "S")
@pytest.mark.parametrize("source", ANSWERS)
def test_forked_answer(fork, source):
    '''It holds.'''
    fork(become, source).result()

@clause("a.asserted-bug", "a(2)", "S")
@pytest.mark.parametrize("source", BUGS)
def test_asserted_bug(source):
    '''It holds.'''
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

@clause("a.asserted-answer", "a(2)", "S")
@pytest.mark.parametrize("source", ANSWERS)
def test_asserted_answer(source):
    '''It holds.'''
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
"""


def test_program_with_a_bug_is_broken_and_one_with_an_answer_deviates(pytester):
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--tb=no", "-q")
    result.stdout.fnmatch_lines(
        ["*2 deviates: a.asserted-answer, a.forked-answer", "*2 broken: a.asserted-bug, a.forked-bug"]
    )


@pytest.mark.parametrize("kind", ["bug", "answer"])
def test_every_program_counts_alone(pytester, kind):
    pytester.makepyfile(SUITE + REPORT)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--tb=no", "-q", "-s", "-k", kind)
    seen = {line for line in result.stdout.lines if line.startswith("VERDICT")}
    assert seen == {"VERDICT broken" if kind == "bug" else "VERDICT deviates"}


REPORT = """
@pytest.fixture(autouse=True)
def show(request):
    yield
    print("\\nVERDICT", dict(request.node.user_properties)["verdict"])
"""
