"""Mapped memory: mmap(2), munmap(2), mremap(2), mprotect(2), msync(2), madvise(2), mlock(2), memfd_create(2), seals."""
