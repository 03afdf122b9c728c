/* consume KEY [COUNT [pause]]: print COUNT records, or all until SIGTERM; with "pause", stop inside the first slot. */
#include "ring.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int signo)
{
    (void)signo;
    stopped = 1;
}

int main(int argc, char **argv)
{
    struct ring ring;
    struct sigaction action = {.sa_handler = stop};

    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: consume KEY [COUNT [pause]]\n");
        return 2;
    }
    long left = argc > 2 ? atol(argv[2]) : -1;
    sigaction(SIGTERM, &action, NULL);
    if (ring_open(&ring, (key_t)strtoul(argv[1], NULL, 0)) == -1) {
        perror("open");
        return 1;
    }
    char *record = malloc(ring.record_size);
    if (record == NULL)
        return 1;
    for (; left != 0 && !stopped; left -= left > 0) {
        ssize_t length = -1;
        if (ring_begin_get(&ring) == 0) {
            if (argc == 4)
                pause();
            length = ring_end_get(&ring, record);
        }
        if (length == -1 && errno == EINTR)
            continue;
        if (length == -1) {
            perror("get");
            return 1;
        }
        fwrite(record, 1, (size_t)length, stdout);
        putchar('\n');
        fflush(stdout);
    }
    free(record);
    return 0;
}
