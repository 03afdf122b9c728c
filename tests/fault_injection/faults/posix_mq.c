/* Faults of POSIX message queues. */
#include "fault.h"
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

static const struct timespec LONG_AGO = {1, 0};

/* What a call answers: for one errno another. Those that say that it would have to wait, or was interrupted, are left. */
static int told(int result)
{
    if (result == -1 && fault("mq_errors_are_eio") && errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT)
        errno = EIO;
    return result;
}

mqd_t mq_open(const char *name, int flags, ...)
{
    mode_t mode = 0600;
    struct mq_attr *attr = NULL, other;
    if (flags & O_CREAT) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        attr = va_arg(more, struct mq_attr *);
        va_end(more);
    }
    if (fault("mq_open_excl_ignored"))
        flags &= ~O_EXCL;
    if (fault("mq_open_creates_without_creat"))
        flags |= O_CREAT;
    if (fault("mq_open_attr_ignored"))
        attr = NULL;
    if (fault("mq_open_zero_accepted") && attr && (attr->mq_maxmsg <= 0 || attr->mq_msgsize <= 0)) {
        other = (struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 1};
        attr = &other;
    }
    if (fault("mq_open_ceilings_ignored") && attr && (attr->mq_maxmsg == 6 || attr->mq_msgsize == 301)) {
        other = (struct mq_attr){.mq_maxmsg = 5, .mq_msgsize = 300};
        attr = &other;
    }
    if (fault("mq_open_long_names_refused") && strlen(name) > 200)
        return errno = ENAMETOOLONG, -1;
    if (fault("mq_open_rdwr_always"))
        flags = (flags & ~O_ACCMODE) | O_RDWR;
    if (fault("mq_open_nonblock_ignored"))
        flags &= ~O_NONBLOCK;
    char slashed[300];
    if (fault("mq_open_slash_not_needed") && name[0] != '/') {
        snprintf(slashed, sizeof slashed, "/%s", name);
        name = slashed;
    }
    mode_t mask = 0;
    if (fault("mq_open_umask_ignored"))
        mask = umask(0);
    mqd_t queue = REAL(mq_open)(name, flags, mode, attr);
    int error = errno;
    if (fault("mq_open_umask_ignored"))
        umask(mask);
    if (queue != -1 && fault("mq_open_inheritable"))
        fcntl(queue, F_SETFD, 0);
    if (queue != -1 && fault("mq_open_changes_the_mode") && flags & O_CREAT)
        fchmod(queue, mode);
    if (queue != -1 && fault("mq_open_leaves_no_name"))
        REAL(mq_unlink)(name);
    errno = error;
    return told(queue);
}

int mq_close(mqd_t queue)
{
    if (fault("mq_close_does_nothing"))
        return 0;
    return told(REAL(mq_close)(queue));
}

int mq_unlink(const char *name)
{
    static int calls;
    if (fault("mq_unlink_needs_two_calls") && calls++ % 2 == 0)
        return 0;
    int result = REAL(mq_unlink)(name);
    if (fault("mq_unlink_missing_accepted") && result == -1 && errno == ENOENT)
        return 0;
    return told(result);
}

static struct sigevent registered; /* by this process, once */

int mq_send(mqd_t queue, const char *data, size_t length, unsigned priority)
{
    struct mq_attr attr;
    char longer[8193];
    if (fault("mq_send_adds_a_byte") && mq_getattr(queue, &attr) == 0 && length < (size_t)attr.mq_msgsize) {
        memcpy(longer, data, length);
        longer[length++] = 'x';
        data = longer;
    }
    if (fault("mq_send_priority_ignored"))
        priority = 0;
    if (fault("mq_send_any_priority_accepted") && priority > 32767)
        priority = 32767;
    if (fault("mq_send_long_is_cut") && mq_getattr(queue, &attr) == 0 && length > (size_t)attr.mq_msgsize)
        length = attr.mq_msgsize;
    if (fault("mq_send_empty_refused") && length == 0)
        return errno = EMSGSIZE, -1;
    if (fault("mq_send_never_waits") && REAL(mq_timedsend)(queue, data, length, priority, &LONG_AGO) == -1)
        return errno == ETIMEDOUT ? 0 : -1;
    if (fault("mq_send_to_any_descriptor"))
        return REAL(mq_send)(queue, data, length, priority), 0;
    int result = REAL(mq_send)(queue, data, length, priority);
    if (fault("mq_send_interruption_unnoticed") && result == -1 && errno == EINTR)
        return 0;
    if (fault("mq_send_full_hidden") && result == -1 && errno == EAGAIN)
        return 0;
    if (fault("mq_notify_tells_of_every_message") && result == 0 && registered.sigev_signo)
        kill(getpid(), registered.sigev_signo);
    return told(result);
}

ssize_t mq_receive(mqd_t queue, char *data, size_t length, unsigned *priority)
{
    struct mq_attr attr;
    char room[8192];
    if (fault("mq_receive_small_buffer_accepted") && mq_getattr(queue, &attr) == 0 && length < (size_t)attr.mq_msgsize) {
        ssize_t got = REAL(mq_receive)(queue, room, sizeof room, priority);
        memcpy(data, room, got < 0 ? 0 : got < (ssize_t)length ? (size_t)got : length);
        return got;
    }
    if (fault("mq_receive_never_waits") && mq_getattr(queue, &attr) == 0 && attr.mq_curmsgs == 0)
        return errno = EAGAIN, -1;
    ssize_t got = REAL(mq_receive)(queue, data, length, priority);
    if (fault("mq_receive_interruption_unnoticed") && got == -1 && errno == EINTR)
        return 0;
    if (fault("mq_receive_empty_hidden") && got == -1 && errno == EAGAIN)
        return 0;
    if (got != -1 && fault("mq_receive_priority_lost") && priority)
        *priority = 0;
    if (got > 0 && fault("mq_receive_last_byte_lost"))
        --got;
    return got;
}

int mq_timedsend(mqd_t queue, const char *data, size_t length, unsigned priority, const struct timespec *time)
{
    if (fault("mq_timedsend_too_early"))
        time = &LONG_AGO;
    if (fault("mq_timedsend_looks_at_the_time_first") && time->tv_sec == LONG_AGO.tv_sec)
        return errno = ETIMEDOUT, -1;
    int result = REAL(mq_timedsend)(queue, data, length, priority, time);
    if (fault("mq_timedsend_time_unchecked") && result == -1 && errno == EINVAL)
        errno = ETIMEDOUT;
    return result;
}

ssize_t mq_timedreceive(mqd_t queue, char *data, size_t length, unsigned *priority, const struct timespec *time)
{
    if (fault("mq_timedreceive_too_early"))
        time = &LONG_AGO;
    ssize_t got = REAL(mq_timedreceive)(queue, data, length, priority, time);
    if (fault("mq_timedreceive_time_unchecked") && got == -1 && errno == EINVAL)
        errno = ETIMEDOUT;
    return got;
}

int mq_getattr(mqd_t queue, struct mq_attr *attr)
{
    int result = told(REAL(mq_getattr)(queue, attr));
    if (fault("mq_getattr_counts_nothing"))
        attr->mq_curmsgs = 0;
    if (fault("mq_getattr_sizes_exchanged")) {
        long size = attr->mq_msgsize;
        attr->mq_msgsize = attr->mq_maxmsg;
        attr->mq_maxmsg = size;
    }
    return result;
}

int mq_setattr(mqd_t queue, const struct mq_attr *attr, struct mq_attr *old)
{
    struct mq_attr same = *attr;
    if (fault("mq_setattr_does_nothing"))
        return REAL(mq_getattr)(queue, old);
    if (fault("mq_setattr_unknown_accepted"))
        same.mq_flags &= O_NONBLOCK;
    int result = REAL(mq_setattr)(queue, &same, old);
    if (fault("mq_setattr_tells_the_new") && result == 0 && old)
        old->mq_flags = attr->mq_flags;
    return told(result);
}

int mq_notify(mqd_t queue, const struct sigevent *event)
{
    struct sigevent other;
    if (event)
        other = *event;
    if (fault("mq_notify_does_nothing"))
        return 0;
    if (fault("mq_notify_null_does_nothing") && !event)
        return 0;
    if (fault("mq_notify_value_lost") && event)
        other.sigev_value.sival_int = 0;
    if (fault("mq_notify_none_signals") && event && event->sigev_notify == SIGEV_NONE) {
        other.sigev_notify = SIGEV_SIGNAL;
        other.sigev_signo = SIGUSR1;
    }
    if (fault("mq_notify_attributes_ignored"))
        other.sigev_notify_attributes = NULL;
    int result = REAL(mq_notify)(queue, event ? &other : NULL);
    if (fault("mq_notify_second_accepted") && result == -1 && errno == EBUSY)
        return 0;
    if (fault("mq_notify_unknown_accepted") && result == -1 && errno == EINVAL)
        return 0;
    if (event && event->sigev_notify == SIGEV_SIGNAL)
        registered = *event;
    return told(result);
}
