/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs, and copies of files, beside the payload of a living instance. */
#include "core/control.h"
#include "core/fields.h"
#include "core/session.h"
#include "core/terminal.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

/* The instance's variables, replaced or joined by those of the exec. */
static char **merged_env(const DuetSpec *spec, char **more)
{
    char **env = g_strdupv(spec->env);
    for (; more && *more; more++) {
        const char *equals = strchr(*more, '=');
        g_autofree char *name =
            equals ? g_strndup(*more, (gsize)(equals - *more)) : g_strdup(*more);
        env = g_environ_setenv(env, name, equals ? equals + 1 : "", TRUE);
    }
    return env;
}

static GByteArray *program_fields(const DuetSpec *spec, const DuetExec *exec, char **env)
{
    static const char *const no_argv[] = { NULL };
    g_autofree char *port = g_strdup_printf("%u", exec->port);
    const char *const port_argv[] = { port, NULL };
    return duet_spawn_fields(exec->port > 0    ? port_argv
            : exec->meminfo || exec->processes ? no_argv
                                               : (const char *const *)exec->argv,
        (const char *const *)env, exec->cwd ? exec->cwd : spec->cwd,
        exec->user ? exec->user : spec->user,
        (exec->open_stdin ? DUET_SPAWN_STDIN : 0u) | (exec->meminfo ? DUET_SPAWN_MEMINFO : 0u) |
            (exec->processes ? DUET_SPAWN_PROCESSES : 0u) |
            (exec->port > 0 ? DUET_SPAWN_CONNECT : 0u) | (exec->tty ? DUET_SPAWN_TTY : 0u));
}

static GByteArray *copy_fields(const DuetSpec *spec, const DuetExecCopy *copy)
{
    static const char *const no_env[] = { NULL };
    const char *const words[] = { copy->path, copy->unpack ? (copy->name ? copy->name : "") : NULL,
        NULL };
    GByteArray *fields = duet_spawn_fields(words, no_env, spec->cwd, spec->user,
        copy->unpack ? DUET_SPAWN_UNPACK | DUET_SPAWN_STDIN : DUET_SPAWN_PACK);
    guint8 word[4];
    duet_put_u32(word, copy->options);
    duet_fields_add(fields, DUET_FIELD_COPY, word, sizeof word);
    return fields;
}

int duet_instance_exec(
    DuetInstance *instance, const DuetExec *exec, const DuetIo *io, GError **error)
{
    const DuetSpec *spec = instance->spec;
    g_auto(GStrv) env = merged_env(spec, exec->env);
    g_autoptr(GByteArray) fields =
        exec->copy ? copy_fields(spec, exec->copy) : program_fields(spec, exec, env);
    if (exec->tty)
        duet_fields_add_window(fields, duet_terminal_window(io->stdin_fd, io->stdout_fd));
    /* As podman has it: they are the instance's user's, not another's. */
    if (!exec->user && !exec->copy)
        duet_fields_add_groups(fields, spec->groups);
    if (fields->len > DUET_FRAME_MAX_SPAWN_BYTES) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "the command and its variables have %u bytes; at most %u can be passed", fields->len,
            DUET_FRAME_MAX_SPAWN_BYTES);
        return -1;
    }
    DUET_AUTO_FD fd = duet_control_connect_or_fail(instance, error);
    if (fd < 0)
        return -1;
    sigset_t old;
    DuetSessionEnd end;
    duet_session_block_signals(&old);
    gboolean ok = duet_frame_write(fd, DUET_FRAME_SPAWN, 0, fields->data, fields->len) &&
        duet_session_pump(fd, io,
            exec->detach ? DUET_SESSION_UNTIL_EXECUTED : DUET_SESSION_UNTIL_EXIT, TRUE, &end,
            error);
    /* Else it would be hung up when our connection closes. */
    if (ok && exec->detach)
        duet_frame_write_u32(fd, DUET_FRAME_ATTACH, 0, 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (ok)
        g_free(end.state);
    if (!ok && error && !*error)
        duet_error_set_errno(error, errno, "cannot talk to the monitor of '%s'", spec->name);
    else if (!ok && error && g_error_matches(*error, DUET_ERROR, DUET_ERROR_STATE))
        g_prefix_error(error, "the instance '%s': ", spec->name);
    return !ok ? -1 : end.detached || exec->detach ? 0 : end.exit_code;
}
