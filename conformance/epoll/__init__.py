"""Waiting for many descriptors: epoll(7), poll(2), select(2), over every kind of descriptor that IPC has."""
