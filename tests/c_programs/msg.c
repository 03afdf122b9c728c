/* An echo over a System V message queue that is found by its key.
 *
 * msg KEY echo         answer each message of type 1 with one of the sender's choosing: its text begins with a long, the type
 *                      to answer with, and the rest comes back with its bytes turned round. A message without text ends it.
 * msg KEY send N       send N messages, number I of type I and with I bytes, each of the value I
 * msg KEY drain        receive everything that is there, and print type and size of each
 * msg KEY make         make the queue, which must not exist, mode 0640, and print its id
 * msg KEY remove       remove it
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>

static struct message {
    long type;
    char text[8192];
} message;

static int failed(const char *call)
{
    perror(call);
    return 1;
}

static int echo(int queue)
{
    for (;;) {
        ssize_t size = msgrcv(queue, &message, sizeof message.text, 1, 0);
        if (size == -1)
            return failed("msgrcv");
        if (size == 0)
            return 0;
        static struct message answer;
        memcpy(&answer.type, message.text, sizeof answer.type);
        size -= sizeof answer.type;
        for (ssize_t place = 0; place < size; place++)
            answer.text[place] = message.text[sizeof answer.type + size - 1 - place];
        if (msgsnd(queue, &answer, size, 0) == -1)
            return failed("msgsnd");
    }
}

static int send(int queue, int count)
{
    for (int number = 1; number <= count; number++) {
        message.type = number;
        memset(message.text, number, number);
        if (msgsnd(queue, &message, number, 0) == -1)
            return failed("msgsnd");
    }
    return 0;
}

static int drain(int queue)
{
    ssize_t size;
    while ((size = msgrcv(queue, &message, sizeof message.text, 0, IPC_NOWAIT)) != -1)
        printf("%ld %zd\n", message.type, size);
    return errno == ENOMSG ? 0 : failed("msgrcv");
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    key_t key = atoi(argv[1]);
    const char *what = argv[2];
    int queue = strcmp(what, "make") == 0 ? msgget(key, IPC_CREAT | IPC_EXCL | 0640) : msgget(key, 0);
    if (queue == -1)
        return failed("msgget");
    if (strcmp(what, "make") == 0)
        return printf("%d\n", queue) < 0;
    if (strcmp(what, "echo") == 0)
        return echo(queue);
    if (strcmp(what, "send") == 0)
        return send(queue, atoi(argv[3]));
    if (strcmp(what, "drain") == 0)
        return drain(queue);
    if (strcmp(what, "remove") == 0)
        return msgctl(queue, IPC_RMID, NULL) == -1 ? failed("msgctl") : 0;
    return 2;
}
