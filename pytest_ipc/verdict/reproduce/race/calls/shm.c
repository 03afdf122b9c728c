/* System V shared memory: the segments of one key. A worker uses the one that it found or created last. */
static key_t key;
static int known[WORKERS];
static void *address[WORKERS];

static int make(void)
{
    for (key = 0x52000000 + getpid() * 16; shmget(key, 0, 0) != -1 || errno != ENOENT; key++) {}
    return 0;
}

static void unmake(void)
{
    int id = shmget(key, 0, 0);
    if (id != -1)
        shmctl(id, IPC_RMID, NULL);
    for (int n = 0; n < OPERATIONS; n++)
        if (gives_identifier[n] && strspn((char *)s->text[n], "0123456789") == strlen((char *)s->text[n]) && *s->text[n])
            shmctl(atoi((char *)s->text[n]), IPC_RMID, NULL);
}

static void enter(int w)
{
    known[w] = -1;
}

OP do_get(int n, int w, int worker, int flags)
{
    (void)worker;
    CALL(n, -1, shmget(key, 1, flags | 0600))
    known[w] = (int)r;
    RESULT(n, "%ld", r);
}

OP do_attach(int n, int w, int worker)
{
    (void)worker;
    if (known[w] == -1 || address[w])
        NO_CALL(n, "false");
    CALL(n, -1, shmat(known[w], NULL, 0))
    address[w] = (void *)r;
    RESULT(n, "true");
}

OP do_detach(int n, int w, int worker)
{
    (void)worker;
    if (!address[w])
        NO_CALL(n, "false");
    CALL(n, -1, shmdt(address[w]))
    address[w] = NULL;
    RESULT(n, "true");
}

OP do_remove(int n, int w, int worker)
{
    (void)worker;
    if (known[w] == -1)
        NO_CALL(n, "false");
    CALL(n, -1, shmctl(known[w], IPC_RMID, NULL))
    RESULT(n, "true");
}

OP do_count(int n, int w, int worker)
{
    (void)worker;
    struct shmid_ds ds;
    if (known[w] == -1)
        NO_CALL(n, "returned");
    CALL(n, -1, shmctl(known[w], IPC_STAT, &ds))
    RESULT(n, "%lu", (unsigned long)ds.shm_nattch);
}

OP do_clear(int n, int w)
{
    (void)w;
    CALL(n, -2, shmctl(shmget(key, 0, 0), IPC_RMID, NULL))
    RESULT(n, r == 0 ? "true" : "false");
}
