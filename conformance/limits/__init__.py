"""The limits under /proc/sys (proc(5), sysctl): what they say, and that they hold; each in a namespace of the test's own."""
