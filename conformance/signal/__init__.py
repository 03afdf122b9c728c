"""Signals: signal(7), sigaction(2), sigprocmask(2), sigpending(2), sigsuspend(2), sigwaitinfo(2), kill(2), sigqueue(3),
signalfd(2), sigaltstack(2), timer_create(2), setitimer(2).
"""
