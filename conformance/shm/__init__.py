"""System V shared memory: shmget(2), shmop(2), shmctl(2)."""
