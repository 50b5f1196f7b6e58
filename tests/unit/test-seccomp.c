/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Profiles become filters that the kernel takes and that do what they say: each is tried by a child
 * that puts it on. */
#include "container/seccomp/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/spec.h>

/* What is tried below the filter. Returns: 0 or an errno value. */
typedef int (*Attempt)(void);

#define SIGNALLED 1000

static int refused(long result)
{
    return result < 0 ? errno : 0;
}

/* Returns: what @attempt does, or SIGNALLED and the signal. */
static int try_below(GBytes *filter, Attempt attempt)
{
    gsize size = 0;
    struct sock_fprog program = { .filter = (gpointer)g_bytes_get_data(filter, &size) };
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;

    program.len = (unsigned short)(size / sizeof(struct sock_filter));
    *shared = -1;
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
            _exit(1);
        *shared = attempt();
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    int result = *shared;
    munmap(shared, 4096);
    if (WIFSIGNALED(status))
        return SIGNALLED + WTERMSIG(status);
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    return result;
}

static GBytes *compiled(const char *profile, guint64 capabilities)
{
    g_autoptr(GError) error = NULL;
    GBytes *filter = duet_seccomp_compile(profile, strlen(profile), capabilities, &error);

    g_assert_no_error(error);
    return filter;
}

static GBytes *of_default(guint64 capabilities)
{
    g_autofree char *path =
        g_build_filename(g_getenv("DUET_SOURCE_DIR"), "container/seccomp/default.json", NULL);
    g_autofree char *profile = NULL;

    g_assert_true(g_file_get_contents(path, &profile, NULL, NULL));
    return compiled(profile, capabilities);
}

/* ---- what is tried ---- */

static int try_getppid(void)
{
    return refused(syscall(SYS_getppid));
}

static int try_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return refused(pid) ? errno : refused(waitpid(pid, NULL, 0));
}

static int try_keyctl(void)
{
    return refused(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
}

static int try_add_key(void)
{
    return refused(syscall(SYS_add_key, "user", "duet", "x", 1, -2));
}

static int try_bpf(void)
{
    return refused(syscall(SYS_bpf, 0, NULL, 0));
}

static int try_kexec(void)
{
    return refused(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 0));
}

static int try_mount(void)
{
    return refused(syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0, NULL));
}

static int try_fsopen(void)
{
    return refused(syscall(SYS_fsopen, "nonexistent", 0));
}

static int try_unshare(void)
{
    return refused(syscall(SYS_unshare, CLONE_NEWUSER));
}

static int try_clone_newuser(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid == 0)
        _exit(0);
    return refused(pid);
}

/* Among plain flags, which must not hide it. */
static int try_clone_hidden(void)
{
    long pid =
        syscall(SYS_clone, CLONE_NEWNS | CLONE_FILES | CLONE_IO | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid == 0)
        _exit(0);
    return refused(pid);
}

static int try_clone3(void)
{
    struct clone_args args = { .exit_signal = SIGCHLD };
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(0);
    return refused(pid);
}

static int try_setns(void)
{
    return refused(syscall(SYS_setns, -1, 0));
}

static int try_io_uring(void)
{
    return refused(syscall(SYS_io_uring_setup, 0, NULL));
}

static int try_userfaultfd(void)
{
    return refused(syscall(SYS_userfaultfd, 0));
}

static int try_perf(void)
{
    return refused(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}

static int try_handle(void)
{
    return refused(syscall(SYS_open_by_handle_at, -1, NULL, 0));
}

static int try_module(void)
{
    return refused(syscall(SYS_finit_module, -1, "", 0));
}

static int try_swap(void)
{
    return refused(syscall(SYS_swapon, "/nonexistent", 0));
}

static int try_reboot(void)
{
    /* not even with these magic numbers would it do a thing */
    return refused(syscall(SYS_reboot, 0, 0, 0, NULL));
}

static int try_settime(void)
{
    return refused(syscall(SYS_clock_settime, 99, NULL));
}

static int try_vsock(void)
{
    return refused(socket(AF_VSOCK, SOCK_STREAM, 0));
}

/* The kernel takes the low half alone. */
static int try_vsock_hidden(void)
{
    return refused(syscall(SYS_socket, G_GUINT64_CONSTANT(0x100000000) + AF_VSOCK, SOCK_STREAM, 0));
}

static int try_alg(void)
{
    return refused(socket(AF_ALG, SOCK_SEQPACKET, 0));
}

static int try_inet(void)
{
    return refused(socket(AF_INET, SOCK_STREAM, 0));
}

static int try_personality(void)
{
    return refused(syscall(SYS_personality, 0xffffffff));
}

static int try_no_aslr(void)
{
    return refused(syscall(SYS_personality, 0x0040000));
}

static int try_traceme(void)
{
    return refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_mkdir(void)
{
    return refused(syscall(SYS_mkdirat, AT_FDCWD, "/nonexistent/x", 0700));
}

static int try_getpriority_1(void)
{
    return refused(syscall(SYS_getpriority, 1, 0));
}

static int try_getpriority_2(void)
{
    return refused(syscall(SYS_getpriority, 2, 0));
}

static int try_getpriority_0(void)
{
    return refused(syscall(SYS_getpriority, 0, 0));
}

#ifdef __x86_64__
/* A call of a 32 bit program: 20 is getpid, 26 ptrace, 21 mount. */
static long call_32(long number)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static int try_getpid_32(void)
{
    return call_32(20) > 0 ? 0 : 1;
}

static int try_mount_32(void)
{
    return (int)-call_32(21);
}

static int try_x32(void)
{
    return refused(syscall(0x40000000 | SYS_getpid));
}
#endif

/* ---- cases ---- */

static void test_default(void)
{
    static const struct {
        Attempt attempt;
        int wanted;
    } rows[] = {
        { try_getppid, 0 },
        { try_fork, 0 },
        { try_inet, 0 },
        { try_personality, 0 },
        { try_traceme, 0 },
        { try_mkdir, ENOENT },
        { try_keyctl, EPERM },
        { try_add_key, EPERM },
        { try_bpf, EPERM },
        { try_kexec, EPERM },
        { try_mount, EPERM },
        { try_fsopen, EPERM },
        { try_unshare, EPERM },
        { try_clone_newuser, EPERM },
        { try_clone_hidden, EPERM },
        { try_clone3, ENOSYS },
        { try_setns, EPERM },
        { try_io_uring, EPERM },
        { try_userfaultfd, EPERM },
        { try_perf, EPERM },
        { try_handle, EPERM },
        { try_module, EPERM },
        { try_swap, EPERM },
        { try_reboot, EPERM },
        { try_settime, EPERM },
        { try_vsock, EPERM },
        { try_vsock_hidden, EPERM },
        { try_alg, EPERM },
        { try_no_aslr, EPERM },
#ifdef __x86_64__
        { try_getpid_32, 0 },
        { try_mount_32, EPERM },
        { try_x32, SIGNALLED + SIGSYS },
#endif
    };
    g_autoptr(GBytes) filter = of_default(DUET_CAPABILITIES_DEFAULT);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("row %zu", i);
        g_assert_cmpint(try_below(filter, rows[i].attempt), ==, rows[i].wanted);
    }
}

/* What a capability is for, its filter lets through: the kernel then looks at the rest. */
static void test_capabilities(void)
{
    static const struct {
        const char *capability;
        Attempt attempt;
        int wanted;
    } rows[] = {
        { "CAP_SYS_ADMIN", try_mount, ENOENT },
        { "CAP_SYS_ADMIN", try_setns, EBADF },
        { "CAP_SYS_ADMIN", try_clone3, 0 },
        { "CAP_SYS_BOOT", try_reboot, EINVAL },
        { "CAP_SYS_TIME", try_settime, EINVAL },
        { "CAP_DAC_READ_SEARCH", try_handle, EFAULT },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        int number = duet_capability_number(rows[i].capability);
        g_assert_cmpint(number, >=, 0);
        g_autoptr(GBytes) with = of_default(G_GUINT64_CONSTANT(1) << number);
        g_autoptr(GBytes) without = of_default(0);
        int seen = try_below(with, rows[i].attempt);
        g_test_message("row %zu: %d", i, seen);
        /* as root the kernel gets to the arguments, else to its own permissions */
        if (geteuid() == 0)
            g_assert_cmpint(seen, ==, rows[i].wanted);
        g_assert_cmpint(try_below(without, rows[i].attempt), ==,
            rows[i].attempt == try_clone3 ? ENOSYS : EPERM);
    }
}

static void test_format(void)
{
    static const struct {
        const char *profile;
        Attempt attempt;
        int wanted;
        guint64 capabilities;
    } rows[] = {
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38}]}",
            try_mkdir, ENOSYS },
        /* an older form, and the usual errno */
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'name':'mkdirat',"
          "'action':'SCMP_ACT_ERRNO'}]}",
            try_mkdir, EPERM },
        /* names that no library knows yet */
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat','of_tomorrow'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':5}]}",
            try_mkdir, EIO },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_KILL_PROCESS'}]}",
            try_mkdir, SIGNALLED + SIGSYS },
        /* conditions */
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38,'includes':{'minKernel':'99.0'}}]}",
            try_mkdir, ENOENT },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38,'includes':{'minKernel':'3.10'}}]}",
            try_mkdir, ENOSYS },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38,'includes':{'arches':['s390']}}]}",
            try_mkdir, ENOENT },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38,'excludes':{'arches':['amd64','arm64']}}]}",
            try_mkdir, ENOENT },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38,'includes':{'caps':['CAP_CHOWN']}}]}",
            try_mkdir, ENOENT },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38,'excludes':{'caps':['CAP_CHOWN']}}]}",
            try_mkdir, ENOSYS },
        /* of what is excluded, one is enough; of what is included, all are needed */
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38,'excludes':{'caps':['CAP_CHOWN','CAP_KILL']}}]}",
            try_mkdir, ENOENT, 1 },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdirat'],"
          "'action':'SCMP_ACT_ERRNO','errnoRet':38,'includes':{'caps':['CAP_CHOWN','CAP_KILL']}}]}",
            try_mkdir, ENOENT, 1 },
        /* one of two comparisons of an argument is enough */
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['getpriority'],"
          "'action':'SCMP_ACT_ERRNO','args':[{'index':0,'value':1,'op':'SCMP_CMP_EQ'},"
          "{'index':0,'value':2,'op':'SCMP_CMP_EQ'}]}]}",
            try_getpriority_1, EPERM },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['getpriority'],"
          "'action':'SCMP_ACT_ERRNO','args':[{'index':0,'value':1,'op':'SCMP_CMP_EQ'},"
          "{'index':0,'value':2,'op':'SCMP_CMP_EQ'}]}]}",
            try_getpriority_2, EPERM },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['getpriority'],"
          "'action':'SCMP_ACT_ERRNO','args':[{'index':0,'value':1,'op':'SCMP_CMP_EQ'},"
          "{'index':0,'value':2,'op':'SCMP_CMP_EQ'}]}]}",
            try_getpriority_0, 0 },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['getpriority'],"
          "'action':'SCMP_ACT_ERRNO','args':[{'index':0,'value':2,'op':'SCMP_CMP_GE'}]}]}",
            try_getpriority_1, 0 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *profile = g_strdelimit(g_strdup(rows[i].profile), "'", '"');
        g_autoptr(GBytes) filter = compiled(profile, rows[i].capabilities);
        g_test_message("row %zu", i);
        g_assert_cmpint(try_below(filter, rows[i].attempt), ==, rows[i].wanted);
    }
}

static void test_broken(void)
{
    static const struct {
        const char *profile, *why;
    } rows[] = {
        { "", "" },
        { "nothing", "" },
        { "[]", "not an object" },
        { "{}", "'defaultAction'" },
        { "{'defaultAction':'SCMP_ACT_PRAY'}", "SCMP_ACT_PRAY" },
        { "{'defaultAction':7}", "'defaultAction' is not a string" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':{}}", "'syscalls' is not an array" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[7]}", "not an object" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir']}]}", "'action'" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':[7],'action':'SCMP_ACT_LOG'}]}",
            "'names' holds something" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],'action':"
          "'SCMP_ACT_ERRNO','errnoRet':-1}]}",
            "'errnoRet'" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],'action':"
          "'SCMP_ACT_LOG','args':[{'index':6,'op':'SCMP_CMP_EQ'}]}]}",
            "'index'" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],'action':"
          "'SCMP_ACT_LOG','args':[{'index':0,'op':'SCMP_CMP_LIKE'}]}]}",
            "SCMP_CMP_LIKE" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],'action':"
          "'SCMP_ACT_LOG','includes':{'caps':['CAP_TO_FLY']}}]}",
            "CAP_TO_FLY" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],'action':"
          "'SCMP_ACT_LOG','includes':{'minKernel':'new'}}]}",
            "'minKernel'" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','architectures':['SCMP_ARCH_Z80']}", "Z80" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','listenerPath':'/run/x'}", "'listenerPath'" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','flags':['SECCOMP_FILTER_FLAG_LOG']}", "'flags'" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],'action':"
          "'SCMP_ACT_LOG','arg':[]}]}",
            "'arg'" },
        { "{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],'action':"
          "'SCMP_ACT_LOG','excludes':{'cap':['CAP_CHOWN']}}]}",
            "'cap'" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *profile = g_strdelimit(g_strdup(rows[i].profile), "'", '"');
        g_autoptr(GError) error = NULL;
        g_test_message("row %zu", i);
        g_assert_null(duet_seccomp_compile(profile, strlen(profile), 0, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, rows[i].why));
    }
    /* more brackets than a stack has room for */
    g_autofree char *deep = g_strnfill(1000000, '[');
    g_autoptr(GError) error = NULL;
    g_assert_null(duet_seccomp_compile(deep, strlen(deep), 0, &error));
    g_assert_nonnull(strstr(error->message, "nested too deep"));
}

static void test_names(void)
{
    g_assert_cmpint(duet_capability_number("CAP_CHOWN"), ==, 0);
    g_assert_cmpint(duet_capability_number("sys_admin"), ==, 21);
    g_assert_cmpint(duet_capability_number("Cap_Kill"), ==, 5);
    g_assert_cmpint(duet_capability_number("CAP_NOTHING"), <, 0);
    g_assert_cmpint(duet_capability_number(""), <, 0);
    g_autofree char *name = duet_capability_name(21), *none = duet_capability_name(62);
    g_assert_cmpstr(name, ==, "CAP_SYS_ADMIN");
    g_assert_null(none);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/seccomp/default", test_default);
    g_test_add_func("/seccomp/capabilities", test_capabilities);
    g_test_add_func("/seccomp/format", test_format);
    g_test_add_func("/seccomp/broken", test_broken);
    g_test_add_func("/seccomp/names", test_names);
    return g_test_run();
}
