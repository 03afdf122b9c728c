/* The other side of shared memory, which it finds by name or by path.
 *
 * memory shm NAME SIZE     map the POSIX shared memory object NAME
 * memory file PATH SIZE    map the file PATH
 *
 * Then it is an echo: when the first byte becomes N, the N bytes behind it are turned round, and the first byte becomes 0. When
 * it becomes 255 the program unmaps and ends.
 *
 * memory make NAME SIZE    make an object, mode 0640, whose byte I is I modulo 251; print its inode
 * memory remove NAME 0     remove it
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *call)
{
    perror(call);
    return 1;
}

static int echo(volatile unsigned char *there)
{
    printf("mapped\n");
    fflush(stdout);
    for (;;) {
        unsigned char count = __atomic_load_n(&there[0], __ATOMIC_ACQUIRE);
        if (count == 255)
            return 0;
        if (count) {
            for (int low = 1, high = count; low < high; low++, high--) {
                unsigned char byte = there[low];
                there[low] = there[high];
                there[high] = byte;
            }
            __atomic_store_n(&there[0], 0, __ATOMIC_RELEASE);
        }
        usleep(100);
    }
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    size_t size = strtoul(words[3], NULL, 10);
    int fd;
    if (strcmp(words[1], "remove") == 0)
        return shm_unlink(words[2]) ? failed("shm_unlink") : 0;
    if (strcmp(words[1], "make") == 0) {
        umask(0);
        fd = shm_open(words[2], O_RDWR | O_CREAT | O_EXCL, 0640);
        if (fd == -1)
            return failed("shm_open");
        if (ftruncate(fd, size) == -1)
            return failed("ftruncate");
    } else {
        fd = strcmp(words[1], "shm") == 0 ? shm_open(words[2], O_RDWR, 0) : open(words[2], O_RDWR);
        if (fd == -1)
            return failed("open");
    }
    unsigned char *there = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (there == MAP_FAILED)
        return failed("mmap");
    if (strcmp(words[1], "make") == 0) {
        struct stat status;
        for (size_t place = 0; place < size; place++)
            there[place] = place % 251;
        if (fstat(fd, &status) == -1)
            return failed("fstat");
        printf("%lu\n", (unsigned long)status.st_ino);
        return 0;
    }
    close(fd);
    int result = echo(there);
    return munmap(there, size) ? failed("munmap") : result;
}
