"""The error of a detector that has nothing to look at on this platform."""

__all__ = ["NotHere"]


class NotHere(OSError):
    """Raised by snapshot(); the run has one note of it below its leaks, and failed tests have none."""
