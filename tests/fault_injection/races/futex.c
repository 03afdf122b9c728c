/* Races in futex(2), which has no wrapper: all calls go by syscall(2). */
#include "race.h"
#include <linux/futex.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* A word that nobody else knows, but all processes share: who is moved there sleeps for ever. */
static uint32_t *nowhere(void)
{
    return (uint32_t *)&shared[WORDS - 1];
}

static long futex(uint32_t *word, int op, long value, long time, uint32_t *other, long expected)
{
    if (op == FUTEX_WAIT && race("futex_wait_compares_before_it_waits")) {
        if (*(volatile uint32_t *)word != (uint32_t)value) {
            errno = EAGAIN;
            return -1;
        }
        window();
        value = *(volatile uint32_t *)word;
    }
    if (op == FUTEX_WAKE && race("futex_wake_wakes_one_more")) {
        long woken = REAL(syscall)(SYS_futex, word, op, value, time, other, expected);
        window();
        if (woken > 0)
            REAL(syscall)(SYS_futex, word, op, 1, 0, NULL, 0);
        return woken;
    }
    if (op == FUTEX_WAKE && race("futex_wake_loses_one_if_two_wake")) {
        long woken = shared[WOKEN]++;
        window();
        if (shared[WOKEN] != woken + 1) /* moved, and taken for woken */
            return REAL(syscall)(SYS_futex, word, FUTEX_REQUEUE, 0, value, nowhere(), 0);
    }
    if (op == FUTEX_CMP_REQUEUE && race("futex_requeue_in_two_steps")) {
        long woken = REAL(syscall)(SYS_futex, word, op, value, 0, other, expected);
        if (woken == -1)
            return -1;
        window();
        long moved = REAL(syscall)(SYS_futex, word, FUTEX_REQUEUE, 0, time, other, 0);
        return woken + (moved > 0 ? moved : 0);
    }
    return REAL(syscall)(SYS_futex, word, op, value, time, other, expected);
}

long syscall(long number, ...)
{
    long a[6];
    va_list list;
    va_start(list, number);
    for (int n = 0; n < 6; n++)
        a[n] = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex)
        return futex((uint32_t *)a[0], (int)a[1], a[2], a[3], (uint32_t *)a[4], a[5]);
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
