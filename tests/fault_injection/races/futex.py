"""Which clause must find which race in futexes."""

RACES = {
    "futex_wait_compares_before_it_waits": "futex.concurrent",
    "futex_wake_wakes_one_more": "futex.concurrent",
    "futex_wake_loses_one_if_two_wake": "futex.concurrent",
    "futex_requeue_in_two_steps": "futex.concurrent",
}
