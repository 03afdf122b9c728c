"""POSIX semaphores, message queues and shared memory: sem_overview(7), mq_overview(7), shm_overview(7)."""
