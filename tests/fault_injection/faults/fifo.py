"""Faults of FIFOs, and the clauses that must detect each."""

FAULTS = {
    "mkfifo_needs_privilege": ["mkfifo.no-cap-needed", "mkfifo.eacces-no-search"],
    "mkfifo_umask_ignored": ["mkfifo.umask"],
    "mkfifo_makes_a_file": ["mkfifo.creates"],
    "mkfifo_existing_accepted": ["mkfifo.eexist-even-dangling-symlink", "fifo.model"],
    "mkfifo_never_fails": [
        "mkfifo.eacces-no-search",
        "mkfifo.enametoolong-component",
        "mkfifo.enametoolong-path",
        "mkfifo.erofs",
        "mkfifo.path-errors",
        "mkfifoat.relative-bad-dirfd-ebadf",
        "mkfifoat.relative-file-dirfd-enotdir",
    ],
    "mkfifoat_folder_ignored": ["mkfifoat.dirfd-rules"],
    "mkfifoat_begins_at_the_root": ["mkfifoat.at-fdcwd-is-cwd"],
    "mkfifoat_every_folder_checked": ["mkfifoat.absolute-ignores-dirfd"],
    "fifo_open_returns_at_once": [
        "fifo.open-rd-blocks-until-writer",
        "fifo.open-wr-blocks-until-reader",
        "fifo.open-same-side-does-not-help",
        "fifo.shell-redirection",
    ],
    "fifo_nonblock_writer_needs_no_reader": ["fifo.nonblock-wr-enxio", "fifo.wrong-end-ebadf"],
    "fifo_nonblock_reader_needs_a_writer": ["fifo.nonblock-rd-succeeds"],
    "fifo_mode_ignored": ["fifo.permissions-checked"],
    "fifo_reader_begins_anew": ["fifo.data-kept-while-open"],
    "fifo_is_truncated": ["fifo.o_trunc-noop"],
    "fifo_both_ways_is_to_write": ["fifo.rdwr-is-other-side", "fifo.rdwr-nonblocking-open", "fifo.unlink-while-open"],
    "truncate_never_fails": ["fifo.truncate-einval"],
}
