/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon-ssh.h"

#include <duet/error.h>

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHEME "qemu+ssh://"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define PID_NAMESPACE "/proc/self/ns/pid"
/* Until sshd has said its name; and until all is said, of which timeout(1) tells by its code. */
#define CONNECT_S "10"
#define ANSWER_S "20"
#define TIMED_OUT 124
/* ssh's own failure. */
#define SSH_FAILED 255

/* Each line begins with our word: shells say things of their own when they start. */
static const char questions[] = "echo duet boot $(cat " BOOT_ID "); "
                                "echo duet pids $(readlink " PID_NAMESPACE "); "
                                "echo duet file $(stat -Lc %d:%i \"$1\" 2>/dev/null); "
                                "echo duet uid $(id -u); "
                                "echo duet way $(command -v virt-ssh-helper nc)";

gboolean duet_vm_ssh_is(const char *uri)
{
    return g_str_has_prefix(uri, SCHEME);
}

static GUri *parse(const char *uri, GError **error)
{
    return g_uri_parse(uri, G_URI_FLAGS_ENCODED_QUERY, error);
}

/* As libvirt reads them. */
static GHashTable *parameters(GUri *parsed)
{
    const char *query = g_uri_get_query(parsed);
    return g_uri_parse_params(query ? query : "", -1, "&;", G_URI_PARAMS_CASE_INSENSITIVE, NULL);
}

gboolean duet_vm_ssh_is_session(const char *uri)
{
    g_autoptr(GUri) parsed = parse(uri, NULL);
    return parsed && g_str_equal(g_uri_get_path(parsed), "/session");
}

static gboolean names_netcat(const char *uri)
{
    g_autoptr(GUri) parsed = parse(uri, NULL);
    g_autoptr(GHashTable) given = parsed ? parameters(parsed) : NULL;
    return given && g_hash_table_contains(given, "netcat");
}

char *duet_vm_ssh_target(const char *uri)
{
    g_autoptr(GUri) parsed = parse(uri, NULL);
    if (!parsed)
        return g_strdup(uri);
    const char *user = g_uri_get_userinfo(parsed);
    GString *target = g_string_new(NULL);
    if (g_uri_get_port(parsed) > 0)
        g_string_append_printf(target, "-p %d ", g_uri_get_port(parsed));
    if (user)
        g_string_append_printf(target, "%s@", user);
    g_string_append(target, g_uri_get_host(parsed));
    return g_string_free(target, FALSE);
}

/* For messages: the target without options. */
static const char *host_of(const char *target)
{
    const char *space = strrchr(target, ' ');
    return space ? space + 1 : target;
}

char *duet_vm_ssh_uri(const char *uri)
{
    g_autoptr(GUri) parsed = parse(uri, NULL);
    g_autoptr(GHashTable) given = parsed ? parameters(parsed) : NULL;
    if (!given || g_hash_table_contains(given, "no_tty"))
        return g_strdup(uri);
    return g_strconcat(uri, g_uri_get_query(parsed) ? "&" : "?", "no_tty=1", NULL);
}

/* Both, or none if there is no second one. */
static void add(GPtrArray *words, const char *first, const char *second)
{
    if (!second)
        return;
    g_ptr_array_add(words, g_strdup(first));
    g_ptr_array_add(words, g_strdup(second));
}

char **duet_vm_ssh_argv(const char *uri, const char *command, GError **error)
{
    g_autoptr(GUri) parsed = parse(uri, error);
    g_autoptr(GHashTable) given = parsed ? parameters(parsed) : NULL;
    if (!given)
        return NULL;
    const char *program = g_hash_table_lookup(given, "command");
    program = program ? program : "ssh";
    g_autofree char *found = g_find_program_in_path(program);
    if (!found) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "'%s' needs the program '%s' (package openssh-client)", uri, program);
        return NULL;
    }
    g_autofree char *port =
        g_uri_get_port(parsed) > 0 ? g_strdup_printf("%d", g_uri_get_port(parsed)) : NULL;
    GPtrArray *words = g_ptr_array_new();
    add(words, "timeout", ANSWER_S);
    g_ptr_array_add(words, g_strdup(program));
    add(words, "-p", port);
    add(words, "-l", g_uri_get_userinfo(parsed));
    add(words, "-i", g_hash_table_lookup(given, "keyfile"));
    add(words, "-o", "BatchMode=yes");
    add(words, "-o", "ConnectTimeout=" CONNECT_S);
    if (g_strcmp0(g_hash_table_lookup(given, "no_verify"), "1") == 0)
        add(words, "-o", "StrictHostKeyChecking=no");
    add(words, "-T", "--");
    add(words, g_uri_get_host(parsed), command);
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

char *duet_vm_ssh_advice(const char *target, const char *said)
{
    static const struct {
        const char *word;
        const char *advice;
    } rows[] = {
        { "IDENTIFICATION HAS CHANGED",
            "its key is another than the one that is known: find out why before you let ssh know "
            "the new one (ssh-keygen -R)" },
        { "Host key verification failed",
            "its key is not known: connect once by hand, and compare it: ssh %s" },
        { "Permission denied",
            "nobody is asked for a password: is that the right user? Give it your key "
            "(ssh-copy-id %s), or name one that it has (?keyfile=PATH)" },
        { "Could not resolve", "is the name right?" },
        { "Connection refused", "start sshd there, or name its port (HOST:PORT)" },
        { "timed out", "is it up, and can it be reached from here?" },
        { "No route", "is it up, and can it be reached from here?" },
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(GStrv) parts = g_strsplit(rows[i].advice, "%s", 2);
        if (strstr(said, rows[i].word))
            return g_strjoinv(target, parts);
    }
    return g_strconcat("try by hand: ssh ", target, " true", NULL);
}

/* The one line of ssh's that says why: the last, without its line end. */
static char *last_line(const char *said)
{
    g_autofree char *text = g_strdelimit(g_strdup(said), "\r", '\n');
    g_strchomp(text);
    const char *line = strrchr(text, '\n');
    return g_utf8_make_valid(line ? line + 1 : text, -1);
}

static gboolean refuse(const char *target, int status, const char *said, GError **error)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    g_autofree char *why = last_line(said);
    g_autofree char *advice = duet_vm_ssh_advice(target, said);
    const char *host = host_of(target);
    if (code == TIMED_OUT)
        g_set_error(error, DUET_ERROR, DUET_ERROR_TIMEOUT,
            "cannot connect to '%s' by ssh: no answer within " ANSWER_S " s; %s", host, advice);
    else if (code == SSH_FAILED)
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "cannot connect to '%s' by ssh: %s; %s",
            host, *why ? why : "it said nothing", advice);
    else
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "'%s' lets ssh in and runs no command (%s); libvirt needs an account with a shell "
            "there",
            host, *why ? why : "it said nothing");
    return FALSE;
}

/* Returns: (transfer full) (nullable): what stands behind "duet @word " of a line. */
static char *answer_of(const char *said, const char *word)
{
    g_autofree char *start = g_strdup_printf("duet %s", word);
    g_auto(GStrv) lines = g_strsplit(said, "\n", -1);
    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(*line, start))
            return g_strstrip(g_strdup(*line + strlen(start)));
    return NULL;
}

static gboolean is_same(const char *said, const char *word, const char *here)
{
    g_autofree char *there = answer_of(said, word);
    return here && g_strcmp0(there, here) == 0;
}

static gboolean is_same_boot(const char *said)
{
    g_autofree char *here = NULL;
    return g_file_get_contents(BOOT_ID, &here, NULL, NULL) &&
        is_same(said, "boot", g_strchomp(here));
}

/* Of one kernel, and yet in another container. */
static gboolean sees_the_same(const char *said, const char *file)
{
    struct stat st;
    g_autofree char *pids = g_file_read_link(PID_NAMESPACE, NULL);
    if (stat(file, &st) < 0)
        return FALSE;
    g_autofree char *here = g_strdup_printf(
        "%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)st.st_dev, (guint64)st.st_ino);
    return is_same(said, "pids", pids) && is_same(said, "file", here);
}

static gboolean check_host(
    const char *uri, const char *target, const char *file, const char *said, GError **error)
{
    const char *host = host_of(target);
    g_autofree char *way = answer_of(said, "way");
    g_autofree char *uid = g_strdup_printf("%u", (guint)geteuid());
    if (!is_same_boot(said))
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "'%s' is another host: the disks, sockets and processes of a VM must be on the one "
            "that duet runs on; run duet there: ssh %s duet run --vm --connect qemu:///system ...",
            host, target);
    else if (!sees_the_same(said, file))
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "'%s' is this host, and does not see '%s' or our processes there: it is in a container "
            "of its own, or its user may not pass the directories above; run duet there, or leave "
            "out --connect",
            host, file);
    else if (duet_vm_ssh_is_session(uri) && !is_same(said, "uid", uid))
        g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
            "'%s' is another user, whose libvirt may not open this user's disks; log in as "
            "yourself, or use /system as root",
            uri);
    else if (!*(way ? way : "") && !names_netcat(uri))
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "'%s' has no program that hands libvirt's socket on: install libvirt-daemon or "
            "netcat-openbsd there, or name one (?netcat=PATH)",
            host);
    else
        return TRUE;
    return FALSE;
}

gboolean duet_vm_ssh_check(const char *uri, const char *file, GError **error)
{
    g_autofree char *target = duet_vm_ssh_target(uri);
    g_autofree char *script = g_shell_quote(questions);
    g_autofree char *quoted = g_shell_quote(file);
    g_autofree char *command = g_strdup_printf("sh -c %s duet %s", script, quoted);
    g_auto(GStrv) argv = duet_vm_ssh_argv(uri, command, error);
    g_autofree char *said = NULL;
    g_autofree char *complaint = NULL;
    int status = 0;
    if (!argv)
        return FALSE;
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CLOEXEC_PIPES, NULL, NULL,
            &said, &complaint, &status, error)) {
        g_prefix_error(error, "cannot connect to '%s' by ssh: ", host_of(target));
        return FALSE;
    }
    g_autofree char *boot = answer_of(said, "boot");
    return boot ? check_host(uri, target, file, said, error)
                : refuse(target, status, complaint, error);
}
