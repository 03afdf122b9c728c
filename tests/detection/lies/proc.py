"""Which clauses must catch which lie about what /proc tells and takes."""

LIES = {
    "proc_locks_empty": ["proc.locks-row", "proc.locks-waiter-arrow", "proc.locks-row-ofd", "proc.locks-row-lease"],
    "proc_locks_of_everybody": ["proc.locks-pidns-filter"],
    "proc_net_unix_empty": ["unix.proc-net-unix"],
    "proc_self_is_the_parent": [
        "sem_close.exec-closes",
        "shm_open.exec-unmapped",
        "mlock.not-inherited",
        "mmap.exec-dropped",
    ],
    "sysctls_of_queues_are_one": [
        "mq.proc-defaults",
        "mq.proc-ranges",
        "mq_open.defaults-capped-by-max",
        "mq_open.defaults-from-proc",
    ],
    "max_map_count_is_small": ["mmap.enomem-mapcount"],
}
