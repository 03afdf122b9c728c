"""Faults of the limits of a process, and the clauses that must detect each."""

FAULTS = {
    "setrlimit_sets_nothing": [
        "setrlimit.soft-within-hard",
        "setrlimit.nofile-existing-stay",
        "setrlimit.nproc-eagain",
        "setrlimit.exec-preserves",
        "setrlimit.fork-inherits",
        "setrlimit.nofile-emfile",
    ],
    "setrlimit_hard_stays": ["setrlimit.raise-hard-eperm"],
    "setrlimit_soft_is_hard": ["setrlimit.soft-within-hard"],
    "setrlimit_never_refuses": [
        "setrlimit.soft-above-hard-einval",
        "setrlimit.raise-hard-eperm",
        "setrlimit.nofile-above-nr_open-eperm",
        "setrlimit.invalid-resource-einval",
    ],
    "getrlimit_off_by_one": ["setrlimit.soft-within-hard", "setrlimit.fork-inherits"],
    "prlimit_is_the_callers": ["prlimit.sets-anothers", "prlimit.esrch", "prlimit.eperm"],
    "prlimit_sets_nothing": ["prlimit.sets-anothers"],
    "prlimit_never_refuses": ["prlimit.esrch", "prlimit.eperm"],
}
