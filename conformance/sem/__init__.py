"""System V semaphores: semget(2), semop(2), semctl(2)."""
