"""A process that a test starts: when the test fails in the middle, it is killed, and not waited for until somebody gives up."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import AnyStr

__all__ = ["Running"]


class Running(subprocess.Popen[AnyStr]):
    """subprocess.Popen, whose own block waits for the process even where what would have ended it did not come to pass."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill()
        super().__exit__(kind, error, traceback)
