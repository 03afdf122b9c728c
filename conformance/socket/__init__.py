"""Sockets between processes: unix(7) and socketpair(2), TCP and UDP on the loopback device and between network
namespaces."""
