"""Which clauses must catch which lie about timers that send signals."""

LIES = {
    "timer_create_value_lost": ["timer_create.signal-with-value"],
    "timer_create_sends_nothing": ["timer_settime.not-early", "timer_create.one-signal-at-a-time"],
    "timer_create_thread_ignored": ["timer_create.thread_id-one-thread"],
    "timer_create_none_sends": ["timer_create.none-sends-nothing"],
    "timer_create_any_clock_accepted": ["timer_create.unknown-clock-einval"],
    "timer_create_any_notification_accepted": ["timer_create.unknown-notification-einval"],
    "timer_settime_abstime_ignored": ["timer_settime.abstime-past-at-once", "timer_getoverrun.counts"],
    "timer_settime_early": ["timer_settime.not-early"],
    "timer_settime_any_time_accepted": ["timer_settime.invalid-time-einval"],
    "timer_settime_zero_keeps_running": ["timer_settime.zero-disarms", "timer_settime.gives-old"],
    "timer_settime_old_missing": ["timer_settime.gives-old"],
    "timer_getoverrun_none": ["timer_getoverrun.counts"],
    "timer_delete_does_nothing": ["timer_delete.gone"],
    "setitimer_interval_dropped": ["setitimer.interval-reloads", "setitimer.gives-old"],
    "setitimer_early": ["setitimer.not-early"],
    "setitimer_always_real": ["setitimer.each-its-signal"],
    "setitimer_old_missing": ["setitimer.gives-old"],
    "setitimer_never_fails": ["setitimer.unknown-timer-einval", "setitimer.invalid-time-einval"],
    "getitimer_nothing_left": ["setitimer.gives-old", "alarm.shares-itimer_real"],
    "alarm_nothing_left": ["alarm.replaces-and-tells", "alarm.shares-itimer_real"],
}
