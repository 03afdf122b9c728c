"""Which clauses must catch which lie about signals."""

LIES = {
    "sigaction_restart_dropped": ["sigaction.restart-resumes", "pipe.read-restarts", "fifo.open-sa_restart"],
    "sigaction_restart_always": ["sigaction.no-restart-eintr", "pipe.read-eintr-vs-restart", "fifo.open-eintr"],
    "sigaction_resethand_dropped": ["sigaction.resethand"],
    "sigaction_nocldwait_dropped": ["sigaction.nocldwait-no-zombie"],
    "sigaction_nocldstop_dropped": ["sigaction.nocldstop"],
    "sigaction_mask_dropped": ["sigaction.sa_mask-blocked-in-handler", "sigaction.install-query"],
    "sigaction_kill_accepted": ["sigaction.kill-stop-refused"],
    "sigqueue_value_lost": ["siginfo.sigqueue-si_queue-value", "signal.rt-queue", "signal.model"],
    "sigqueue_is_kill": ["siginfo.sigqueue-si_queue-value"],
    "sigpending_empty": ["sigpending.blocked-raised"],
    "kill_zero_sends_nothing_and_never_fails": ["kill.sig0-probe", "kill.sig0-zombie", "kill.no-permission-eperm"],
    "kill_stop_does_nothing": ["signal.stopped-group", "signal.orphaned-pgrp-sigstop-stops"],
    "kill_any_signal_number": ["kill.invalid-signal-einval"],
}
