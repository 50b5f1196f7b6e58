/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <fcntl.h>
#include <string.h>

#include <duet/error.h>

#include "core/util.h"
#include "duet-peers.h"
#include "words.h"

#define PEER_MAX_BYTES (256u * 1024)
#define BUNDLE "/org/duet/peers"
#define GROUP "peer"
#define FILES "files"

static const char *const verb_names[] = {
    [DUET_PEER_PREPARE] = "prepare",
    [DUET_PEER_RUN] = "run",
    [DUET_PEER_START] = "start",
    [DUET_PEER_READY] = "ready",
    [DUET_PEER_EXEC] = "exec",
    [DUET_PEER_STOP] = "stop",
    [DUET_PEER_LEFT] = "left",
    [DUET_PEER_REMOVE] = "remove",
    [DUET_PEER_CLEANUP] = "cleanup",
};

/* The keys beside those of the verbs. */
static const char *const other_keys[] = { "description", "kind", "needs", "version", "cgroup",
    "pid-file", "process", NULL };

const char *duet_peer_verb_to_string(DuetPeerVerb verb)
{
    g_return_val_if_fail((gsize)verb < G_N_ELEMENTS(verb_names), "run");
    return verb_names[verb];
}

/* One of one key, told with its file and key. */
static gboolean complain(const DuetPeer *peer, const char *key, GError *local, GError **error)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%s', key '%s': %s", peer->origin, key,
        local->message);
    g_error_free(local);
    return FALSE;
}

static gboolean invalid(const DuetPeer *peer, const char *key, GError **error, const char *why)
{
    return complain(peer, key, g_error_new_literal(DUET_ERROR, DUET_ERROR_INVALID, why), error);
}

static gboolean check_keys(const DuetPeer *peer, GKeyFile *file, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    g_auto(GStrv) keys = g_key_file_get_keys(file, GROUP, NULL, NULL);

    for (char **group = groups; *group; group++) {
        if (!g_str_equal(*group, GROUP) && !g_str_equal(*group, FILES))
            return invalid(peer, *group, error, "no such group; use [" GROUP "] and [" FILES "]");
    }
    for (char **key = keys; key && *key; key++) {
        gboolean good = g_strv_contains(other_keys, *key);
        for (gsize i = 0; i < G_N_ELEMENTS(verb_names); i++)
            good = good || g_str_equal(*key, verb_names[i]);
        if (!good)
            return invalid(peer, *key, error, "there is no such key; see docs/peers.md");
    }
    return TRUE;
}

/* Words as a shell splits and unquotes them; nothing is expanded, nothing run. */
static gboolean read_command(
    const DuetPeer *peer, const char *key, const char *text, char ***out_words, GError **error)
{
    g_auto(GStrv) words = NULL;
    GError *local = NULL;

    if (!g_shell_parse_argv(text, NULL, &words, &local))
        return complain(peer, key, local, error);
    for (char **word = words; *word; word++) {
        if (!duet_peer_words_check(*word, TRUE, &local))
            return complain(peer, key, local, error);
    }
    *out_words = g_steal_pointer(&words);
    return TRUE;
}

static gboolean read_verb(
    const DuetPeer *peer, GKeyFile *file, DuetPeerVerb verb, GPtrArray *commands, GError **error)
{
    const char *key = verb_names[verb];
    gsize n = 0;
    GError *local = NULL;

    if (!g_key_file_has_key(file, GROUP, key, NULL))
        return TRUE;
    g_auto(GStrv) texts = g_key_file_get_string_list(file, GROUP, key, &n, &local);
    if (local)
        return complain(peer, key, local, error);
    for (gsize i = 0; i < n; i++) {
        char **words;
        if (!read_command(peer, key, texts[i], &words, error))
            return FALSE;
        g_ptr_array_add(commands, words);
    }
    return TRUE;
}

static gboolean read_text(
    const DuetPeer *peer, GKeyFile *file, const char *key, char **out_text, GError **error)
{
    GError *local = NULL;

    if (!g_key_file_has_key(file, GROUP, key, NULL))
        return TRUE;
    *out_text = g_key_file_get_string(file, GROUP, key, &local);
    if (*out_text && duet_peer_words_check(*out_text, FALSE, &local))
        return TRUE;
    return complain(peer, key, local, error);
}

static gboolean read_files(const DuetPeer *peer, GKeyFile *file, GError **error)
{
    g_auto(GStrv) names = g_key_file_get_keys(file, FILES, NULL, NULL);

    for (char **name = names; name && *name; name++) {
        GError *local = NULL;
        if (strchr(*name, '/') || **name == '.')
            return invalid(
                peer, *name, error, "must be the name of a file, without '/' and '.' first");
        char *text = g_key_file_get_string(file, FILES, *name, &local);
        if (!text)
            return complain(peer, *name, local, error);
        g_hash_table_insert(peer->files, g_strdup(*name), text);
        if (!duet_peer_words_check(text, FALSE, &local))
            return complain(peer, *name, local, error);
    }
    return TRUE;
}

/* What it finds is killed, and another's process may match whatever is not this run's alone. */
static gboolean check_own(const DuetPeer *peer, const char *key, const char *text, GError **error)
{
    static const char *const own[] = { "name", "run", "dir", "rootfs", "bundle" };

    for (gsize i = 0; text && i < G_N_ELEMENTS(own); i++) {
        if (duet_peer_words_use(text, own[i]))
            return TRUE;
    }
    return !text ||
        invalid(peer, key, error,
            "would find others' processes as well; {name}, {run}, {dir}, {rootfs} or {bundle} "
            "must be in it, which no other run has");
}

static gboolean check_whole(const DuetPeer *peer, GError **error)
{
    if (g_strcmp0(peer->kind, "container") != 0 && g_strcmp0(peer->kind, "vm") != 0)
        return invalid(peer, "kind", error, "must be 'container' or 'vm'");
    if (peer->commands[DUET_PEER_RUN]->len != 1)
        return invalid(peer, "run", error,
            "there must be one, and of one command; write '\\;' for a semicolon within");
    return check_own(peer, "process", peer->process, error) &&
        check_own(peer, "pid-file", peer->pid_file, error) &&
        check_own(peer, "cgroup", peer->cgroup, error);
}

static gboolean read_peer(DuetPeer *peer, GKeyFile *file, GError **error)
{
    g_autofree char *version = NULL;

    if (!check_keys(peer, file, error) ||
        !read_text(peer, file, "description", &peer->description, error) ||
        !read_text(peer, file, "kind", &peer->kind, error) ||
        !read_text(peer, file, "version", &version, error) ||
        !read_text(peer, file, "cgroup", &peer->cgroup, error) ||
        !read_text(peer, file, "pid-file", &peer->pid_file, error) ||
        !read_text(peer, file, "process", &peer->process, error))
        return FALSE;
    if (version && !read_command(peer, "version", version, &peer->version, error))
        return FALSE;
    peer->needs = g_key_file_get_string_list(file, GROUP, "needs", NULL, NULL);
    for (int verb = 0; verb < DUET_PEER_VERB_COUNT; verb++) {
        if (!read_verb(peer, file, verb, peer->commands[verb], error))
            return FALSE;
    }
    return read_files(peer, file, error) && check_whole(peer, error);
}

DuetPeer *duet_peer_parse(
    const char *name, const char *origin, const char *text, gsize length, GError **error)
{
    g_autoptr(DuetPeer) peer = g_new0(DuetPeer, 1);
    g_autoptr(GKeyFile) file = g_key_file_new();
    GError *local = NULL;

    peer->name = g_strdup(name);
    peer->origin = g_strdup(origin);
    peer->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (int verb = 0; verb < DUET_PEER_VERB_COUNT; verb++)
        peer->commands[verb] = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    if (!g_key_file_load_from_data(file, text, length, G_KEY_FILE_NONE, &local)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' is no peer's key file: %s", origin,
            local->message);
        g_error_free(local);
        return NULL;
    }
    return read_peer(peer, file, error) ? g_steal_pointer(&peer) : NULL;
}

void duet_peer_free(DuetPeer *peer)
{
    if (!peer)
        return;
    g_free(peer->name);
    g_free(peer->origin);
    g_free(peer->description);
    g_free(peer->kind);
    g_strfreev(peer->needs);
    g_strfreev(peer->version);
    for (int verb = 0; verb < DUET_PEER_VERB_COUNT; verb++)
        g_ptr_array_unref(peer->commands[verb]);
    g_free(peer->cgroup);
    g_free(peer->pid_file);
    g_free(peer->process);
    g_hash_table_unref(peer->files);
    g_free(peer);
}

gboolean duet_peer_uses(const DuetPeer *peer, const char *placeholder)
{
    GHashTableIter iter;
    gpointer text;

    for (int verb = 0; verb < DUET_PEER_VERB_COUNT; verb++) {
        for (guint i = 0; i < peer->commands[verb]->len; i++) {
            for (char **word = g_ptr_array_index(peer->commands[verb], i); *word; word++) {
                if (duet_peer_words_use(*word, placeholder))
                    return TRUE;
            }
        }
    }
    g_hash_table_iter_init(&iter, peer->files);
    while (g_hash_table_iter_next(&iter, NULL, &text)) {
        if (duet_peer_words_use(text, placeholder))
            return TRUE;
    }
    return FALSE;
}

/* "podman.peer" -> "podman"; NULL for what is no peer's file. */
static char *name_of(const char *file)
{
    g_autofree char *base = g_path_get_basename(file);

    if (!g_str_has_suffix(base, DUET_PEER_ENDING) || g_str_equal(base, DUET_PEER_ENDING))
        return NULL;
    return g_strndup(base, strlen(base) - strlen(DUET_PEER_ENDING));
}

DuetPeer *duet_peer_load(const char *path, GError **error)
{
    g_autofree char *name = name_of(path);
    gsize length;

    if (!name) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no peer's file: its name must end in '" DUET_PEER_ENDING "'", path);
        return NULL;
    }
    g_autofree char *text = duet_file_read(AT_FDCWD, path, PEER_MAX_BYTES, &length, error);
    return text ? duet_peer_parse(name, path, text, length, error) : NULL;
}

static char *user_folder(void)
{
    return g_build_filename(g_get_user_config_dir(), "duet", "peers", NULL);
}

static gint by_name(gconstpointer a, gconstpointer b, gpointer data)
{
    (void)data;
    return strcmp(a, b);
}

static void add_name(GTree *names, const char *file)
{
    char *name = name_of(file);

    if (name)
        g_tree_insert(names, name, NULL);
}

char **duet_peer_names(void)
{
    g_autoptr(GTree) names = g_tree_new_full(by_name, NULL, g_free, NULL);
    g_autofree char *folder = user_folder();
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_auto(GStrv) bundled =
        g_resource_enumerate_children(duet_peers_get_resource(), BUNDLE, 0, NULL);
    g_autoptr(GStrvBuilder) out = g_strv_builder_new();
    const char *file;

    for (char **child = bundled; child && *child; child++)
        add_name(names, *child);
    while (dir && (file = g_dir_read_name(dir)))
        add_name(names, file);
    for (GTreeNode *node = g_tree_node_first(names); node; node = g_tree_node_next(node))
        g_strv_builder_add(out, g_tree_node_key(node));
    return g_strv_builder_end(out);
}

DuetPeer *duet_peer_find(const char *name, GError **error)
{
    g_autofree char *folder = user_folder(), *file = g_strconcat(name, DUET_PEER_ENDING, NULL);
    g_autofree char *own = g_build_filename(folder, file, NULL);
    g_autofree char *bundled = g_build_filename(BUNDLE, file, NULL);

    if (!strchr(name, '/') && g_file_test(own, G_FILE_TEST_EXISTS))
        return duet_peer_load(own, error);
    g_autoptr(GBytes) bytes = g_resource_lookup_data(duet_peers_get_resource(), bundled, 0, NULL);
    if (!bytes) {
        g_auto(GStrv) names = duet_peer_names();
        g_autofree char *list = g_strjoinv(", ", names);
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "there is no peer '%s'; there are %s; yours belong into '%s', or give --peer FILE",
            name, list, folder);
        return NULL;
    }
    g_autofree char *origin = g_strconcat(file, " (bundled)", NULL);
    gsize length;
    const char *text = g_bytes_get_data(bytes, &length);
    return duet_peer_parse(name, origin, text, length, error);
}
