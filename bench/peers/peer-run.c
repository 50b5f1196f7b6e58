/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-run.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/instance/child.h"
#include "core/stats.h"
#include "core/util.h"
#include "words.h"

/* Giving an engine an image takes what it takes; what asks or removes is quick. */
#define PREPARE_TIMEOUT_MS 600000
#define VERB_TIMEOUT_MS 60000
/* What is about to end when the command did. */
#define PATIENCE_MS 3000
#define CGROUP_LOOK_US 10000
#define LEFT_LOOK_US 100000
#define CMDLINE_MAX_BYTES (128u * 1024)
#define STAT_MAX_BYTES 4096
#define TICK_LOOK_US 1000

void duet_peer_arm_free(DuetPeerArm *arm)
{
    if (!arm)
        return;
    duet_peer_free(arm->peer);
    g_clear_pointer(&arm->values, g_hash_table_unref);
    g_free(arm->version);
    g_free(arm);
}

static DuetPeerValues values_of(const DuetPeerArm *arm)
{
    return (DuetPeerValues){ arm->values, arm->argv };
}

DuetSampleStatus duet_lap_status(const DuetLap *lap)
{
    return lap->timed_out                          ? DUET_SAMPLE_TIMEOUT
        : lap->exit_code == 0 && !lap->interrupted ? DUET_SAMPLE_OK
                                                   : DUET_SAMPLE_FAILED;
}

char *duet_lap_complaint(const DuetLap *lap)
{
    if (duet_lap_status(lap) == DUET_SAMPLE_OK)
        return NULL;
    g_autofree char *how = lap->timed_out ? g_strdup("it timed out")
        : lap->interrupted                ? g_strdup("the user interrupted it")
        : lap->exit_signal ? g_strdup_printf("it died of signal %d", lap->exit_signal)
                           : g_strdup_printf("it exited with %d", lap->exit_code);
    return lap->words ? g_strdup_printf("%s: %s", how, lap->words) : g_steal_pointer(&how);
}

/* ---- commands ---- */

/* @inout_ns: (nullable): what it took is added */
static gboolean do_command(DuetPeerArm *arm, const char *what, char *const *command, gboolean deaf,
    gint64 timeout_ms, char **out_text, gint64 *inout_ns, GError **error)
{
    DuetPeerValues values = values_of(arm);
    g_auto(GStrv) words = duet_peer_words(command, &values);
    g_auto(DuetLap) lap = { 0 };
    GError *local = NULL;

    g_clear_pointer(out_text, g_free);
    if (!duet_lap_take(words, deaf, arm->session, timeout_ms, &lap, out_text, &local)) {
        g_propagate_prefixed_error(error, local, "%s: ", what);
        return FALSE;
    }
    if (inout_ns)
        *inout_ns += lap.exit_ns;
    g_autofree char *complaint = duet_lap_complaint(&lap);
    if (complaint)
        g_set_error(error, DUET_ERROR,
            lap.timed_out              ? DUET_ERROR_TIMEOUT
                : lap.exit_code == 127 ? DUET_ERROR_COMMAND_NOT_FOUND
                                       : DUET_ERROR_FAILED,
            "%s '%s': %s", what, words[0], complaint);
    return complaint == NULL;
}

gboolean duet_peer_arm_timed(
    DuetPeerArm *arm, DuetPeerVerb verb, char **out_text, gint64 *out_ns, GError **error)
{
    const GPtrArray *commands = arm->peer->commands[verb];
    gint64 timeout_ms = verb == DUET_PEER_PREPARE ? PREPARE_TIMEOUT_MS : VERB_TIMEOUT_MS;
    gboolean deaf = verb == DUET_PEER_LEFT || verb == DUET_PEER_REMOVE || verb == DUET_PEER_CLEANUP;
    g_autofree char *text = NULL;

    *out_ns = 0;
    for (guint i = 0; i < commands->len; i++) {
        if (!do_command(arm, duet_peer_verb_to_string(verb), g_ptr_array_index(commands, i), deaf,
                timeout_ms, &text, out_ns, error))
            return FALSE;
    }
    if (out_text)
        *out_text = g_steal_pointer(&text);
    return TRUE;
}

gboolean duet_peer_arm_do(DuetPeerArm *arm, DuetPeerVerb verb, char **out_text, GError **error)
{
    gint64 ns;

    return duet_peer_arm_timed(arm, verb, out_text, &ns, error);
}

gboolean duet_peer_arm_run(DuetPeerArm *arm, gint64 timeout_ms, DuetLap *out_lap, GError **error)
{
    DuetPeerValues values = values_of(arm);
    g_auto(GStrv) words =
        duet_peer_words(g_ptr_array_index(arm->peer->commands[DUET_PEER_RUN], 0), &values);

    return duet_lap_take(words, FALSE, arm->session, timeout_ms, out_lap, NULL, error);
}

static gboolean is_there(const char *need)
{
    if (g_str_equal(need, "root"))
        return geteuid() == 0;
    if (need[0] == '/')
        return access(need, F_OK) == 0;
    g_autofree char *program = g_find_program_in_path(need);
    return program != NULL;
}

gboolean duet_peer_arm_needs(DuetPeerArm *arm, GError **error)
{
    g_autofree char *text = NULL;

    for (char **need = arm->peer->needs; need && *need; need++) {
        if (is_there(*need))
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            g_str_equal(*need, "root") ? "it needs %s"
                : **need == '/'        ? "there is no '%s'"
                                       : "there is no program '%s'",
            *need);
        return FALSE;
    }
    if (!arm->peer->version)
        return TRUE;
    if (!do_command(arm, "version", arm->peer->version, FALSE, VERB_TIMEOUT_MS, &text, NULL, error))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(g_strstrip(text), "\n", 2);
    arm->version = g_strdup(lines[0] ? lines[0] : "");
    return TRUE;
}

gboolean duet_peer_arm_name(DuetPeerArm *arm, const char *name, GError **error)
{
    DuetPeerValues values = values_of(arm);
    const char *dir = g_hash_table_lookup(arm->values, "dir");
    GHashTableIter iter;
    gpointer file, text;

    g_hash_table_insert(arm->values, g_strdup("name"), g_strdup(name));
    g_hash_table_iter_init(&iter, arm->peer->files);
    while (g_hash_table_iter_next(&iter, &file, &text)) {
        g_autofree char *path = g_build_filename(dir, file, NULL);
        g_autofree char *whole = duet_peer_words_text(text, &values);
        if (!duet_file_replace(AT_FDCWD, path, whole, strlen(whole), error))
            return FALSE;
    }
    return TRUE;
}

/* ---- what is left ---- */

/* Returns: (transfer full) (nullable): with a placeholder that has no value yet it is none: what
 * remains of it might be in anybody's command line. */
static char *expand(const DuetPeerArm *arm, const char *text)
{
    char *word[] = { (char *)text, NULL };
    DuetPeerValues values = values_of(arm);
    g_auto(GStrv) words = duet_peer_words(word, &values);

    return g_strdup(words[0]);
}

/* The tick of the host's time since its boot in which a process that is forked now has begun. */
static guint64 tick_now(void)
{
    struct timespec now;
    gint64 hz = sysconf(_SC_CLK_TCK);

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (guint64)(now.tv_sec * hz + now.tv_nsec / (1000000000 / hz));
}

void duet_peer_arm_begin(DuetPeerArm *arm)
{
    arm->began = tick_now();
    /* The first that it starts must not have this tick as well. */
    while (tick_now() == arm->began)
        g_usleep(TICK_LOOK_US);
}

/* Whatever matches: what ran before the peer did is not the peer's. So are process 1, and all that
 * we descend from. */
static gboolean may_be_its(const DuetPeerArm *arm, gint pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, STAT_MAX_BYTES, NULL, NULL);
    DuetProcessTimes times;

    return pid > 1 && pid != getpid() && text && duet_stat_parse(text, &times) &&
        times.began > arm->began;
}

static void drop_others(const DuetPeerArm *arm, GArray *pids)
{
    for (guint i = pids->len; i > 0; i--) {
        if (!may_be_its(arm, g_array_index(pids, gint, i - 1)))
            g_array_remove_index(pids, i - 1);
    }
}

static void add_pid(GArray *pids, const char *text)
{
    guint64 number = 0;

    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT32, &number, NULL))
        return;
    gint pid = (gint)number;
    for (guint i = 0; i < pids->len; i++) {
        if (g_array_index(pids, gint, i) == pid)
            return;
    }
    g_array_append_val(pids, pid);
}

static void add_lines(GArray *pids, const char *path)
{
    g_autofree char *text = duet_file_read(AT_FDCWD, path, CMDLINE_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

    for (char **line = lines; *line; line++)
        add_pid(pids, g_strstrip(*line));
}

/* Arguments are told apart by blanks here. */
static gboolean is_of(const char *pid, const char *wanted)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", pid);
    gsize length = 0;
    g_autofree char *line = duet_file_read(AT_FDCWD, path, CMDLINE_MAX_BYTES, &length, NULL);

    for (gsize i = 0; line && i < length; i++)
        line[i] = line[i] ? line[i] : ' ';
    return line && strstr(line, wanted);
}

static void add_matching(GArray *pids, const char *wanted)
{
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    const char *pid;

    while (proc && (pid = g_dir_read_name(proc))) {
        if (g_ascii_isdigit(*pid) && is_of(pid, wanted))
            add_pid(pids, pid);
    }
}

/* A number in a file may long be another process's: where the peer's command lines are known, only
 * what has them counts. */
static void add_pid_file(GArray *pids, const char *path, const char *wanted)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gint));

    add_lines(all, path);
    for (guint i = 0; i < all->len; i++) {
        g_autofree char *pid = g_strdup_printf("%d", g_array_index(all, gint, i));
        if (!wanted || is_of(pid, wanted))
            add_pid(pids, pid);
    }
}

/* Of each, the first that is there is named. */
static char *add_cgroups(GArray *pids, const char *pattern)
{
    glob_t found = { 0 };
    char *first = NULL;

    if (glob(pattern, GLOB_ONLYDIR | GLOB_BRACE, NULL, &found) == 0) {
        for (gsize i = 0; i < found.gl_pathc; i++) {
            g_autofree char *procs = g_build_filename(found.gl_pathv[i], "cgroup.procs", NULL);
            add_lines(pids, procs);
        }
        first = g_strdup(found.gl_pathv[0]);
    }
    globfree(&found);
    return first;
}

GArray *duet_peer_cgroup_processes(const char *pattern)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(gint));

    g_free(add_cgroups(pids, pattern));
    return pids;
}

/* What a key without {name} finds may be of other instances, too. */
static gboolean is_own(const char *text)
{
    return text && duet_peer_words_use(text, "name");
}

gboolean duet_peer_has_members(const DuetPeer *peer)
{
    return is_own(peer->process) || is_own(peer->pid_file) || is_own(peer->cgroup);
}

static char *expand_key(const DuetPeerArm *arm, const char *text, gboolean own)
{
    return own && !is_own(text) ? NULL : expand(arm, text);
}

/* @own: of {name} alone. Returns: (transfer full) (nullable): a cgroup of its. */
static char *find_all(const DuetPeerArm *arm, gboolean own, GArray *pids)
{
    g_autofree char *process = expand_key(arm, arm->peer->process, own);
    g_autofree char *pid_file = expand_key(arm, arm->peer->pid_file, own);
    g_autofree char *cgroup = expand_key(arm, arm->peer->cgroup, own);
    char *first = NULL;

    if (process)
        add_matching(pids, process);
    if (pid_file) {
        g_autofree char *wanted = expand(arm, arm->peer->process);
        add_pid_file(pids, pid_file, wanted);
    }
    if (cgroup)
        first = add_cgroups(pids, cgroup);
    drop_others(arm, pids);
    return first;
}

GArray *duet_peer_arm_members(DuetPeerArm *arm)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(gint));

    g_free(find_all(arm, TRUE, pids));
    return pids;
}

gint duet_peer_wait_gone(const GArray *pids)
{
    gint64 until_ns = duet_now_ns() + PATIENCE_MS * G_GINT64_CONSTANT(1000000);

    for (guint i = 0; i < pids->len; i++) {
        if (!duet_process_wait_gone(g_array_index(pids, gint, i), until_ns))
            return g_array_index(pids, gint, i);
    }
    return 0;
}

char *duet_peer_arm_left(DuetPeerArm *arm)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(gint));
    gint64 until_ns = duet_now_ns() + PATIENCE_MS * G_GINT64_CONSTANT(1000000);
    g_autofree char *cgroup = NULL, *text = NULL;
    g_autoptr(GError) error = NULL;

    g_free(find_all(arm, arm->many, pids));
    gint pid = duet_peer_wait_gone(pids);
    if (pid)
        return g_strdup_printf("its process %d still runs", pid);
    /* A directory has no event for its end; nothing is timed here. */
    while ((cgroup = find_all(arm, arm->many, pids)) && duet_now_ns() < until_ns) {
        g_clear_pointer(&cgroup, g_free);
        g_usleep(CGROUP_LOOK_US);
    }
    if (cgroup)
        return g_strdup_printf("the cgroup '%s'", cgroup);
    /* A daemon notices some time after the end, and forgets then. */
    while (duet_peer_arm_do(arm, DUET_PEER_LEFT, &text, &error) && text && *g_strstrip(text)) {
        if (duet_now_ns() >= until_ns)
            return g_strdup_printf("'%s' is still listed", text);
        g_usleep(LEFT_LOOK_US);
    }
    return error ? g_strdup(error->message) : NULL;
}

void duet_peer_arm_remove(DuetPeerArm *arm)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(gint));

    duet_peer_arm_do(arm, DUET_PEER_REMOVE, NULL, NULL);
    g_free(find_all(arm, arm->many, pids));
    for (guint i = 0; i < pids->len; i++)
        kill(g_array_index(pids, gint, i), SIGKILL);
}
