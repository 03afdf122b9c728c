/* Faults of one process that traces another: ptrace(2). */
#include "fault.h"
#include <signal.h>
#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#ifndef PTRACE_SET_SYSCALL_INFO
#define PTRACE_SET_SYSCALL_INFO 0x4212
#endif

static long refused(int error)
{
    errno = error;
    return -1;
}

static long call(int op, pid_t pid, void *addr, void *data)
{
    return REAL(ptrace)(op, pid, addr, data);
}

static int restarts(int op)
{
    return op == PTRACE_CONT || op == PTRACE_SYSCALL || op == PTRACE_DETACH;
}

/* The signal that a tracee has stopped for, or 0. */
static long stopped_for(pid_t pid)
{
    siginfo_t info;
    return call(PTRACE_GETSIGINFO, pid, NULL, &info) == 0 && info.si_code <= 0 ? info.si_signo : 0;
}

static pid_t attached; /* the tracee of the last event */

/* What an operation was asked for, and what is done instead. */
static void ask_otherwise(int *op, pid_t pid, void **addr, void **data)
{
    if (fault("ptrace_attach_sends_another") && *op == PTRACE_ATTACH && call(PTRACE_SEIZE, pid, NULL, NULL) == 0)
        *op = PTRACE_INTERRUPT;
    if (fault("ptrace_seize_is_attach") && *op == PTRACE_SEIZE)
        *op = PTRACE_ATTACH;
    if (fault("ptrace_options_ignored") && (*op == PTRACE_SEIZE || *op == PTRACE_SETOPTIONS))
        *data = NULL;
    if (fault("ptrace_detach_is_cont") && *op == PTRACE_DETACH)
        *op = PTRACE_CONT;
    if (fault("ptrace_cont_detaches") && *op == PTRACE_CONT)
        *op = PTRACE_DETACH;
    if (fault("ptrace_cont_is_syscall") && *op == PTRACE_CONT)
        *op = PTRACE_SYSCALL;
    if ((fault("ptrace_syscall_is_cont") && *op == PTRACE_SYSCALL) || (fault("ptrace_singlestep_is_cont") && *op == PTRACE_SINGLESTEP) ||
        (fault("ptrace_listen_is_cont") && *op == PTRACE_LISTEN) || (fault("ptrace_kill_is_cont") && *op == PTRACE_KILL))
        *op = PTRACE_CONT;
    if (fault("ptrace_sysemu_is_syscall") && *op == PTRACE_SYSEMU)
        *op = PTRACE_SYSCALL;
    if (fault("ptrace_injects_nothing") && restarts(*op))
        *data = NULL;
    if (fault("ptrace_injects_whatever_came") && restarts(*op) && stopped_for(pid))
        *data = (void *)stopped_for(pid);
    if (fault("ptrace_syscall_info_room_ignored") && *op == PTRACE_GET_SYSCALL_INFO)
        *addr = (void *)sizeof(struct __ptrace_syscall_info);
    struct __ptrace_peeksiginfo_args *peek = *addr;
    if (fault("ptrace_peeksiginfo_of_the_other_queue") && *op == PTRACE_PEEKSIGINFO)
        peek->flags ^= 1;
    if (fault("ptrace_peeksiginfo_position_ignored") && *op == PTRACE_PEEKSIGINFO)
        peek->off = 0;
}

/* What is not done at all, though it is said to be. */
static int left_out(int op)
{
    return (fault("ptrace_traceme_does_nothing") && op == PTRACE_TRACEME) ||
           (fault("ptrace_seize_does_nothing") && op == PTRACE_SEIZE) ||
           (fault("ptrace_poke_does_nothing") && (op == PTRACE_POKEDATA || op == PTRACE_POKETEXT)) ||
           (fault("ptrace_setsiginfo_does_nothing") && op == PTRACE_SETSIGINFO) ||
           (fault("ptrace_setsigmask_does_nothing") && op == PTRACE_SETSIGMASK) ||
           (fault("ptrace_setregset_does_nothing") && op == PTRACE_SETREGSET) ||
           (fault("ptrace_set_syscall_info_does_nothing") && op == PTRACE_SET_SYSCALL_INFO);
}

/* The result of an operation, and the wrong one. */
static long told(int op, long result, void *data)
{
    siginfo_t *info = data;
    struct __ptrace_syscall_info *call_info = data;
    struct iovec *registers = data;
    static int looked, read;
    if (result == -1)
        return result;
    if (fault("ptrace_siginfo_has_another_code") && op == PTRACE_GETSIGINFO)
        info->si_code = 99;
    if (fault("ptrace_event_message_is_lost") && op == PTRACE_GETEVENTMSG)
        *(unsigned long *)data = 0;
    if (fault("ptrace_sigmask_is_empty") && op == PTRACE_GETSIGMASK)
        memset(data, 0, 8);
    if (fault("ptrace_peeksiginfo_takes_them_away") && op == PTRACE_PEEKSIGINFO && looked++)
        return 0;
    if (fault("ptrace_registers_are_others") && op == PTRACE_GETREGSET)
        memset(registers->iov_base, read++, registers->iov_len);
    if (op != PTRACE_GET_SYSCALL_INFO)
        return result;
    if (fault("ptrace_syscall_info_tells_nothing"))
        call_info->op = PTRACE_SYSCALL_INFO_NONE;
    if (fault("ptrace_syscall_info_always_an_entry"))
        call_info->op = PTRACE_SYSCALL_INFO_ENTRY;
    if (fault("ptrace_syscall_info_has_no_arguments") && call_info->op != PTRACE_SYSCALL_INFO_EXIT)
        memset(call_info->entry.args, 0, sizeof call_info->entry.args);
    if (fault("ptrace_syscall_info_marks_no_error") && call_info->op == PTRACE_SYSCALL_INFO_EXIT)
        call_info->exit.is_error = 0;
    return result;
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list list;
    va_start(list, request);
    pid_t pid = va_arg(list, pid_t);
    void *addr = va_arg(list, void *), *data = va_arg(list, void *);
    va_end(list);
    int op = request;
    struct iovec *registers = data;
    static unsigned long options[3];

    if (!getenv("FAULT"))
        return call(op, pid, addr, data);
    if (fault("ptrace_attach_is_refused") && (op == PTRACE_ATTACH || op == PTRACE_SEIZE))
        return refused(EPERM);
    if (fault("ptrace_peek_is_of_oneself") && (op == PTRACE_PEEKDATA || op == PTRACE_PEEKTEXT) && addr) {
        errno = 0;
        return *(long *)addr;
    }
    if (fault("ptrace_every_event_is_asked_for") && op == PTRACE_CONT)
        call(PTRACE_SETOPTIONS, pid, NULL,
             (void *)(PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC));
    if (fault("ptrace_options_are_not_inherited") && op == PTRACE_CONT && pid == attached)
        call(PTRACE_SETOPTIONS, pid, NULL, NULL);
    if (fault("ptrace_options_add_up") && op == PTRACE_SETOPTIONS)
        data = (void *)(options[pid % 3] |= (unsigned long)data);
    if (fault("ptrace_tracer_takes_its_tracees_along") && op == PTRACE_TRACEME)
        REAL(prctl)(PR_SET_PDEATHSIG, SIGKILL);
    if (left_out(op))
        return 0;
    ask_otherwise(&op, pid, &addr, &data);
    size_t room = op == PTRACE_GETREGSET ? registers->iov_len : 0;
    long result = call(op, pid, addr, data);
    if (fault("ptrace_peek_of_all_ones_fails") && result == -1 && errno == 0)
        return refused(EIO);
    if (fault("ptrace_never_fails") && result == -1 && errno)
        return errno = 0;
    if (op == PTRACE_TRACEME && fault("ptrace_traceme_stops"))
        REAL(kill)(getpid(), SIGSTOP);
    result = told(op, result, data);
    if (fault("ptrace_regset_length_is_the_room") && op == PTRACE_GETREGSET)
        registers->iov_len = room;
    if (op == PTRACE_GETEVENTMSG && result == 0)
        attached = (pid_t) * (unsigned long *)data;
    return result;
}
