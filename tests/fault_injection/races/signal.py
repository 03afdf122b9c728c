"""Which clause must find which race in signals, and in waiting for children."""

RACES = {
    "sigqueue_dropped_if_two_queue": "signal.concurrent",
    "sigtimedwait_gives_a_signal_twice": "signal.concurrent",
    "sigwaitinfo_misses_a_signal_sent_meanwhile": "signal.concurrent",
    "waitid_gives_a_child_twice": "wait.concurrent",
    "waitid_misses_a_child_that_ends_meanwhile": "wait.concurrent",
    "waitid_reaps_without_telling": "wait.concurrent",
}
