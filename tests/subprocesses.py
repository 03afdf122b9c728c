"""A process that a test starts: if the test fails in between, the process is killed, and not waited for."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import AnyStr

__all__ = ["Running"]


class Running(subprocess.Popen[AnyStr]):
    """A subprocess.Popen whose block kills the process if the test fails before it has ended the process."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill()
        super().__exit__(kind, error, traceback)
