"""Faults of descriptors of any kind, and the clauses that must detect each."""

FAULTS = {
    "add_seals_does_nothing": [
        "fcntl.add_seals-add-up",
        "fcntl.seals-of-the-file",
        "fcntl.f_seal_seal",
        "fcntl.f_seal_shrink",
        "fcntl.f_seal_grow",
        "fcntl.f_seal_write",
        "fcntl.f_seal_write-mapped-ebusy",
        "mmap.memfd-future_write",
        "fcntl.add_seals-read-only-eperm",
    ],
    "add_seals_is_never_the_last": ["fcntl.f_seal_seal"],
    "add_seals_unknown_ignored": ["fcntl.add_seals-unknown-einval"],
    "get_seals_tells_none": [
        "fcntl.add_seals-add-up",
        "memfd_create.sealing-not-allowed",
        "memfd_create.noexec_seal",
        "memfd_create.hugetlb-sealing-einval",
    ],
    "get_seals_everywhere": ["fcntl.seals-unsupported-einval"],
    "read_invalid_is_the_end": ["pidfd.read-einval"],
    "interrupted_calls_are_eagain": [
        "sigaction.no-restart-eintr",
        "pipe.read-eintr-vs-restart",
        "pipe.write-eintr",
        "fifo.open-eintr",
        "fcntl.setlkw-eintr",
        "lease.breaker-eintr",
        "signal.so_rcvtimeo-disables-restart",
    ],
}
