"""Faults of signals of threads and of system(3), and the clauses that must detect each."""

FAULTS = {
    "pthread_kill_is_for_the_process": ["pthread_kill.directed", "sigwait.thread-directed"],
    "pthread_kill_sends_nothing": [
        "pthread_kill.directed",
        "pthread_kill.interrupts-that-thread",
        "pthread_kill.default-ends-the-process",
        "sigwait.thread-directed",
    ],
    "pthread_kill_0_is_a_signal": ["pthread_kill.signal-0"],
    "pthread_kill_never_fails": ["pthread_kill.signal-0"],
    "sigwait_leaves_it_there": ["sigwait.takes-a-signal", "sigwait.one-thread-of-several"],
    "sigwait_gives_another_number": [
        "sigwait.takes-a-signal",
        "sigwait.one-thread-of-several",
        "sigwait.thread-directed",
    ],
    "threads_begin_with_an_empty_mask": ["pthread_sigmask.inherited"],
    "system_has_no_shell": ["system.status"],
    "system_gives_the_exit_status": ["system.status", "system.ignores-interruption"],
    "system_leaves_signals_alone": ["system.ignores-interruption", "system.blocks-sigchld"],
    "system_has_its_command_ignore_too": ["system.command-has-defaults"],
    "system_goes_on_ignoring": ["system.restores-signals"],
}
