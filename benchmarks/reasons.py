"""Why rows miss their goals, from their profiles: system calls (strace), page faults (getrusage), functions (cProfile).

A reason is shown with its row as long as the goal is missed.
"""

from __future__ import annotations

__all__ = ["REASONS"]

_FORK = (
    "Each page that either process writes to while the other lives is copied, and Python writes to every object that "
    "it looks at. os.fork() and an exit at once have about 800 page faults; a child that sets itself up, runs a "
    "function and reports, and a parent that puts it on record, waits, and looks for its descendants, have 1,580. "
    "There are about 200 system calls, half of them in the child: its tag and mark, its group, standard streams, a "
    "ledger of its own, the runner's pipes to close. gc.freeze() changes nothing."
)
_RECORD = (
    "The object is on record before it exists and until it is gone: two or three lines are written to the ledger, "
    "after a look whether this is still its file. "
)

REASONS = {
    "fork": _FORK,
    "fork-900": _FORK,
    "spawn": (
        "Half of the time is that of vfork(2), execve(2) and the program, as for the peer. The other half are 100 "
        "system calls: two memory files for the output, a pidfd, the record, the tag and mark of this process, and, at "
        "the end, two looks for descendants."
    ),
    "segment": _RECORD + "18 system calls, against 4; the others are calls from Python, which sysv_ipc makes in C.",
    "posix-shm": _RECORD
    + "27 system calls: beside the record the birth time of the file, which proves its identity, and "
    "the reservation of its memory, without which a full /dev/shm is a SIGBUS. The peer does neither.",
    "message": "A call of ctypes and the check of its arguments in Python take longer than the call itself.",
    "semaphore": "A call of ctypes and the check of its arguments in Python take longer than the call itself.",
    "posix-queue": "A call of ctypes and the check of its arguments in Python take longer than the call itself.",
    "posix-semaphore": (
        "Neither operation enters the kernel: it is an atomic instruction, and nearly all of the time is that of two "
        "method calls in Python and two calls of ctypes; the peer is written in C."
    ),
    "fifo": (
        "Each FIFO has a private directory, which another user cannot replace, so that mkdir(2), rmdir(2) and their "
        "journal are the most of the time by the clock. "
    )
    + _RECORD
    + "49 system calls. One directory for all FIFOs of a test would need a record of its own, removed last.",
    "pipe": "The objects of both ends and their owner are made and closed in Python; the system calls are the peer's.",
    "start-up": "The import of the modules of the plugin, its options and hooks, and the copies of os and time.",
    "start-up-ledger": "As without a ledger; and the ledgers of runs that have ended are looked for.",
    "modules": "The hooks, fixtures and options, and what they need before any fixture is used.",
    "modules-ledger": "As without a ledger, and the module that looks for ledgers.",
    "reaper-all": (
        "A file in a private directory takes ten system calls, among them those that prove that it is the one that was "
        "made; POSIX shared memory, semaphores and queues are proved by an open descriptor each."
    ),
    "reaper-memory": "An interpreter without site packages has 5 MB by itself.",
}
