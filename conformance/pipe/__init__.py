"""Pipes: pipe(2), pipe(7), and what fcntl(2), poll(2) and signal(7) say of them."""
