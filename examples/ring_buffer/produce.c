/* produce KEY [pause]: put each line of the standard input into the ring; with "pause", stop inside the first slot. */
#include "ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct ring ring;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: produce KEY [pause]\n");
        return 2;
    }
    if (ring_open(&ring, (key_t)strtoul(argv[1], NULL, 0)) == -1) {
        perror("open");
        return 1;
    }
    while ((length = getline(&line, &room, stdin)) > 0) {
        if (line[length - 1] == '\n')
            length--;
        if (ring_begin_put(&ring) == -1) {
            perror("put");
            return 1;
        }
        if (argc == 3)
            pause();
        if (ring_end_put(&ring, line, (size_t)length) == -1) {
            perror("put");
            return 1;
        }
    }
    free(line);
    return 0;
}
