"""Programs started by libc: posix_spawn(3), popen(3), system(3)."""
