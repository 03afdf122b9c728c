"""Which clause must find which race in POSIX message queues."""

RACES = {
    "mq_send_lost_if_two_send": "mq.concurrent",
    "mq_receive_misses_a_message_sent_meanwhile": "mq.concurrent",
    "mq_receive_gives_a_message_twice": "mq.concurrent",
    "mq_notify_told_twice": "mq_notify.concurrent",
    "mq_notify_registers_two": "mq_notify.concurrent",
}
