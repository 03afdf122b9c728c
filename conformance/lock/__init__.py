"""File locks: flock(2), record locks, open file description locks and leases of fcntl(2), lockf(3), and /proc/locks."""
