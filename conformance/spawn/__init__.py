"""Programs that libc starts: posix_spawn(3), popen(3), system(3)."""
