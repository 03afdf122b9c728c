"""Signals: signal(7), sigaction(2), sigprocmask(2), sigpending(2), sigsuspend(2), sigwaitinfo(2), kill(2), sigqueue(3)."""
