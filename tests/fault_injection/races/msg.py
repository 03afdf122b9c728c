"""Which clause must find which race in System V message queues."""

RACES = {
    "msgsnd_lost_if_two_send": "msg.concurrent",
    "msgsnd_misses_room_made_meanwhile": "msg.concurrent",
    "msgrcv_gives_a_message_twice": "msg.concurrent",
    "msgrcv_negative_in_two_steps": "msg.concurrent",
    "msgrcv_misses_a_message_sent_meanwhile": "msg.concurrent",
    "msgctl_rmid_wakes_only_one": "msg.concurrent",
}
