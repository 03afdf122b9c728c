"""Which clause must find which race in file locks and leases."""

RACES = {
    "fcntl_lock_given_to_two": "fcntl.concurrent-record-locks",
    "fcntl_wait_misses_an_unlock": "fcntl.concurrent-record-locks",
    "fcntl_deadlock_not_found": "fcntl.concurrent-record-locks",
    "fcntl_range_locked_byte_by_byte": "fcntl.concurrent-ofd-locks",
    "flock_given_to_two": "flock.concurrent",
    "flock_misses_an_unlock": "flock.concurrent",
    "lease_beside_another_opener": "lease.concurrent",
}
