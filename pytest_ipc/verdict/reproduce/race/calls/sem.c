/* System V semaphores: a set of two; the first has one token. */
static int id;

union semun { int val; struct semid_ds *buf; unsigned short *array; };

static int make(void)
{
    unsigned short values[] = {1, 0};
    id = semget(IPC_PRIVATE, 2, 0600);
    return id == -1 ? -1 : semctl(id, 0, SETALL, (union semun){.array = values});
}

static void unmake(void)
{
    semctl(id, 0, IPC_RMID);
}

static void enter(int w)
{
    (void)w;
}

OP do_semop(int n, int w, struct sembuf *operations, int count)
{
    (void)w;
    CALL(n, -1, semop(id, operations, (size_t)count))
    RESULT(n, "returned");
}

OP do_semtimedop(int n, int w, struct sembuf *operations, int count, double seconds)
{
    (void)w;
    struct timespec limit = {0, (long)(seconds * 1e9)};
    CALL(n, -1, semtimedop(id, operations, (size_t)count, &limit))
    RESULT(n, "returned");
}

OP do_setval(int n, int w, int num, int value)
{
    (void)w;
    CALL(n, -1, semctl(id, num, SETVAL, (union semun){.val = value}))
    RESULT(n, "returned");
}

OP do_setall(int n, int w, int *numbers, int count)
{
    (void)w;
    (void)count;
    unsigned short values[] = {(unsigned short)numbers[0], (unsigned short)numbers[1]};
    CALL(n, -1, semctl(id, 0, SETALL, (union semun){.array = values}))
    RESULT(n, "returned");
}

OP do_getall(int n, int w)
{
    (void)w;
    unsigned short values[2];
    CALL(n, -1, semctl(id, 0, GETALL, (union semun){.array = values}))
    RESULT(n, "%d %d", values[0], values[1]);
}

OP do_rmid(int n, int w)
{
    (void)w;
    CALL(n, -1, semctl(id, 0, IPC_RMID))
    RESULT(n, "returned");
}
