/* System V message queues: one small queue, which two messages fill. */
static int id;

struct message { long type; char text[17]; };

static int make(void)
{
    struct msqid_ds ds;
    id = msgget(IPC_PRIVATE, 0600);
    if (id == -1 || msgctl(id, IPC_STAT, &ds) == -1)
        return -1;
    ds.msg_qbytes = 8;
    return msgctl(id, IPC_SET, &ds);
}

static void unmake(void)
{
    msgctl(id, IPC_RMID, NULL);
}

static void enter(int w)
{
    (void)w;
}

OP do_msgsnd(int n, int w, int type, const char *text, int size, int flags)
{
    (void)w;
    struct message message = {type, ""};
    memcpy(message.text, text, (size_t)size);
    CALL(n, -1, msgsnd(id, &message, (size_t)size, flags))
    RESULT(n, "returned");
}

OP do_msgrcv(int n, int w, int size, int type, int flags)
{
    (void)w;
    struct message message;
    CALL(n, -1, msgrcv(id, &message, (size_t)size, type, flags))
    RESULT(n, "%ld \"%.*s\"", message.type, (int)r, message.text);
}

OP do_counts(int n, int w)
{
    (void)w;
    struct msqid_ds ds;
    CALL(n, -1, msgctl(id, IPC_STAT, &ds))
    RESULT(n, "%lu %lu", (unsigned long)ds.msg_qnum, (unsigned long)ds.msg_cbytes);
}

OP do_rmid(int n, int w)
{
    (void)w;
    CALL(n, -1, msgctl(id, IPC_RMID, NULL))
    RESULT(n, "returned");
}
