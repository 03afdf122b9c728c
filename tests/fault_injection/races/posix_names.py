"""Which clause must find which race in POSIX semaphores and names."""

RACES = {
    "sem_post_lost_if_two_post": "posix_sem.concurrent",
    "sem_trywait_gives_a_token_twice": "posix_sem.concurrent",
    "sem_wait_misses_a_post_meanwhile": "posix_sem.concurrent",
    "shm_open_excl_won_by_two": "shm_open.concurrent",
    "shm_unlink_succeeds_for_two": "shm_open.concurrent",
}
