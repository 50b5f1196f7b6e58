/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/benchmark.h"
#include "core/util.h"
#include "json.h"
#include "result.h"
#include "resume.h"

#define JOURNAL_VERSION 1

/* @fd: of what is at @path, and locked. @begun: what is in it is of this run. */
struct _DuetJournal {
    char *output_path;
    char *path;
    int fd;
    gboolean begun;
    gboolean *facts_told; /* per arm */
    guint taken;
};

/* ---- reading ---- */

gboolean duet_journal_is(const char *text, gsize length)
{
    const char *end = memchr(text, '\n', length);

    /* cheap tests first: a large result may be one line */
    if (!end || end == text || end[-1] != '}' ||
        !memmem(text, end - text, "\"journal\"", strlen("\"journal\"")))
        return FALSE;
    g_autoptr(JsonNode) node = duet_json_parse(text, end - text, NULL);
    return node && JSON_NODE_HOLDS_OBJECT(node) &&
        json_object_has_member(json_node_get_object(node), "journal");
}

/* {"arm": NAME, "driver": {...}}: the reader of the run checks what it is. */
static void set_driver(JsonObject *root, JsonObject *line)
{
    JsonNode *node = json_object_get_member(root, "arms");
    JsonArray *arms = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    JsonNode *name = json_object_get_member(line, "arm");

    for (guint i = 0; arms && name && i < json_array_get_length(arms); i++) {
        JsonNode *arm = json_array_get_element(arms, i);
        JsonNode *other = JSON_NODE_HOLDS_OBJECT(arm)
            ? json_object_get_member(json_node_get_object(arm), "name")
            : NULL;
        if (other && json_node_equal(name, other))
            json_object_set_member(json_node_get_object(arm), "driver",
                json_node_copy(json_object_get_member(line, "driver")));
    }
}

/* {"root": {...}}: in place of what was told before. */
static gboolean set_root(JsonObject *root, JsonObject *line)
{
    JsonNode *node = json_object_get_member(line, "root");
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return FALSE;
    json_object_iter_init(&iter, json_node_get_object(node));
    while (json_object_iter_next(&iter, &name, &value))
        json_object_set_member(root, name, json_node_copy(value));
    return TRUE;
}

JsonNode *duet_journal_parse(const char *text, gsize length, GError **error)
{
    g_autoptr(JsonNode) head = NULL;
    g_autoptr(JsonArray) samples = json_array_new();
    const char *end;
    guint n = 0;

    for (const char *line = text; (end = memchr(line, '\n', text + length - line));
         line = end + 1) {
        g_autoptr(JsonNode) node = duet_json_parse(line, end - line, error);
        n++;
        if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
            if (node)
                g_set_error_literal(error, DUET_ERROR, DUET_ERROR_BROKEN, "it is no object");
            g_prefix_error(error, "line %u of the journal: ", n);
            return NULL;
        }
        if (!head)
            head = g_steal_pointer(&node);
        else if (json_object_has_member(json_node_get_object(node), "driver"))
            set_driver(json_node_get_object(head), json_node_get_object(node));
        else if (!set_root(json_node_get_object(head), json_node_get_object(node)))
            json_array_add_element(samples, g_steal_pointer(&node));
    }
    if (!head) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_BROKEN, "the journal has no line");
        return NULL;
    }
    JsonObject *root = json_node_get_object(head);
    json_object_set_array_member(root, "samples", g_steal_pointer(&samples));
    json_object_set_boolean_member(root, "interrupted", TRUE);
    return g_steal_pointer(&head);
}

/* ---- writing ---- */

static void append_line(GString *out, JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_alloc();

    json_node_init_object(node, object);
    g_autofree char *text = duet_json_print(node, FALSE);
    g_string_append(out, text);
}

static void append_facts(DuetJournal *journal, GString *out, const DuetRun *run, guint i)
{
    const DuetRunArm *arm = duet_run_arm(run, i);

    if (journal->facts_told[i] || !arm->driver)
        return;
    g_autoptr(JsonObject) object = json_object_new();
    duet_json_set_string(object, "arm", arm->name);
    json_object_set_object_member(object, "driver", json_object_ref(arm->driver));
    append_line(out, object);
    journal->facts_told[i] = TRUE;
}

static void append_sample(
    DuetJournal *journal, GString *out, const DuetRun *run, const DuetSample *sample)
{
    g_autoptr(JsonObject) object = duet_result_sample(run, sample);

    append_facts(journal, out, run, sample->arm);
    append_line(out, object);
    journal->taken += !sample->discarded;
}

/* The lock is a process's own: none that it forked holds it after a kill. */
static gboolean lock(int fd, const char *path, GError **error)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (fcntl(fd, F_SETLK, &lock) == 0)
        return TRUE;
    if (errno != EACCES && errno != EAGAIN)
        return duet_error_set_errno(error, errno, "cannot lock '%s'", path);
    fcntl(fd, F_GETLK, &lock);
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "process %d is still writing '%s'; wait for it, or give another -o", (int)lock.l_pid, path);
    return FALSE;
}

/* Another may have removed or replaced what was opened. */
static gboolean is_at(int fd, const char *path)
{
    struct stat open_one, named;

    return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 &&
        open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

/* From now on no other run can have the same result file. What it makes is empty. */
static gboolean take_hold(DuetJournal *journal, GError **error)
{
    do {
        duet_fd_clear(&journal->fd);
        journal->fd =
            open(journal->path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
        if (journal->fd < 0)
            return duet_error_set_errno(error, errno, "cannot open '%s'", journal->path);
        if (!lock(journal->fd, journal->path, error)) {
            duet_fd_clear(&journal->fd);
            return FALSE;
        }
    } while (!is_at(journal->fd, journal->path));
    return TRUE;
}

static gboolean sync_folder(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    DUET_AUTO_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 && fsync(fd) == 0;
}

/* Has a new file with @text in it, on the disk and locked, take the journal's place. */
static gboolean replace(DuetJournal *journal, const GString *text, GError **error)
{
    g_autofree char *path = g_strconcat(journal->path, ".new", NULL);
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot make '%s'", path);
    if (duet_write_all(fd, text->str, text->len) && fsync(fd) == 0 && lock(fd, path, error) &&
        rename(path, journal->path) == 0) {
        duet_fd_clear(&journal->fd);
        journal->fd = duet_fd_steal(&fd);
        return sync_folder(journal->path) ||
            duet_error_set_errno(error, errno, "cannot write '%s'", journal->path);
    }
    if (!error || !*error)
        duet_error_set_errno(error, errno, "cannot write '%s'", path);
    unlink(path);
    return FALSE;
}

/* All that is known until now. A journal that is not empty is never without its first line. */
static gboolean begin(DuetJournal *journal, const DuetRun *run, GError **error)
{
    g_autoptr(JsonNode) node = duet_result_node_of_run(run);
    g_autoptr(GString) text = g_string_new(NULL);
    JsonObject *head = json_node_get_object(node);

    json_object_remove_member(head, "samples");
    json_object_set_int_member(head, "journal", JOURNAL_VERSION);
    append_line(text, head);
    for (guint i = 0; i < run->samples->len; i++)
        append_sample(journal, text, run, duet_run_sample(run, i));
    journal->begun = replace(journal, text, error);
    return journal->begun;
}

static gboolean write_durably(DuetJournal *journal, const GString *text, GError **error)
{
    if (duet_write_all(journal->fd, text->str, text->len) && fsync(journal->fd) == 0)
        return TRUE;
    return duet_error_set_errno(error, errno,
        "cannot write '%s', which holds what was measured; once that works, go on with --resume",
        journal->path);
}

gboolean duet_journal_add(const DuetRun *run, gpointer data, GError **error)
{
    DuetJournal *journal = data;
    g_autoptr(GString) text = g_string_new(NULL);

    if (!journal)
        return TRUE;
    if (!journal->begun)
        return begin(journal, run, error);
    append_sample(journal, text, run, duet_run_sample(run, run->samples->len - 1));
    return write_durably(journal, text, error);
}

gboolean duet_journal_add_root(const DuetRun *run, gpointer data, GError **error)
{
    DuetJournal *journal = data;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(JsonObject) line = json_object_new();
    JsonObject *root = json_object_new();

    json_object_set_object_member(line, "root", root);
    if (!journal || !run->benchmark->write_root)
        return TRUE;
    if (!journal->begun)
        return begin(journal, run, error);
    run->benchmark->write_root(run, root);
    append_line(text, line);
    return write_durably(journal, text, error);
}

/* Of whoever removed it, and of whoever came after, the file is not ours. */
static void remove_own(const DuetJournal *journal)
{
    if (is_at(journal->fd, journal->path))
        unlink(journal->path);
}

void duet_journal_finish(DuetJournal *journal)
{
    if (!journal)
        return;
    DUET_AUTO_FD fd = open(journal->output_path, O_RDONLY | O_CLOEXEC);
    /* The one must be on the disk before the other goes. */
    if (fd >= 0 && fsync(fd) == 0)
        remove_own(journal);
}

static gboolean is_empty(const DuetJournal *journal)
{
    return journal->begun ? journal->taken == 0 : !duet_journal_holds(journal->path);
}

const char *duet_journal_kept(const DuetJournal *journal)
{
    return journal && !is_empty(journal) && is_at(journal->fd, journal->path) ? journal->path
                                                                              : NULL;
}

void duet_journal_free(DuetJournal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0 && is_empty(journal))
        remove_own(journal);
    duet_fd_clear(&journal->fd);
    g_free(journal->facts_told);
    g_free(journal->output_path);
    g_free(journal->path);
    g_free(journal);
}

gboolean duet_journal_holds(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > 0;
}

char *duet_journal_path(const char *output_path)
{
    return g_strconcat(output_path, ".part", NULL);
}

gboolean duet_journal_open(
    const DuetBenchRequest *request, DuetRun **run, DuetJournal **out_journal, GError **error)
{
    const char *output = request->output_path;
    g_autoptr(DuetJournal) journal = g_new0(DuetJournal, 1);

    journal->fd = -1;
    if (!output && !request->resume) {
        *out_journal = NULL;
        return TRUE;
    }
    if (!output) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--resume needs the -o FILE of the run that was cut short");
        return FALSE;
    }
    journal->output_path = g_strdup(output);
    journal->path = duet_journal_path(output);
    if (!take_hold(journal, error))
        return FALSE;
    if (!request->resume && duet_journal_holds(journal->path)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
            "'%s' holds a run that was cut short: add --resume to go on with it, or remove it",
            journal->path);
        return FALSE;
    }
    /* Who has read and closed a file has lost his lock on it. */
    if (request->resume &&
        (!duet_resume(request, output, journal->path, run, error) || !take_hold(journal, error)))
        return FALSE;
    journal->facts_told = g_new0(gboolean, (*run)->arms->len);
    *out_journal = g_steal_pointer(&journal);
    return TRUE;
}
