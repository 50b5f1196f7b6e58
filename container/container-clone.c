/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * fork() copies the monitor's page tables and makes both sides fault on every page they write: more
 * than a millisecond, an eighth of a whole start. The child of clone3(CLONE_VM) instead runs in the
 * monitor's memory, on a stack of its own, at the same time as the monitor, until it executes the
 * agent. So it must: call nothing but raw system calls (raw.h), write nothing but its stack and the
 * members of its data that are meant for it, and never return.
 *
 * Shared memory is no hole in the container's wall: at that time no foreign code runs in it, nobody
 * else is in its namespaces, and the change of ids makes the shared memory not dumpable, so that
 * host users who happen to have these ids can't trace it.
 */

#include "container-private.h"

#include <errno.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/util.h"
#include "raw.h"

#define STACK_BYTES (128 * 1024)
#define GUARD_BYTES (64 * 1024) /* the largest page size there is */

#ifdef RAW_SHARED_MEMORY
/* The child comes out of the system call on an empty stack: it can't return, only call. */
static __attribute__((noinline)) long clone_shared(
    struct clone_args *args, DuetCloneFunc run, void *data)
{
#ifdef __x86_64__
    long result;
    register DuetCloneFunc run_reg __asm__("r8") = run;
    register void *data_reg __asm__("r9") = data;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r9, %%rdi\n\t"
                     "call *%%r8\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(args), "S"(sizeof *args), "r"(run_reg), "r"(data_reg)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register DuetCloneFunc run_reg __asm__("x9") = run;
    register void *data_reg __asm__("x10") = data;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, #0\n\t"
                     "mov x30, #0\n\t"
                     "mov x0, x10\n\t"
                     "blr x9\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(run_reg), "r"(data_reg)
                     : "memory");
    return x0;
#endif
}
#endif

static long clone_child(struct clone_args *args, DuetCloneFunc run, void *data, DuetClone *clone)
{
#ifdef RAW_SHARED_MEMORY
    clone->bytes = STACK_BYTES + GUARD_BYTES;
    clone->memory = mmap(NULL, clone->bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (clone->memory == MAP_FAILED) {
        clone->memory = NULL;
        return -errno;
    }
    mprotect(clone->memory, GUARD_BYTES, PROT_NONE);
    args->flags |= CLONE_VM;
    args->stack = (guint64)(guintptr)clone->memory + GUARD_BYTES;
    args->stack_size = STACK_BYTES;
    return clone_shared(args, run, data);
#else
    clone->memory = NULL;
    long result = raw(SYS_clone3, args, sizeof *args);
    if (result == 0)
        run(data);
    return result;
#endif
}

gboolean duet_clone(guint64 flags, int cgroup_fd, DuetCloneFunc run, void *data, DuetClone *out)
{
    *out = (DuetClone){ .pidfd = -1, .pid = -1 };
    int pidfd = -1;
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD,
        .pidfd = (guint64)(guintptr)&pidfd,
        .exit_signal = SIGCHLD,
    };
    if (cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (guint64)cgroup_fd;
    }
    /* a handler of ours must not run in the child: it would do so in our memory */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    long result = clone_child(&args, run, data, out);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (result < 0) {
        duet_clone_settled(out);
        errno = (int)-result;
        return FALSE;
    }
    out->pid = (pid_t)result;
    out->pidfd = pidfd;
    return TRUE;
}

void duet_clone_settled(DuetClone *clone)
{
    if (clone->memory != NULL)
        munmap(clone->memory, clone->bytes);
    clone->memory = NULL;
}

void duet_clone_abort(DuetClone *clone)
{
    if (clone->pid > 0) {
        siginfo_t info;
        syscall(SYS_pidfd_send_signal, clone->pidfd, SIGKILL, NULL, 0);
        while (waitid(P_PIDFD, (id_t)clone->pidfd, &info, WEXITED) != 0 && errno == EINTR)
            continue;
    }
    clone->pid = -1;
    duet_fd_clear(&clone->pidfd);
    duet_clone_settled(clone);
}
