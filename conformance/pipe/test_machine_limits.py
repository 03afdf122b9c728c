"""pipe(7), /proc files: writing the pipe limits, which are global and not per namespace.

Changing one affects every process that creates a pipe meanwhile. It is done only with PYTEST_IPC_WHOLE_MACHINE=1, which
declares that the machine, such as a virtual machine, serves the suite alone. Reading is done everywhere.
"""

from __future__ import annotations

import os
from errno import EINVAL

from pytest_ipc import Need, clause, disputed, fails_with, untested
from pytest_ipc.kernel import limit, set_limit

MAX_SIZE = "fs/pipe-max-size"


def known(name: str) -> int:
    """Return the value of a limit; untested if it is not readable."""
    value = limit(name)
    if value is None:
        untested(Need.PROC_FILES, f"needs /proc/sys/{name}")
    return value


@clause("proc.pipe-max-size-rounding", "pipe(7)", "/proc files", since="2.6.35")
def test_pipe_max_size_is_rounded_up(page):
    """A value written to pipe-max-size is rounded up like the capacity of a pipe, and reads back rounded."""
    most = known(MAX_SIZE)
    if most & (most - 1) or most <= page:
        untested(Need.MACHINE_LIMITS, f"pipe-max-size is {most}: no power of two to come back to")
    try:
        set_limit(MAX_SIZE, most - page + 1)  # rounds up to the present value, so that nothing changes
    except OSError as error:
        untested(Need.SETTABLE_LIMITS, f"cannot write /proc/sys/{MAX_SIZE}: {error.strerror}")
    assert limit(MAX_SIZE) == most


@clause(
    "proc.pipe-max-size-min-einval",
    "pipe(7)",
    "/proc files",
    errno=EINVAL,
    since="2.6.35",
    disputed="a smaller value is rounded up to one page",
)
def test_pipe_max_size_below_a_page_fails(page):
    """A write of less than the page size to pipe-max-size fails with EINVAL."""
    before = known(MAX_SIZE)
    if os.environ.get("PYTEST_IPC_WHOLE_MACHINE") != "1":
        untested(
            Need.WHOLE_MACHINE,
            f"changes {MAX_SIZE} for the whole machine: set PYTEST_IPC_WHOLE_MACHINE=1 where that is acceptable",
        )
    try:
        with fails_with(EINVAL):
            set_limit(MAX_SIZE, page - 1)
            if limit(MAX_SIZE) == page:
                disputed(manual="EINVAL", linux="rounds it up to one page")
        assert limit(MAX_SIZE) == before
    finally:
        set_limit(MAX_SIZE, before)
