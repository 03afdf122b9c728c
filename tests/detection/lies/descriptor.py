"""Which clauses must catch which lie about what is done with descriptors of any kind."""

LIES = {
    "pipe_write_is_cut": ["pipe.block-gt-pipe_buf-completes", "pipe.atomic-le-pipe_buf-multi-writer"],
    "pipe_epipe_hidden": ["pipe.sigpipe-epipe", "pipe.epipe-after-last-reader", "fifo.sigpipe-no-reader", "pipe.model"],
    "setpipe_sz_does_nothing": ["fcntl.setpipe_sz-roundtrip", "fcntl.setpipe_sz-grow-makes-room"],
    "fifo_open_returns_at_once": [
        "fifo.open-rd-blocks-until-writer",
        "fifo.open-wr-blocks-until-reader",
        "fifo.open-same-side-does-not-help",
    ],
    "fifo_nonblock_writer_needs_no_reader": ["fifo.nonblock-wr-enxio"],
    "fifo_nonblock_ignored": ["fifo.nonblock-rd-succeeds", "fifo.nonblock-wr-enxio"],
}
