/* Faults of System V message queues. */
#include "fault.h"
#include <limits.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/stat.h>

/* Answers of any of the three calls that operate on a queue, for one errno another, or success. */
static ssize_t told(ssize_t result)
{
    if (result == -1 && errno == EFAULT && fault("msg_bad_address_is_einval"))
        errno = EINVAL;
    if (result == -1 && errno == EINVAL && fault("msg_bad_id_is_ebadf"))
        errno = EBADF;
    if (result == -1 && errno == EACCES && fault("msg_mode_unchecked"))
        result = 0;
    return result;
}

int msgget(key_t key, int flags)
{
    if (fault("msgget_excl_ignored"))
        flags &= ~IPC_EXCL;
    if (fault("msgget_private_is_a_key") && key == IPC_PRIVATE)
        key = 0x3fff0002, flags = (flags & ~IPC_EXCL) | IPC_CREAT;
    if (fault("msgget_creates_without_creat"))
        flags |= IPC_CREAT;
    if (fault("msgget_forgets_keys") && !(flags & IPC_CREAT))
        key ^= 1;
    if (fault("msgget_private_excl_refused") && key == IPC_PRIVATE && flags & IPC_EXCL) {
        errno = EINVAL;
        return -1;
    }
    if (fault("msgget_umask_applied")) {
        mode_t mask = umask(0);
        umask(mask);
        flags &= ~mask;
    }
    if (fault("msgget_permissions_unchecked"))
        flags &= ~0777 | (flags & IPC_CREAT ? 0777 : 0);
    int id = REAL(msgget)(key, flags);
    if (fault("msgget_gives_a_negative_id") && id != -1)
        return id | (int)0x80000000;
    if (fault("msgget_wrong_errno") && id == -1 && errno == EEXIST)
        errno = EACCES;
    if (fault("msgget_full_is_enomem") && id == -1 && errno == ENOSPC)
        errno = ENOMEM;
    return id;
}

int msgsnd(int id, const void *message, size_t size, int flags)
{
    struct { long type; char text[70000]; } own;
    if (fault("msgsnd_type_zero_accepted") && *(const long *)message <= 0 && size < sizeof own.text) {
        memcpy(&own, message, sizeof own.type + size);
        own.type = 1;
        message = &own;
    }
    if (fault("msgsnd_type_is_an_int") && *(const long *)message > INT_MAX && size < sizeof own.text) {
        memcpy(&own, message, sizeof own.type + size);
        own.type = INT_MAX;
        message = &own;
    }
    if (fault("msgsnd_negative_size_is_none") && (ssize_t)size < 0)
        size = 0;
    if (fault("msgsnd_cuts_what_is_too_long") && size > 1000 && REAL(msgsnd)(id, message, size, flags) == -1)
        size = 1000;
    else if (fault("msgsnd_cuts_what_is_too_long") && size > 1000)
        return 0;
    if (fault("msgsnd_empty_refused") && size == 0) {
        errno = EINVAL;
        return -1;
    }
    if (fault("msgsnd_loses_a_byte") && size > 0)
        size -= 1;
    if (fault("msgsnd_never_waits"))
        flags |= IPC_NOWAIT;
    if (fault("msgsnd_leaves_a_byte_free") && size > 0 && flags & IPC_NOWAIT) {
        struct msqid_ds ds;
        if (REAL(msgctl)(id, IPC_STAT, &ds) == 0 && ds.msg_cbytes + size >= ds.msg_qbytes) {
            errno = EAGAIN;
            return -1;
        }
    }
    if (fault("msgsnd_drops_when_full")) {
        int result = REAL(msgsnd)(id, message, size, flags | IPC_NOWAIT);
        return result == -1 && errno == EAGAIN ? 0 : result;
    }
    int result = REAL(msgsnd)(id, message, size, flags);
    if (fault("msgsnd_interruption_unnoticed") && result == -1 && errno == EINTR)
        return 0;
    if (fault("msgsnd_removal_is_a_bad_id") && result == -1 && errno == EIDRM)
        errno = EINVAL;
    if (fault("msgsnd_full_is_enospc") && result == -1 && errno == EAGAIN)
        errno = ENOSPC;
    return told(result);
}

ssize_t msgrcv(int id, void *message, size_t size, long type, int flags)
{
    if (fault("msgrcv_type_ignored") && !(flags & MSG_COPY))
        type = 0;
    if (fault("msgrcv_negative_excludes_its_bound") && type < 0 && type > LONG_MIN)
        type += 1;
    if (fault("msgrcv_negative_is_positive") && type < 0)
        type = type == LONG_MIN ? LONG_MAX : -type;
    if (fault("msgrcv_negative_unbounded") && type < 0)
        type = LONG_MIN;
    if (fault("msgrcv_long_min_overflows") && type == LONG_MIN)
        type = -1;
    if (fault("msgrcv_negative_size_is_large") && (ssize_t)size < 0)
        size = 50;
    if (fault("msgrcv_noerror_cuts_too_much") && flags & MSG_NOERROR)
        size /= 30;
    if (fault("msgrcv_newest_first") && type == 0 && flags & IPC_NOWAIT) {
        struct msqid_ds ds;
        struct { long type; char text[8192]; } own;
        REAL(msgctl)(id, IPC_STAT, &ds);
        for (size_t older = 1; older < ds.msg_qnum; older++)
            REAL(msgsnd)(id, &own, REAL(msgrcv)(id, &own, sizeof own.text, 0, IPC_NOWAIT), IPC_NOWAIT);
    }
    if (fault("msgrcv_except_ignored"))
        flags &= ~MSG_EXCEPT;
    if (fault("msgrcv_noerror_ignored"))
        flags &= ~MSG_NOERROR;
    if (fault("msgrcv_always_cuts"))
        flags |= MSG_NOERROR;
    if (fault("msgrcv_never_waits"))
        flags |= IPC_NOWAIT;
    if (fault("msgrcv_copy_takes_away") && flags & MSG_COPY)
        flags &= ~MSG_COPY, type = 0;
    if (fault("msgrcv_copy_needs_no_nowait") && flags & MSG_COPY)
        flags = (flags | IPC_NOWAIT) & ~MSG_EXCEPT;
    if (fault("msgrcv_copy_from_one") && flags & MSG_COPY && type > 0)
        type -= 1;
    ssize_t result = REAL(msgrcv)(id, message, size, type, flags);
    if (fault("msgrcv_interruption_unnoticed") && result == -1 && errno == EINTR)
        return 0;
    if (fault("msgrcv_too_long_is_lost") && result == -1 && errno == E2BIG) {
        REAL(msgrcv)(id, message, size, type, flags | MSG_NOERROR);
        errno = E2BIG;
    }
    if (fault("msgrcv_keeps_the_message") && result != -1 && !(flags & MSG_COPY))
        REAL(msgsnd)(id, message, result, IPC_NOWAIT);
    if (fault("msgrcv_keeps_the_tail") && result != -1 && flags & MSG_NOERROR && (size_t)result == size)
        REAL(msgsnd)(id, message, result, IPC_NOWAIT);
    if (fault("msgrcv_says_the_buffers_size") && result != -1)
        result = size;
    if (fault("msgrcv_empty_is_eagain") && result == -1 && errno == ENOMSG)
        errno = EAGAIN;
    if (fault("msgrcv_removal_is_a_bad_id") && result == -1 && errno == EIDRM)
        errno = EINVAL;
    return told(result);
}

int msgctl(int id, int command, struct msqid_ds *ds)
{
    if (fault("msgctl_rmid_does_nothing") && command == IPC_RMID)
        return 0;
    if (fault("msgctl_set_does_nothing") && command == IPC_SET)
        return 0;
    if (fault("msgctl_set_keeps_qbytes") && command == IPC_SET) {
        struct msqid_ds now;
        if (REAL(msgctl)(id, IPC_STAT, &now) == 0)
            ds->msg_qbytes = now.msg_qbytes;
    }
    if (fault("msgctl_set_keeps_the_owner") && command == IPC_SET) {
        struct msqid_ds now;
        if (REAL(msgctl)(id, IPC_STAT, &now) == 0)
            ds->msg_perm.uid = now.msg_perm.uid, ds->msg_perm.gid = now.msg_perm.gid;
    }
    if (fault("msgctl_set_empties") && command == IPC_SET) {
        struct { long type; char text[8192]; } own;
        while (REAL(msgrcv)(id, &own, sizeof own.text, 0, IPC_NOWAIT) != -1)
            ;
    }
    int result = REAL(msgctl)(id, command, ds);
    if (fault("msgctl_everything_permitted") && result == -1 && errno == EPERM)
        result = 0;
    if (result != -1 && command == IPC_STAT) {
        if (fault("msgctl_counts_wrong"))
            ds->msg_qnum += 1;
        if (fault("msgctl_bytes_with_headers"))
            ds->msg_cbytes += 48 * ds->msg_qnum;
        if (fault("msgctl_pids_missing"))
            ds->msg_lspid = ds->msg_lrpid = 0;
        if (fault("msgctl_times_missing"))
            ds->msg_stime = ds->msg_rtime = ds->msg_ctime = 0;
        if (fault("msgctl_never_zero"))
            ds->msg_rtime = ds->msg_rtime ? ds->msg_rtime : ds->msg_ctime;
        if (fault("msgctl_owner_is_the_real_user"))
            ds->msg_perm.uid = ds->msg_perm.cuid = getuid();
        if (fault("msgctl_room_is_fixed"))
            ds->msg_qbytes = 16384;
    }
    if (result != -1 && command == IPC_INFO && fault("msgctl_limits_wrong"))
        ((struct msginfo *)ds)->msgmni += 1;
    if (result != -1 && command == MSG_INFO && fault("msgctl_sums_wrong"))
        ((struct msginfo *)ds)->msgtql += 1;
    if (result != -1 && command == MSG_STAT && fault("msgctl_index_for_id"))
        result += 1;
    return told(result);
}
