"""Waiting for events other than data and signals: eventfd(2), timerfd_create(2), futex(2), mutexes in shared memory."""
