"""A leak, and the shape of a detector that finds leaks of one kind."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from .guess import GUESS

if TYPE_CHECKING:
    from .origin import Origin
    from .owned import Owned

__all__ = ["Detector", "Leak", "Snapshot"]

# What a detector has seen, by an identity that is not reused while the object lives; the values may be of any type.
Snapshot = Mapping[Any, Any]


@dataclass(frozen=True)
class Leak:
    """Something that a test has left.

    `kind` is the detector's. `what` names the object with its size and creator. `proof` says why it is charged to the
    test; it is empty for a guess. `remedy` is a command or call that removes or restores it.
    """

    kind: str
    what: str
    proof: str
    remedy: str
    key: Hashable = None
    is_held: bool = False  # by a Python object, with which it ends

    @property
    def is_proved(self) -> bool:
        """Whether it is proved that the test or a process of the test has caused it."""
        return bool(self.proof)

    def __str__(self) -> str:
        certainty = self.proof or GUESS
        return f"{self.kind}: {self.what}; {certainty}{f'; {self.remedy}' if self.remedy else ''}"


class Detector:
    """Find leaks of one kind by comparing the state before and after a test.

    A subclass defines `kind`, a plural noun that users write in `ipc_leaks`, and the methods below. snapshot() runs
    twice for each audited test, so it should take microseconds; all others run only for a difference. An exception
    from any method is reported as "could not look" and never fails a test.
    """

    kind: ClassVar[str] = ""
    # What a namespace of the run may have of its own, with which the objects end: "ipc", "/dev/shm", "/dev/mqueue".
    place: str = ""
    # Whether a difference may disappear by itself in a moment, as a process that is about to end.
    settles: ClassVar[bool] = False
    # Whether a snapshot after a test also serves as that before the next, if no test has run in between: what was there
    # cannot be replaced by an object of the same identity.
    outlasts: bool = False

    def snapshot(self) -> Snapshot:
        """Return the present objects or settings, by identity."""
        raise NotImplementedError

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield the identities of leaks: by default those that were not there before."""
        return (key for key in after if key not in before)

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture still owns it, as one of a wider scope."""
        return False

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the name of the object with its size and creator."""
        raise NotImplementedError

    def proof(self, key: Hashable, after: Snapshot, origin: Origin) -> str | None:
        """Return why it is charged to the test, "" for a guess, None if it is not the test's.

        By default it is of the process that ran the test.
        """
        return "of the process that ran the test"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the command or call that removes or restores it, or ""."""
        return ""

    def is_held(self, key: Hashable, after: Snapshot) -> bool:
        """Return whether it ends with a Python object: a failed test's traceback keeps those it held."""
        return False

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Remove or restore it. Return whether that is possible. OSError."""
        return False
