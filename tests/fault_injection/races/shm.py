"""Which clause must find which race in System V shared memory."""

RACES = {
    "shmget_excl_won_by_two": "shm.concurrent",
    "shmget_makes_two": "shm.concurrent",
    "shmctl_rmid_succeeds_for_two": "shm.concurrent",
    "shmat_counted_once_if_two_attach": "shm.concurrent",
}
