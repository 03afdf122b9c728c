"""The POSIX objects: shm_open(3), shm_overview(7)."""
