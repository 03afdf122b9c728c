"""Which clauses must catch which lie about FIFOs."""

LIES = {
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
}
