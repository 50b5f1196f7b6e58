/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "core/monitor/monitor.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int usage_error(const char *text, const char *what)
{
    fprintf(stderr, "duet: %s '%s'\nTry `duet help`.\n", text, what);
    return 125;
}

/* A caller may have closed one of the three: what we open must not land there. */
static void ensure_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

/* Whatever looks at all instances has each of their directories open. No more than that: there are
 * programs that do something for each descriptor that they might have. Payloads get limits of their
 * own. */
static void allow_many_descriptors(void)
{
    static const rlim_t enough = 1 << 16;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < enough) {
        limit.rlim_cur = MIN(limit.rlim_max, enough);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    DuetCli cli = { 0 };
    duet_monitor_set_caller(argv);
    ensure_standard_descriptors();
    allow_many_descriptors();
    signal(SIGPIPE, SIG_IGN);
    /* At `ulimit -f` an error that cleans up, not a death in the middle. */
    signal(SIGXFSZ, SIG_IGN);
    /* A caller may have ignored it; then nobody below us could wait for its children. */
    signal(SIGCHLD, SIG_DFL);

    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (g_str_equal(argv[i], "--help") || g_str_equal(argv[i], "-h")) {
            duet_cli_help();
            return 0;
        }
        if (g_str_equal(argv[i], "--version")) {
            printf("duet %s\n", DUET_VERSION);
            return 0;
        }
        if (g_str_has_prefix(argv[i], "--root="))
            cli.root = argv[i] + strlen("--root=");
        else if (g_str_equal(argv[i], "--root") && i + 1 < argc)
            cli.root = argv[++i];
        else
            return usage_error("unknown or incomplete option", argv[i]);
    }
    if (i == argc) {
        duet_cli_help();
        return 125;
    }
    const DuetCommand *command = duet_command_find(duet_commands, "duet command", argv[i]);
    int code = command ? command->run(&cli, argc - i, argv + i) : 125;
    duet_context_free(cli.context);
    /* What the shell would miss must not pass for a success: a full disk, a closed pipe. */
    gboolean lost = fflush(stdout) != 0;
    if (lost && errno != EPIPE)
        fprintf(stderr, "duet: cannot write the output: %s\n", g_strerror(errno));
    if ((lost || ferror(stdout)) && code == 0)
        code = 125;
    return code;
}
