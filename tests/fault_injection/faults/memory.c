/* Faults of mapped memory and memory files. What the interpreter maps for itself it maps by mmap64. */
#include "fault.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096UL

/* What a call answers: for one errno another. */
static int told(int result)
{
    if (result == -1 && fault("memory_errors_are_eio"))
        errno = EIO;
    return result;
}

/* The same file through another open file description. */
static int reopened(int fd, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return REAL(open)(path, flags | O_CLOEXEC);
}

void *mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
    int type = flags & 3;
    if (fault("mmap_shared_is_private") && fd >= 0 && type != MAP_PRIVATE)
        flags = (flags & ~3) | MAP_PRIVATE;
    if (fault("mmap_private_is_shared") && fd >= 0 && type == MAP_PRIVATE)
        flags = (flags & ~3) | MAP_SHARED;
    if (fault("mmap_anonymous_is_never_shared") && flags & MAP_ANONYMOUS)
        flags = (flags & ~3) | MAP_PRIVATE;
    if (fault("mmap_fixed_is_a_hint") && flags & MAP_FIXED)
        flags &= ~MAP_FIXED, address = (void *)((size_t)address & ~(PAGE - 1));
    if (fault("mmap_noreplace_replaces") && flags & MAP_FIXED_NOREPLACE)
        flags = (flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED;
    if (fault("mmap_hint_is_fixed") && address)
        flags |= MAP_FIXED;
    if (fault("mmap_validates_nothing") && type == MAP_SHARED_VALIDATE)
        flags = (flags & ~3 & ~MAP_SYNC) | MAP_SHARED;
    if (fault("mmap_sharing_guessed") && type == 0)
        flags |= MAP_PRIVATE;
    if (fault("mmap_length_zero_accepted") && length == 0)
        length = PAGE;
    if (fault("mmap_offset_rounded"))
        offset &= ~(off_t)(PAGE - 1);
    if (fault("mmap_offset_ignored"))
        offset = 0;
    if (fault("mmap_read_is_write") && prot == PROT_READ && (flags & MAP_ANONYMOUS || fd >= 0)) {
        void *there = REAL(mmap)(address, length, PROT_READ | PROT_WRITE, flags, fd, offset);
        if (there != MAP_FAILED)
            return there;
    }
    if (fault("mmap_none_is_read") && prot == PROT_NONE)
        prot = PROT_READ;
    if (fault("mmap_exec_ignored"))
        prot &= ~PROT_EXEC;
    if (fault("mmap_populate_ignored"))
        flags &= ~MAP_POPULATE;
    if (fault("mmap_locked_ignored"))
        flags &= ~MAP_LOCKED;
    if (fault("mmap_growsdown_ignored"))
        flags &= ~MAP_GROWSDOWN;
    if (fault("mmap_needs_whole_pages") && length % PAGE) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    int unmarked = fault("mmap_marks_no_access") && fd >= 0 ? reopened(fd, O_RDONLY | O_NOATIME) : -1;
    if (unmarked >= 0)
        fd = unmarked;
    void *there = REAL(mmap)(address, length, prot, flags, fd, offset);
    if (unmarked >= 0)
        close(unmarked);
    if (there == MAP_FAILED) {
        if (fault("mmap_refused_is_private") && (errno == EACCES || errno == EPERM))
            return REAL(mmap)(address, length, prot & ~PROT_EXEC, (flags & ~3) | MAP_PRIVATE, fd, offset);
        if (fault("mmap_unmappable_is_anonymous") && (errno == ENODEV || errno == EBADF))
            return REAL(mmap)(address, length, prot, flags | MAP_ANONYMOUS, -1, 0);
        told(-1);
        return MAP_FAILED;
    }
    if (fault("mmap_address_is_unaligned"))
        return (char *)there + 16;
    if (fault("mmap_is_a_copy") && fd >= 0 && type != MAP_PRIVATE) {
        REAL(mmap)(there, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        return pread(fd, there, length, offset) == -1 ? MAP_FAILED : there;
    }
    struct stat size;
    if (fault("mmap_makes_the_file_longer") && fd >= 0 && fstat(fd, &size) == 0 && size.st_size < offset + (off_t)length)
        return REAL(ftruncate)(fd, offset + (off_t)length) == -1 ? MAP_FAILED : there;
    if (fault("mmap_memory_is_dirty") && flags & MAP_ANONYMOUS && prot & PROT_WRITE)
        memset(there, 0xff, length);
    if (fault("mmap_tail_is_dirty") && fd >= 0 && type == MAP_SHARED && prot & PROT_WRITE) {
        struct stat st;
        if (fstat(fd, &st) == 0 && st.st_size % (off_t)PAGE && (size_t)st.st_size < length)
            memset((char *)there + st.st_size, 0xff, PAGE - (size_t)st.st_size % PAGE);
    }
    return there;
}

int munmap(void *address, size_t length)
{
    if (fault("munmap_does_nothing"))
        return 0;
    if (fault("munmap_rounds") && ((size_t)address % PAGE || length == 0))
        return 0;
    if (fault("munmap_first_page_only") && length > PAGE)
        length = PAGE;
    if (fault("munmap_needs_a_mapping")) {
        unsigned char there;
        if (mincore(address, 1, &there) == -1 && errno == ENOMEM) {
            errno = EINVAL;
            return -1;
        }
    }
    return told(REAL(munmap)(address, length));
}

int mprotect(void *address, size_t length, int prot)
{
    if (fault("mprotect_does_nothing"))
        return 0;
    if (fault("mprotect_rounds"))
        length += (size_t)address % PAGE, address = (void *)((size_t)address & ~(PAGE - 1));
    return told(REAL(mprotect)(address, length, prot));
}

int msync(void *address, size_t length, int flags)
{
    if (fault("msync_does_nothing"))
        return 0;
    if (fault("msync_refuses_neither_flag") && !(flags & (MS_SYNC | MS_ASYNC))) {
        errno = EINVAL;
        return -1;
    }
    return REAL(msync)(address, length, flags);
}

void *mremap(void *old, size_t old_size, size_t size, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    void *address = va_arg(list, void *);
    va_end(list);
    if (fault("mremap_moves_always"))
        flags |= MREMAP_MAYMOVE;
    if (fault("mremap_moves_never"))
        flags &= ~MREMAP_MAYMOVE;
    if (fault("mremap_never_shrinks") && size && size < old_size)
        return old;
    if (fault("mremap_dontunmap_unmaps"))
        flags &= ~4;
    if (fault("mremap_unknown_flag_ignored"))
        flags &= 7;
    void *there = REAL(mremap)(old, old_size, size, flags, address);
    if (there == MAP_FAILED)
        told(-1);
    else if (fault("mremap_moves_no_bytes") && size >= old_size)
        memset(there, 0, size);
    return there;
}

int madvise(void *address, size_t length, int advice)
{
    if (fault("madvise_does_nothing"))
        return 0;
    return REAL(madvise)(address, length, advice);
}

int mlock(const void *address, size_t length)
{
    if (fault("mlock_does_nothing"))
        return 0;
    return REAL(mlock)(address, length);
}

int munlock(const void *address, size_t length)
{
    if (fault("munlock_does_nothing"))
        return 0;
    return REAL(munlock)(address, length);
}

int mlockall(int flags)
{
    if (fault("mlockall_does_nothing"))
        return 0;
    return REAL(mlockall)(flags);
}

int memfd_create(const char *name, unsigned int flags)
{
    if (fault("memfd_always_sealable"))
        flags |= MFD_ALLOW_SEALING;
    if (fault("memfd_always_cloexec"))
        flags |= MFD_CLOEXEC;
    if (fault("memfd_unknown_flag_ignored"))
        flags &= 31;
    if (fault("memfd_name_lost"))
        name = "lost";
    if (fault("memfd_long_name_cut") && strlen(name) > 249)
        name = "long";
    int fd = REAL(memfd_create)(name, flags);
    if (fault("memfd_begins_with_a_page") && fd >= 0 && REAL(ftruncate)(fd, PAGE) == -1)
        return -1;
    if (fault("memfd_is_never_executable") && fd >= 0)
        fchmod(fd, 0600);
    if (fault("memfd_is_for_reading_alone") && fd >= 0) {
        int other = reopened(fd, O_RDONLY);
        dup2(other, fd);
        close(other);
    }
    return told(fd);
}

static int lying_ftruncate(int fd, off_t length)
{
    struct stat st;
    if (fault("ftruncate_never_shrinks") && length >= 0 && fstat(fd, &st) == 0 && length < st.st_size)
        return 0;
    if (fault("ftruncate_negative_is_zero") && length < 0)
        length = 0;
    int result = REAL(ftruncate)(fd, length);
    if (fault("ftruncate_gains_no_zeros") && result == 0 && length > 0 && pwrite(fd, "x", 1, length - 1) == -1)
        return -1;
    return told(result);
}

int ftruncate(int fd, off_t length)
{
    return lying_ftruncate(fd, length);
}

#ifdef __GLIBC__
/* By this name it is called where files may be large. */
int ftruncate64(int fd, off64_t length)
{
    return lying_ftruncate(fd, length);
}
#endif

int posix_fallocate(int fd, off_t offset, off_t length)
{
    struct stat st;
    if (fault("posix_fallocate_only_sets_the_size") && offset >= 0 && length > 0 && fstat(fd, &st) == 0)
        return st.st_size < offset + length ? (REAL(ftruncate)(fd, offset + length) ? errno : 0) : 0;
    int error = REAL(posix_fallocate)(fd, offset, length);
    if (fault("posix_fallocate_errors_hidden"))
        return 0;
    return error && fault("memory_errors_are_eio") ? EIO : error;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    struct stat st;
    if (fault("fallocate_only_sets_the_size") && mode == 0 && fstat(fd, &st) == 0)
        return st.st_size < offset + length ? REAL(ftruncate)(fd, offset + length) : 0;
    if (fault("fallocate_keeps_no_size"))
        mode &= ~(mode == FALLOC_FL_KEEP_SIZE ? FALLOC_FL_KEEP_SIZE : 0);
    if (fault("fallocate_makes_no_hole") && mode & FALLOC_FL_PUNCH_HOLE)
        return 0;
    return told(REAL(fallocate)(fd, mode, offset, length));
}
