"""pipe(7), /proc files: what can be written to the limits of pipes, which are the whole machine's and no namespace's.

To change one disturbs everybody who makes a pipe meanwhile. So that is done only where PYTEST_IPC_WHOLE_MACHINE=1 says that
the machine is the suite's alone, as in a virtual machine; what can be asked without changing anything is asked everywhere.
"""

from __future__ import annotations

import os
from errno import EINVAL

from pytest_ipc import clause, disputed, fails_with, untested
from pytest_ipc.kernel import limit, set_limit

MOST = "fs/pipe-max-size"


def known(name: str) -> int:
    """The limit as it is. Untested where it is not shown."""
    value = limit(name)
    if value is None:
        untested(f"needs /proc/sys/{name}")
    return value


@clause("proc.pipe-max-size-rounding", "pipe(7)", "/proc files", since="2.6.35")
def test_the_greatest_size_is_rounded_up(page):
    """What is written to pipe-max-size is rounded up as the size of a pipe is, and reads as what it was rounded to."""
    most = known(MOST)
    if most & (most - 1) or most <= page:
        untested(f"pipe-max-size is {most}: no power of two to come back to")
    try:
        set_limit(MOST, most - page + 1)  # rounded up it is what it was, so that nobody is disturbed
    except OSError as error:
        untested(f"cannot write /proc/sys/{MOST}: {error.strerror}")
    assert limit(MOST) == most


@clause(
    "proc.pipe-max-size-min-einval",
    "pipe(7)",
    "/proc files",
    errno=EINVAL,
    since="2.6.35",
    disputed="a smaller value is rounded up to one page",
)
def test_the_greatest_size_is_at_least_a_page(page):
    """A value below the page size is refused in pipe-max-size."""
    before = known(MOST)
    if os.environ.get("PYTEST_IPC_WHOLE_MACHINE") != "1":
        untested(f"changes {MOST} for the whole machine: set PYTEST_IPC_WHOLE_MACHINE=1 where that disturbs nobody")
    try:
        with fails_with(EINVAL):
            set_limit(MOST, page - 1)
            if limit(MOST) == page:
                disputed(manual="EINVAL", linux="takes it for one page")
        assert limit(MOST) == before
    finally:
        set_limit(MOST, before)
