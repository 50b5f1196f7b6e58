/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One end of a copy: the host's files, a tar archive, or an instance's agent. */
#include "copy-place.h"
#include "core/util.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX_BYTES 2048
/* Of a kind that may come without end. */
#define WARNINGS_MAX 8

typedef struct {
    const DuetCopyHalf *half;
    guint warnings;
} Teller;

/* A message is one write with its NUL at the end. */
static void tell(const DuetCopyHalf *half, char kind, const char *text)
{
    gsize length = MIN(strlen(text), TEXT_MAX_BYTES);
    g_autofree char *message = g_strdup_printf("%c%.*s", kind, (int)length, text);
    (void)!write(half->report_fd, message, strlen(message) + 1);
}

static void on_warning(struct duet_copy *copy, const char *what, const char *path)
{
    Teller *teller = copy->data;
    g_autofree char *text = g_strdup_printf("%s '%s'", what, path);
    teller->warnings++;
    if (teller->warnings <= WARNINGS_MAX)
        tell(teller->half, 'w', text);
    else if (teller->warnings == WARNINGS_MAX + 1)
        tell(teller->half, 'w', "more is left out");
}

static int end_of(const DuetCopyHalf *half, const struct duet_copy *copy, bool ok)
{
    if (ok)
        return 0;
    if (copy->cut)
        return 2;
    g_autofree char *text = g_strdup_printf("%s '%s'%s%s", copy->what, copy->path,
        copy->error ? ": " : "", copy->error ? g_strerror(copy->error) : "");
    tell(half, 'e', text);
    return 1;
}

static int run_local(const DuetCopyHalf *half, const DuetCopyPlace *place)
{
    Teller teller = { half, 0 };
    g_autofree struct duet_copy *copy = g_new0(struct duet_copy, 1);
    gboolean tar = g_str_equal(place->path, "-");
    bool ok;
    copy->fd = half->fd;
    copy->options = half->options;
    copy->uid = geteuid();
    copy->gid = getegid();
    copy->warn = on_warning;
    copy->data = &teller;
    umask(0);
    if (half->is_source)
        ok = tar ? half->request->tar->pack(copy, STDIN_FILENO) : duet_copy_pack(copy, place->path);
    else
        ok = tar ? half->request->tar->unpack(copy, STDOUT_FILENO, half->name)
                 : duet_copy_unpack(copy, place->path, half->name);
    return end_of(half, copy, ok);
}

static int run_instance(const DuetCopyHalf *half, const DuetCopyPlace *place)
{
    DuetExecCopy what = { !half->is_source, place->path, half->name, half->options };
    DuetExec exec = { .open_stdin = !half->is_source, .copy = &what };
    DuetIo io = { .stdin_fd = half->is_source ? -1 : half->fd,
        .stdout_fd = half->is_source ? half->fd : -1,
        .stderr_fd = half->report_fd };
    g_autoptr(GError) error = NULL;
    int code = duet_instance_exec(place->instance, &exec, &io, &error);
    if (code >= 0)
        return code;
    tell(half, 'e', error->message);
    return 1;
}

int duet_copy_half_run(const DuetCopyHalf *half)
{
    const DuetCopyPlace *place = half->is_source ? &half->request->from : &half->request->to;
    return place->instance ? run_instance(half, place) : run_local(half, place);
}
