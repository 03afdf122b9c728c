"""Waiting for several descriptors with epoll(7), poll(2) and select(2), over every kind of IPC descriptor."""
