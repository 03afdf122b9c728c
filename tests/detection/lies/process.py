"""Which clauses must catch which lie about processes, their groups and sessions, and about waits that a handler ends."""

LIES = {
    "setpgid_does_nothing": ["setpgid.own-group", "setpgid.moves-a-child"],
    "setpgid_any_group": ["setpgid.no-such-group-eperm", "setpgid.other-session-eperm", "setpgid.session-leader-eperm"],
    "setpgid_any_process": ["setpgid.not-a-child-esrch"],
    "setpgid_also_after_exec": ["setpgid.after-exec-eacces"],
    "setpgid_any_number": ["setpgid.negative-einval"],
    "setsid_does_nothing": ["setsid.new-session-and-group", "setsid.group-leader-eperm"],
    "setsid_leaders_may": ["setsid.group-leader-eperm", "setsid.group-number-in-use-eperm"],
    "tcsetpgrp_does_nothing": ["tcsetpgrp.foreground-group", "tcsetpgrp.not-the-terminal-enotty"],
    "tcsetpgrp_never_fails": ["tcsetpgrp.not-the-terminal-enotty", "tcsetpgrp.other-session-eperm"],
    "waitid_pidfd_is_anybody": ["waitid.pidfd"],
    "waitid_pidfd_never_fails": ["waitid.pidfd-echild", "waitid.not-a-pidfd-ebadf", "waitid.pidfd-nonblock-eagain"],
    "waits_are_restarted": ["signal.sysv-and-poll-never-restart", "signal.nanosleep-never-restarts"],
}
