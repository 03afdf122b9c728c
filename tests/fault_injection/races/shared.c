/* The memory that all processes of a check have in common: mapped when the library is loaded, before anything is forked. */
#include "race.h"
#include <sys/mman.h>

atomic_long *shared;

__attribute__((constructor)) static void map(void)
{
    shared = mmap(NULL, WORDS * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
}
