"""C programs on the other side: each mechanism used by a program that knows nothing of this package, nor of Python."""
