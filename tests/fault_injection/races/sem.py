"""Which clause must find which race in System V semaphores."""

RACES = {
    "semop_in_two_steps": "sem.concurrent",
    "semop_zero_seen_before_the_rest": "sem.concurrent",
    "semop_misses_a_change_meanwhile": "sem.concurrent",
    "semop_interrupted_half_done": "sem.concurrent",
    "semctl_rmid_wakes_only_one": "sem.concurrent",
    "semctl_setall_one_by_one": "sem.concurrent",
    "semctl_getall_one_by_one": "sem.concurrent",
    "semop_undo_noted_after_the_operation": "sem.concurrent-undo",
}
