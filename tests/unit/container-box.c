/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "container-box.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cgroup/cgroup.h"
#include "core/util.h"

#define WAIT_MS 60000

static void copy_busybox(const char *layer)
{
    g_autofree char *program = g_find_program_in_path("busybox");
    g_autofree char *bytes = NULL;
    gsize length = 0;
    g_assert_nonnull(program);
    g_assert_true(g_file_get_contents(program, &bytes, &length, NULL));
    g_autofree char *bin = g_build_filename(layer, "bin", NULL);
    g_assert_cmpint(g_mkdir(bin, 0755), ==, 0);
    g_autofree char *path = g_build_filename(bin, "busybox", NULL);
    g_assert_true(g_file_set_contents_full(
        path, bytes, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
    g_autofree char *sh = g_build_filename(bin, "sh", NULL);
    g_assert_cmpint(symlink("busybox", sh), ==, 0);
}

char *box_layer(Box *box)
{
    guint count = g_strv_length(box->spec->layers);
    g_autofree char *name = g_strdup_printf("layers/%064u", count);
    char *dir = g_build_filename(box->root, name, NULL);
    g_assert_true(duet_mkdir_p(dir, 0755, NULL));
    box->spec->layers = g_renew(char *, box->spec->layers, count + 2);
    box->spec->layers[count] = g_strdup(dir);
    box->spec->layers[count + 1] = NULL;
    return dir;
}

void box_write(const char *dir, const char *path, const char *text, int mode)
{
    g_autofree char *full = g_build_filename(dir, path, NULL);
    g_autofree char *parent = g_path_get_dirname(full);
    g_assert_true(duet_mkdir_p(parent, 0755, NULL));
    g_assert_true(g_file_set_contents(full, text, -1, NULL));
    g_assert_cmpint(chmod(full, (mode_t)mode), ==, 0);
}

Box *box_new(const DuetDriverOps *driver)
{
    Box *box = g_new0(Box, 1);
    box->driver = driver;
    box->started = (DuetStarted){ .agent_fd = -1, .pidfd = -1 };
    box->root = g_strdup("/var/tmp/duet-test-XXXXXX");
    g_assert_nonnull(g_mkdtemp_full(box->root, 0711));
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    DuetSpec *spec = box->spec = duet_spec_new();
    g_free(spec->name);
    g_free(spec->hostname);
    spec->name = g_strdup("box");
    spec->hostname = g_strdup("box-host");
    spec->kind = driver->kind;
    g_autofree char *layer = box_layer(box);
    copy_busybox(layer);
    box->instance_dir = g_build_filename(box->root, "instances", spec->id, NULL);
    box->run_dir = g_build_filename(box->root, "run", spec->id, NULL);
    g_assert_true(duet_mkdir_p(box->instance_dir, 0711, NULL));
    g_assert_true(duet_mkdir_p(box->run_dir, 0711, NULL));
    return box;
}

static void assert_clean(const Box *box)
{
    g_autofree char *mounts = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL));
    g_assert_null(strstr(mounts, box->root));
    g_autoptr(GDir) dir = g_dir_open(box->run_dir, 0, NULL);
    g_assert_null(g_dir_read_name(dir));
}

static void end_cgroup(Box *box)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_cgroup_kill(box->cgroup, DUET_CGROUP_PAYLOAD, 5000, &error));
    g_assert_true(duet_cgroup_remove(box->cgroup, &error));
    g_assert_no_error(error);
    g_clear_pointer(&box->cgroup, duet_cgroup_free);
}

gboolean box_start(Box *box, GError **error)
{
    DuetLimits limits = { box->spec->memory_bytes, box->spec->cpus, box->spec->pids_limit };
    box->cgroup = duet_cgroup_new(box->spec->id, &limits, error);
    if (box->cgroup == NULL)
        return FALSE;
    box->place = (DuetPlace){ .instance_dir = box->instance_dir,
        .run_dir = box->run_dir,
        .cgroup = box->cgroup,
        .id_base = BOX_ID_BASE };
    box->sessions = 0;
    box->runtime = box->driver->create(box->spec, &box->place, error);
    if (box->runtime != NULL &&
        box->runtime->ops->start(box->runtime, &box->marks, &box->started, error))
        return TRUE;
    if (box->runtime != NULL)
        box->runtime->ops->free(box->runtime);
    box->runtime = NULL;
    end_cgroup(box);
    assert_clean(box);
    return FALSE;
}

void box_started(Box *box)
{
    GError *error = NULL;
    box_start(box, &error);
    g_assert_no_error(error);
    g_assert_cmpint(box->marks.ns[DUET_MARK_SPAWNED], >, 0);
}

/* ---- the agent's channel ---- */

static void send_frame(
    const Box *box, guint8 type, guint8 channel, guint16 session, const void *bytes, gsize length)
{
    guint8 header[DUET_FRAME_HEADER_BYTES];
    duet_frame_header(header, type, channel, session, (guint32)length);
    g_assert_true(duet_write_all(box->started.agent_fd, header, sizeof header));
    g_assert_true(duet_write_all(box->started.agent_fd, bytes, length));
}

static void add_field(GByteArray *fields, guint8 tag, const void *bytes, gsize length)
{
    guint8 header[5] = { tag };
    duet_put_u32(header + 1, (guint32)length);
    g_byte_array_append(fields, header, sizeof header);
    g_byte_array_append(fields, bytes, (guint)length);
}

static void spawn(const Box *box, guint16 session, const char *script)
{
    static const char *const env = "PATH=/bin:/usr/bin";
    g_autoptr(GByteArray) fields = g_byte_array_new();
    guint8 flags[4];
    duet_put_u32(flags, script == NULL ? DUET_SPAWN_IDLE : 0);
    if (script != NULL) {
        add_field(fields, DUET_FIELD_ARG, "/bin/sh", strlen("/bin/sh"));
        add_field(fields, DUET_FIELD_ARG, "-c", 2);
        add_field(fields, DUET_FIELD_ARG, script, strlen(script));
    }
    add_field(fields, DUET_FIELD_ENV, env, strlen(env));
    add_field(fields, DUET_FIELD_CWD, "/", 1);
    add_field(fields, DUET_FIELD_FLAGS, flags, sizeof flags);
    send_frame(box, DUET_FRAME_SPAWN, 0, session, fields->data, fields->len);
}

/* Returns TRUE when the session is over. */
static gboolean take_frame(
    const Box *box, const struct duet_frame *frame, guint16 session, GString *output, int *code)
{
    guint8 credit[4];
    switch (frame->type) {
    case DUET_FRAME_DATA:
        duet_put_u32(credit, frame->length);
        send_frame(box, DUET_FRAME_CREDIT, frame->channel, frame->session, credit, sizeof credit);
        if (frame->session == session)
            g_string_append_len(output, (const char *)frame->payload, frame->length);
        return FALSE;
    case DUET_FRAME_EXIT:
        *code = (int)duet_get_u32(frame->payload);
        return frame->session == session;
    case DUET_FRAME_FAILED:
        *code = (int)duet_get_u32(frame->payload);
        g_string_append_len(output, (const char *)frame->payload + 4, frame->length - 4);
        return frame->session == session;
    case DUET_FRAME_STARTED:
        return session == 0 && box->idle;
    default:
        return FALSE;
    }
}

static void pump(Box *box, guint16 session, GString *output, int *code)
{
    struct duet_frame_reader reader = { 0 };
    gboolean over = FALSE;
    while (!over) {
        struct pollfd wait = { .fd = box->started.agent_fd, .events = POLLIN };
        g_assert_cmpint(poll(&wait, 1, WAIT_MS), ==, 1);
        gsize room = 0;
        guint8 *space = duet_frame_reader_space(&reader, &room);
        gssize bytes = read(box->started.agent_fd, space, room);
        if (bytes <= 0) {
            *code = -1;
            break;
        }
        duet_frame_reader_fed(&reader, (gsize)bytes);
        struct duet_frame frame;
        int more;
        while ((more = duet_frame_reader_next(&reader, &frame)) > 0)
            over = take_frame(box, &frame, session, output, code) || over;
        g_assert_cmpint(more, ==, 0);
    }
    duet_frame_reader_clear(&reader);
}

char *box_sh(Box *box, const char *script, int *out_code)
{
    int code = -1;
    GString *output = g_string_new(NULL);
    if (box->sessions == 0) {
        spawn(box, 0, NULL);
        box->idle = TRUE;
        pump(box, 0, output, &code);
    }
    guint16 session = (guint16)++box->sessions;
    spawn(box, session, script);
    pump(box, session, output, &code);
    if (out_code != NULL)
        *out_code = code;
    else
        g_assert_cmpint(code, ==, 0);
    return g_string_free(output, FALSE);
}

void box_expect(Box *box, const char *script, const char *output)
{
    int code = -1;
    g_autofree char *text = box_sh(box, script, &code);
    g_test_message("%s: exit code %d, '%s'", script, code, text);
    g_assert_cmpstr(text, ==, output);
    g_assert_cmpint(code, ==, 0);
}

void box_stop(Box *box)
{
    g_autoptr(GError) error = NULL;
    struct pollfd wait = { .fd = box->started.pidfd, .events = POLLIN };
    g_assert_true(box->runtime->ops->kill(box->runtime, &error));
    g_assert_no_error(error);
    g_assert_cmpint(poll(&wait, 1, WAIT_MS), ==, 1);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    g_assert_true(box->runtime->ops->release(box->runtime, &error));
    g_assert_no_error(error);
    box->runtime->ops->free(box->runtime);
    box->runtime = NULL;
    duet_fd_clear(&box->started.agent_fd);
    duet_fd_clear(&box->started.pidfd);
    g_clear_pointer(&box->started.facts, g_variant_unref);
    g_clear_pointer(&box->started.notice, g_free);
    end_cgroup(box);
    assert_clean(box);
}

void box_free(Box *box)
{
    if (box->runtime != NULL)
        box_stop(box);
    g_assert_true(duet_remove_tree(AT_FDCWD, box->root, NULL));
    duet_spec_free(box->spec);
    g_free(box->root);
    g_free(box->instance_dir);
    g_free(box->run_dir);
    g_free(box);
}
