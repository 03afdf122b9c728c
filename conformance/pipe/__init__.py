"""Pipes: pipe(2), pipe(7), and the sections of fcntl(2), poll(2) and signal(7) about them."""
