"""Processes: fork(2), execve(2), _exit(2), wait(2), pidfd_open(2), setpgid(2), setsid(2), prctl(2) for parent death."""
