"""Which clause must find which race in the pthread objects that processes share."""

RACES = {
    "pthread_mutex_trylock_gives_it_to_two": "pthread_mutex.concurrent",
    "pthread_mutex_death_not_told": "pthread_mutex.concurrent",
    "pthread_mutex_unlock_wakes_nobody": "pthread_mutex.concurrent",
    "pthread_cond_wait_unlocks_before_it_waits": "pthread_cond.concurrent",
    "pthread_cond_signal_lost_if_another_locks": "pthread_cond.concurrent",
    "pthread_cond_broadcast_wakes_one": "pthread_cond.concurrent",
    "pthread_rwlock_writer_beside_another": "pthread_rwlock.concurrent",
    "pthread_rwlock_reader_beside_a_writer": "pthread_rwlock.concurrent",
    "pthread_barrier_lets_go_too_early": "pthread_barrier.concurrent",
    "pthread_barrier_serial_in_two": "pthread_barrier.concurrent",
}
