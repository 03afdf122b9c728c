"""A traceback ends at the user's line: the frames of this package are hidden, and --full-trace shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

import pytest_ipc

PACKAGE = Path(pytest_ipc.__file__).parent
HIDDEN = [
    path
    for path in sorted([PACKAGE / "api.py", PACKAGE / "resource.py", *PACKAGE.glob("*/*.py")])
    if path.parent.name in ("kernel", "resources", "processes", PACKAGE.name) and path.name != "__init__.py"
]
LINES = {
    "a kernel call": "    shmget(-1, 0, 1 << 40)",
    "a resource": "    fifo(path='/')",
    "a timeout": "    pipe().read(timeout=0)",
    "a child": "    fork(os.getpid).wait_state('T')",
    "a wrong argument": "    ipc.posix_sem(-1)",
}


@pytest.mark.parametrize("path", HIDDEN, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_hides_its_frames(path):
    assert "\n__tracebackhide__ = True" in path.read_text()


def test_a_traceback_ends_at_the_line_of_the_test(pytester):
    tests = [f"def test_{number}(ipc, fifo, pipe, fork):\n{line}\n" for number, line in enumerate(LINES.values())]
    pytester.makepyfile("import os\n\nfrom pytest_ipc.kernel import shmget\n\n\n" + "\n\n".join(tests))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=len(LINES))
    text = result.stdout.str()
    assert "pytest_ipc/" not in text
    for line in LINES.values():
        assert f">   {line}" in text
    full = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--full-trace").stdout.str()
    for module in ("kernel/libc.py", "resources/pipe.py", "processes/started.py", "api.py"):
        assert f"pytest_ipc/{module}:" in full
