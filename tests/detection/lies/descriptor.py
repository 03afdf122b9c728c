"""Which clauses must catch which lie about what is done with descriptors of any kind."""

LIES = {
    "pipe_write_is_cut": ["pipe.block-gt-pipe_buf-completes", "pipe.atomic-le-pipe_buf-multi-writer"],
    "pipe_epipe_hidden": ["pipe.sigpipe-epipe", "pipe.epipe-after-last-reader", "fifo.sigpipe-no-reader", "pipe.model"],
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
    "setpipe_sz_does_nothing": ["fcntl.setpipe_sz-roundtrip", "fcntl.setpipe_sz-grow-makes-room"],
    "fifo_open_returns_at_once": [
        "fifo.open-rd-blocks-until-writer",
        "fifo.open-wr-blocks-until-reader",
        "fifo.open-same-side-does-not-help",
    ],
    "fifo_nonblock_writer_needs_no_reader": ["fifo.nonblock-wr-enxio"],
    "fifo_nonblock_ignored": ["fifo.nonblock-rd-succeeds", "fifo.nonblock-wr-enxio"],
}
