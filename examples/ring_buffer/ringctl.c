/* ringctl create KEY SLOTS SIZE | ringctl remove KEY */
#include "ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "create") == 0) {
        if (ring_create((key_t)strtoul(argv[2], NULL, 0), strtoul(argv[3], NULL, 0), strtoul(argv[4], NULL, 0)) == 0)
            return 0;
    } else if (argc == 3 && strcmp(argv[1], "remove") == 0) {
        if (ring_remove((key_t)strtoul(argv[2], NULL, 0)) == 0)
            return 0;
    } else {
        fprintf(stderr, "usage: ringctl create KEY SLOTS SIZE | ringctl remove KEY\n");
        return 2;
    }
    perror(argv[1]);
    return 1;
}
