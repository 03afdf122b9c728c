"""Faults of splice(2), tee(2) and vmsplice(2), and the clauses that must detect each."""

FAULTS = {
    "splice_copies_only": ["splice.pipe-to-pipe"],
    "splice_moves_nothing": ["splice.file-to-pipe", "splice.pipe-to-file", "splice.pipe-to-pipe"],
    "splice_offset_ignored": ["splice.offset-in", "splice.offset-out", "splice.pipe-offset-espipe"],
    "splice_offset_stays": ["splice.offset-in", "splice.offset-out"],
    "splice_never_waits": ["splice.nonblock-eagain"],
    "splice_end_is_eagain": ["splice.end-of-input"],
    "splice_refuses_nothing": [
        "splice.ebadf",
        "splice.append-einval",
        "splice.no-pipe-einval",
        "splice.same-pipe-einval",
        "splice.pipe-offset-espipe",
    ],
    "tee_consumes": ["tee.copies", "tee.nonblock-eagain"],
    "tee_never_waits": ["tee.nonblock-eagain"],
    "tee_would_always_wait": ["tee.end-of-input"],
    "tee_refuses_nothing": ["tee.no-pipe-einval", "tee.nonblock-eagain"],
    "vmsplice_first_range_only": ["vmsplice.into-a-pipe", "vmsplice.from-a-pipe"],
    "vmsplice_too_many_are_cut": ["vmsplice.iov_max-einval"],
    "vmsplice_counts_one_more": ["vmsplice.into-a-pipe", "vmsplice.from-a-pipe", "vmsplice.gift-unaligned-einval"],
    "vmsplice_never_full": ["vmsplice.nonblock-eagain"],
    "vmsplice_into_any_file": ["vmsplice.ebadf"],
}
