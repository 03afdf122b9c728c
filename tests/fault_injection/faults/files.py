"""Faults of file systems and the owners of files, and the clauses that must detect each."""

FAULTS = {
    "files_are_made_by_who_one_was": [
        "mq_open.eacces",
        "mq_open.owner-effective-ids",
        "mq_unlink.eacces",
        "sem_open.eacces",
        "sem_open.owner-effective-ids",
        "sem_unlink.eacces",
        "shm_open.eacces-trunc",
        "shm_open.fchmod-effective",
        "shm_open.fchown-effective",
        "shm_open.owner-ids",
        "shm_unlink.eacces",
    ],
    "files_can_be_given_away": ["shm_open.fchown-eperm"],
    "mqueue_is_a_tmpfs": [
        "mq.fs-create-as-file",
        "mq.fs-mount-file-content",
        "mq.fs-notify-fields",
        "mq.fs-open-unlink-as-file",
        "mq.fs-sticky-dir",
    ],
    "mount_options_ignored": ["shm_open.dev-shm-full-sigbus"],
}
