"""The limits in /proc/sys (proc(5), sysctl) and of getrlimit(2): their values and their enforcement, each in a new
namespace.
"""
