"""Processes: fork(2), execve(2), _exit(2), wait(2), and what of PR_SET_PDEATHSIG and subreapers prctl(2) tells."""
