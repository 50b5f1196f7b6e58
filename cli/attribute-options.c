/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a payload is given beside its image and its limits: resource limits, groups, kernel
 * parameters, devices, and how it is stopped. */
#include "cli/cli.h"
#include "core/attributes.h"
#include "core/util.h"

#include <duet/error.h>

#include <string.h>

/* As many as a user can want; each list has a bound. */
#define GROUPS_MAX 100
#define ULIMITS_MAX 100
#define DEVICES_MAX 100
#define ENV_FILE_MAX_BYTES (1u << 20)
#define STOP_TIMEOUT_MAX_S 86400
/* The kernel's own bound: what lets its clocks run on for some time. */
#define CLOCK_MAX_S G_GINT64_CONSTANT(4611686018)

#define KIND(kind) (1u << (kind))
#define EVERYWHERE (KIND(DUET_KIND_CONTAINER) | KIND(DUET_KIND_VM) | KIND(DUET_KIND_NATIVE))
#define INSTANCES (KIND(DUET_KIND_CONTAINER) | KIND(DUET_KIND_VM))

/* Its member is a text, or a list of all that was given; @why_not: to kinds that have it not. */
typedef struct {
    const char *name;
    gboolean is_list;
    gsize offset;
    guint kinds;
    const char *text;
    const char *argument;
    const char *why_not;
} Row;

#define TEXT(name, member) name, FALSE, G_STRUCT_OFFSET(DuetAttributes, member)
#define LIST(name, member) name, TRUE, G_STRUCT_OFFSET(DuetAttributes, member)

static const Row rows[] = {
    { LIST("ulimit", ulimits), EVERYWHERE,
        "a resource limit of each process, such as nofile=1024:2048, core=0 or memlock=-1; host: "
        "the caller's",
        "NAME=SOFT[:HARD]", NULL },
    { LIST("group-add", groups), EVERYWHERE,
        "a further group of the user, a name of the image's or a number", "GROUP", NULL },
    { LIST("sysctl", sysctls), INSTANCES,
        "a kernel parameter: of a container's own namespaces, or any of a VM's", "NAME=VALUE",
        "the baseline has the host's kernel parameters" },
    { TEXT("shm-size", shm_size), INSTANCES, "size of /dev/shm (default 64m)", "SIZE",
        "the baseline has the host's /dev/shm" },
    { TEXT("oom-score-adj", oom_score_adj), EVERYWHERE,
        "how soon it is killed when the host has no memory left, from -1000 to 1000", "NUMBER",
        NULL },
    { TEXT("stop-signal", stop_signal), EVERYWHERE,
        "what stop sends first, in place of the image's", "SIGNAL", NULL },
    { TEXT("stop-timeout", stop_timeout), EVERYWHERE, "what stop waits before the kill (10)",
        "SECONDS", NULL },
    { LIST("env-file", env_files), EVERYWHERE,
        "set variables, one in each line of a file; -e goes over them", "FILE", NULL },
    { LIST("device", devices), KIND(DUET_KIND_CONTAINER),
        "container: a device of the host, or all in a directory of it", "HOST[:CONTAINER][:r|w|rw]",
        "only a container can be given devices of the host" },
    { TEXT("monotonic", monotonic), KIND(DUET_KIND_CONTAINER),
        "container: how far CLOCK_MONOTONIC is ahead of the host's, in a time namespace", "SECONDS",
        "only a container has a time namespace; a VM's clocks are its own, and begin anew" },
    { TEXT("boottime", boottime), KIND(DUET_KIND_CONTAINER),
        "container: the same of CLOCK_BOOTTIME, which is the uptime", "SECONDS",
        "only a container has a time namespace; a VM's clocks are its own, and begin anew" },
};

static gpointer *member(DuetAttributes *attributes, const Row *row)
{
    return (gpointer *)(gpointer)((char *)attributes + row->offset);
}

GArray *duet_cli_attribute_options(DuetAttributes *attributes)
{
    GArray *entries = g_array_new(TRUE, FALSE, sizeof(GOptionEntry));
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        GOptionEntry entry = { rows[i].name, 0, 0,
            rows[i].is_list ? G_OPTION_ARG_FILENAME_ARRAY : G_OPTION_ARG_FILENAME,
            member(attributes, &rows[i]), rows[i].text, rows[i].argument };
        g_array_append_val(entries, entry);
    }
    return entries;
}

void duet_cli_attributes_clear(DuetAttributes *attributes)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        gpointer value = *member(attributes, &rows[i]);
        if (rows[i].is_list)
            g_strfreev(value);
        else
            g_free(value);
    }
    *attributes = (DuetAttributes){ 0 };
}

void duet_cli_attributes_keep(DuetAttributes *attributes, DuetKind kind)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if ((rows[i].kinds & KIND(kind)) == 0)
            *member(attributes, &rows[i]) = NULL;
}

void duet_cli_attribute_words(GStrvBuilder *words, const DuetAttributes *attributes)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        gpointer value = *member((DuetAttributes *)attributes, &rows[i]);
        char *only[] = { value, NULL };
        char **list = rows[i].is_list ? value : only;
        for (; list && *list; list++) {
            g_autofree char *option = g_strconcat("--", rows[i].name, NULL);
            g_strv_builder_add_many(words, option, *list, NULL);
        }
    }
}

static gboolean unsupported(GError **error, const char *option, const char *why)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, "%s: %s", option, why);
    return FALSE;
}

static gboolean check_kind(DuetKind kind, const DuetAttributes *attributes, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *option = g_strconcat("--", rows[i].name, NULL);
        if (*member((DuetAttributes *)attributes, &rows[i]) && (rows[i].kinds & KIND(kind)) == 0)
            return unsupported(error, option, rows[i].why_not);
    }
    return TRUE;
}

static gboolean is_too_long(char *const *list, guint most, const char *option, GError **error)
{
    if (!list || g_strv_length((char **)list) <= most)
        return FALSE;
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "%s is given more than %u times", option, most);
    return TRUE;
}

static gboolean apply_ulimits(DuetSpec *spec, char *const *ulimits, GError **error)
{
    if (!ulimits)
        return TRUE;
    if (is_too_long(ulimits, ULIMITS_MAX, "--ulimit", error))
        return FALSE;
    for (char *const *text = ulimits; *text; text++) {
        DuetUlimit limit;
        gboolean host = g_str_equal(*text, DUET_ULIMIT_HOST);
        if (host && spec->kind == DUET_KIND_VM)
            return unsupported(error, "--ulimit host",
                "the processes of a VM are none of the host's: name each limit");
        if (!host && !duet_ulimit_parse(*text, &limit, error)) {
            g_prefix_error(error, "--ulimit: ");
            return FALSE;
        }
    }
    spec->ulimits = g_strdupv((char **)ulimits);
    return TRUE;
}

static gboolean apply_groups(DuetSpec *spec, char *const *groups, GError **error)
{
    if (!groups)
        return TRUE;
    if (is_too_long(groups, GROUPS_MAX, "--group-add", error))
        return FALSE;
    for (char *const *group = groups; *group; group++) {
        if (g_str_equal(*group, "keep-groups"))
            return unsupported(error, "--group-add keep-groups",
                "no instance keeps the caller's groups, which it has no names and no numbers for; "
                "name groups of the image");
        if (!**group || strchr(*group, ':'))
            return duet_cli_invalid(error, "is no group for --group-add", *group);
    }
    spec->groups = g_strdupv((char **)groups);
    return TRUE;
}

static gboolean apply_sysctls(DuetSpec *spec, char *const *sysctls, GError **error)
{
    if (!sysctls)
        return TRUE;
    g_autoptr(GStrvBuilder) list = g_strv_builder_new();
    gsize bytes = 0;
    for (char *const *text = sysctls; *text; text++) {
        g_autofree char *normal = duet_sysctl_normal(*text, error);
        if (!normal || (spec->kind != DUET_KIND_VM && !duet_sysctl_is_contained(normal, error))) {
            g_prefix_error(error, "--sysctl: ");
            return FALSE;
        }
        bytes += strlen(normal) + 8;
        g_strv_builder_add(list, normal);
    }
    if (bytes > DUET_SYSCTLS_MAX_BYTES) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--sysctl: names and values are longer than %u bytes together", DUET_SYSCTLS_MAX_BYTES);
        return FALSE;
    }
    spec->sysctls = g_strv_builder_end(list);
    return TRUE;
}

static gboolean apply_shm_size(DuetSpec *spec, const char *size, GError **error)
{
    if (!size)
        return TRUE;
    if (!duet_parse_bytes(size, &spec->shm_bytes, error)) {
        g_prefix_error(error, "--shm-size: ");
        return FALSE;
    }
    /* The kernel takes 0 for no limit at all, and no more bytes than it can count. */
    if (spec->shm_bytes == 0 || spec->shm_bytes > G_MAXINT64)
        return duet_cli_invalid(error, "is no size for --shm-size", size);
    return TRUE;
}

static gboolean read_number(
    const char *option, const char *text, int least, int most, int *out_number, GError **error)
{
    gint64 number;
    if (!g_ascii_string_to_signed(text, 10, least, most, &number, NULL)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "%s takes %d to %d, not '%s'", option,
            least, most, text);
        return FALSE;
    }
    *out_number = (int)number;
    return TRUE;
}

static gboolean apply_end(DuetSpec *spec, const DuetAttributes *attributes, GError **error)
{
    if (attributes->stop_signal) {
        spec->stop_signal = duet_signal_from_string(attributes->stop_signal);
        if (!spec->stop_signal)
            return duet_cli_invalid(
                error, "is no signal for --stop-signal", attributes->stop_signal);
    }
    if (attributes->oom_score_adj &&
        !read_number(
            "--oom-score-adj", attributes->oom_score_adj, -1000, 1000, &spec->oom_score_adj, error))
        return FALSE;
    return !attributes->stop_timeout ||
        read_number("--stop-timeout", attributes->stop_timeout, 0, STOP_TIMEOUT_MAX_S,
            &spec->stop_timeout_s, error);
}

static gboolean apply_devices(DuetSpec *spec, char *const *devices, GError **error)
{
    if (!devices)
        return TRUE;
    if (is_too_long(devices, DEVICES_MAX, "--device", error))
        return FALSE;
    for (char *const *text = devices; *text; text++) {
        g_auto(DuetDevice) device = { 0 };
        if (!duet_device_parse(*text, &device, error)) {
            g_prefix_error(error, "--device: ");
            return FALSE;
        }
    }
    spec->devices = g_strdupv((char **)devices);
    return TRUE;
}

static gboolean apply_clock(
    const char *option, const char *text, gint64 *out_seconds, GError **error)
{
    if (!text || g_ascii_string_to_signed(text, 10, -CLOCK_MAX_S, CLOCK_MAX_S, out_seconds, NULL))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "%s takes whole seconds from -%" G_GINT64_FORMAT " to %" G_GINT64_FORMAT ", not '%s'",
        option, CLOCK_MAX_S, CLOCK_MAX_S, text);
    return FALSE;
}

/* As docker and podman: no quotes, no continued lines; blanks before a name and lines that begin
 * with "#" are passed over. A name alone passes the caller's variable on. */
gboolean duet_cli_env_file(char ***env, const char *path, GError **error)
{
    g_auto(GStrv) lines = duet_cli_lines("--env-file", path, ENV_FILE_MAX_BYTES, error);
    for (char **line = lines; line && *line; line++) {
        gsize name_length = strcspn(*line, "=");
        if (name_length == 0 || strcspn(*line, " \t") < name_length)
            return duet_cli_invalid(
                error, "is no variable of --env-file: use NAME=VALUE or NAME", *line);
        *env = duet_cli_with_env(*env, *line);
    }
    return lines != NULL;
}

gboolean duet_cli_apply_attributes(DuetSpec *spec, const DuetAttributes *attributes, GError **error)
{
    if (!check_kind(spec->kind, attributes, error))
        return FALSE;
    for (char **path = attributes->env_files; path && *path; path++)
        if (!duet_cli_env_file(&spec->env, *path, error))
            return FALSE;
    return apply_ulimits(spec, attributes->ulimits, error) &&
        apply_groups(spec, attributes->groups, error) &&
        apply_sysctls(spec, attributes->sysctls, error) &&
        apply_shm_size(spec, attributes->shm_size, error) && apply_end(spec, attributes, error) &&
        apply_devices(spec, attributes->devices, error) &&
        apply_clock("--monotonic", attributes->monotonic, &spec->monotonic_s, error) &&
        apply_clock("--boottime", attributes->boottime, &spec->boottime_s, error);
}
