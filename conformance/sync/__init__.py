"""What processes wait for that is neither data nor a signal: eventfd(2), timerfd_create(2), futex(2), mutexes in shared memory."""
