"""What the writer of a ledger, those that sweep it, and the reaper agree on.

A module of its own: the reaper waits in memory without the writer's modules.
"""

from __future__ import annotations

__all__ = ["LEDGER", "LONGEST", "READY", "VERSION"]

VERSION = 2
LONGEST = 4000  # bytes of a line, below PIPE_BUF

LEDGER = 3  # the number of the owner's ledger in the reaper
READY = b"\6"  # written by the reaper once it watches: no error message contains an ACK
