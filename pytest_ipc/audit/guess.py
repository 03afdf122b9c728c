"""What a leak without a proof is called, in its line and where lines are counted."""

__all__ = ["GUESS"]

GUESS = "perhaps of this test: it appeared while the test ran"
