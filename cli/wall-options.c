/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keeps an instance in: capabilities, system calls, what it may write to. */
#include "cli/cli.h"
#include "core/attributes.h"
#include "core/util.h"

#include <duet/error.h>

#include <fcntl.h>
#include <string.h>

/* Docker's own profile has 20 kB. */
#define PROFILE_MAX_BYTES (256u << 10)
#define TMPFS_MAX 100
#define PROFILE_NAME_MAX_BYTES 1024
#define PATHS_MAX 100

/* "size=64m" and the like, as mount(8) has them. */
static gboolean add_tmpfs_option(
    GString *out, DuetTmpfs *tmpfs, const char *option, const char *text, GError **error)
{
    guint64 bytes = 0, mode = 0;
    if (g_str_has_prefix(option, "size=")) {
        if (!duet_parse_bytes(option + strlen("size="), &bytes, error)) {
            g_prefix_error(error, "--tmpfs %s: ", text);
            return FALSE;
        }
        g_string_append_printf(out, ",size=%" G_GUINT64_FORMAT, bytes);
    } else if (g_str_has_prefix(option, "mode=")) {
        char *end = NULL;
        mode = g_ascii_strtoull(option + strlen("mode="), &end, 8);
        if (!option[strlen("mode=")] || *end || mode > 07777)
            return duet_cli_invalid(
                error, "has a mode that is none: use mode=755 or the like", text);
        g_string_append_printf(out, ",mode=%" G_GINT64_MODIFIER "o", mode);
    } else if (g_str_equal(option, "ro")) {
        tmpfs->readonly = TRUE;
    } else if (g_str_equal(option, "exec")) {
        tmpfs->exec = TRUE;
    } else if (!g_strv_contains(
                   (const char *const[]){ "rw", "noexec", "nosuid", "nodev", NULL }, option)) {
        return duet_cli_invalid(
            error, "has an option that a tmpfs has not: size=, mode=, ro, exec", text);
    }
    return TRUE;
}

gboolean duet_cli_add_tmpfs(DuetSpec *spec, const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    g_autofree char *target = colon ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
    g_auto(GStrv) options = g_strsplit(colon ? colon + 1 : "", ",", -1);
    g_autoptr(GString) data = g_string_new(NULL);
    if (target[0] != '/' || duet_path_depth(target) == 0)
        return duet_cli_invalid(
            error, "is no place for a tmpfs: use an absolute path, not /", text);
    if (spec->tmpfs->len == TMPFS_MAX)
        return duet_cli_invalid(error, "is one more tmpfs than an instance can have", text);
    DuetTmpfs *tmpfs = duet_tmpfs_new(target, NULL, FALSE, FALSE);
    g_ptr_array_add(spec->tmpfs, tmpfs);
    for (char **option = options; *option; option++)
        if (!add_tmpfs_option(data, tmpfs, *option, text, error))
            return FALSE;
    if (data->len > 0)
        tmpfs->options = g_strdup(data->str + 1);
    return TRUE;
}

static gboolean is_at_or_below(const char *path, const char *target)
{
    g_autofree char *plain = g_canonicalize_filename(target, "/");
    return g_str_has_prefix(path, plain) &&
        (path[strlen(plain)] == '\0' || path[strlen(plain)] == '/');
}

/* What is mounted there, or above, is the user's choice. */
static gboolean is_taken(const DuetSpec *spec, const char *path)
{
    for (guint i = 0; i < spec->mounts->len; i++)
        if (is_at_or_below(path, ((const DuetMount *)spec->mounts->pdata[i])->target))
            return TRUE;
    for (guint i = 0; i < spec->tmpfs->len; i++)
        if (is_at_or_below(path, ((const DuetTmpfs *)spec->tmpfs->pdata[i])->target))
            return TRUE;
    return FALSE;
}

/* What programs expect to be able to write to, as podman has it. */
static gboolean apply_readonly(DuetSpec *spec, GError **error)
{
    static const char *const scratch[] = { "/tmp", "/run", "/var/tmp" };
    spec->readonly = TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(scratch); i++)
        if (!is_taken(spec, scratch[i]) && !duet_cli_add_tmpfs(spec, scratch[i], error))
            return FALSE;
    return TRUE;
}

/* Of "chown,CAP_KILL" and the like; "ALL" is told apart. */
static gboolean read_capabilities(const DuetConfineOps *confine, char *const *texts,
    guint64 *out_mask, gboolean *out_all, GError **error)
{
    *out_mask = 0;
    *out_all = FALSE;
    for (; texts && *texts; texts++) {
        g_auto(GStrv) names = g_strsplit(*texts, ",", -1);
        for (char **name = names; *name; name++) {
            gboolean all = g_ascii_strcasecmp(*name, "all") == 0;
            int number = all ? 0 : confine->capability(*name);
            if (number < 0)
                return duet_cli_invalid(error, "is no capability: see capabilities(7)", *name);
            *out_all |= all;
            *out_mask |= all ? 0 : G_GUINT64_CONSTANT(1) << number;
        }
    }
    return TRUE;
}

static gboolean apply_capabilities(DuetSpec *spec, const DuetRunOptions *options, GError **error)
{
    guint64 add, drop;
    gboolean add_all, drop_all;
    if (!options->cap_add && !options->cap_drop)
        return TRUE;
    const DuetConfineOps *confine = duet_cli_confine(error);
    if (!confine || !read_capabilities(confine, options->cap_add, &add, &add_all, error) ||
        !read_capabilities(confine, options->cap_drop, &drop, &drop_all, error))
        return FALSE;
    if ((add & drop) != 0 || (add_all && drop_all)) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            "a capability is both added and dropped: leave one of --cap-add and --cap-drop out");
        return FALSE;
    }
    guint64 base = add_all ? DUET_CAPABILITIES_ALL : drop_all ? 0 : duet_spec_capabilities(spec);
    spec->capabilities = (base & ~drop) | add;
    return TRUE;
}

static gboolean apply_seccomp(DuetSpec *spec, const char *value, GError **error)
{
    g_free(spec->seccomp);
    spec->seccomp = NULL;
    if (g_str_equal(value, "builtin"))
        return TRUE;
    if (g_str_equal(value, DUET_SECCOMP_UNCONFINED)) {
        spec->seccomp = g_strdup(value);
        return TRUE;
    }
    spec->seccomp = duet_file_read(AT_FDCWD, value, PROFILE_MAX_BYTES, NULL, error);
    if (!spec->seccomp)
        g_prefix_error(error, "--security-opt seccomp: ");
    /* The word has a meaning of its own in there. */
    else if (g_str_equal(spec->seccomp, DUET_SECCOMP_UNCONFINED))
        return duet_cli_invalid(error, "is no profile: it holds a word", value);
    return spec->seccomp != NULL;
}

static gboolean apply_apparmor(DuetSpec *spec, const char *name, GError **error)
{
    gboolean on = duet_apparmor_is_on();
    if (!*name || strlen(name) > PROFILE_NAME_MAX_BYTES || strpbrk(name, "\n\r\t"))
        return duet_cli_invalid(error, "is no name of a profile for AppArmor", name);
    g_free(spec->apparmor);
    spec->apparmor = on ? g_strdup(name) : NULL;
    if (on || g_str_equal(name, "unconfined"))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "--security-opt apparmor=%s: AppArmor is not in use on this host; leave it out, or use "
        "apparmor=unconfined",
        name);
    return FALSE;
}

/* Paths with colons between them, as podman has it; a later list goes on. */
static gboolean add_paths(char ***list, const char *text, gboolean may_be_all, GError **error)
{
    g_autoptr(GStrvBuilder) paths = g_strv_builder_new();
    g_auto(GStrv) added = g_strsplit(text, ":", -1);
    guint count = *list ? g_strv_length(*list) : 0;
    if (*list)
        g_strv_builder_addv(paths, (const char **)*list);
    for (char **path = added; *path; path++) {
        gboolean all = may_be_all && g_str_equal(*path, "ALL");
        if (!all && ((*path)[0] != '/' || duet_path_depth(*path) == 0))
            return duet_cli_invalid(
                error, "is no list of paths to mask or unmask: use /PATH:/PATH", text);
        g_strv_builder_add(paths, *path);
    }
    if (!*added || count + g_strv_length(added) > PATHS_MAX)
        return duet_cli_invalid(error, "is no list of paths, or one too many", text);
    g_strfreev(*list);
    *list = g_strv_builder_end(paths);
    return TRUE;
}

/* SELinux's labels are given by nobody here; to switch them off is what there is. */
static gboolean apply_label(const char *value, GError **error)
{
    if (g_str_equal(value, "disable"))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "--security-opt label=%s: duet gives no SELinux labels; label=disable is all there is",
        value);
    return FALSE;
}

static gboolean apply_container_security(
    DuetSpec *spec, const char *option, gboolean *out_known, GError **error)
{
    g_autofree char *key = g_strndup(option, strcspn(option, "=:"));
    const char *value = option[strlen(key)] ? option + strlen(key) + 1 : "";
    *out_known = TRUE;
    if (g_str_has_prefix(option, "seccomp="))
        return apply_seccomp(spec, value, error);
    if (g_str_equal(key, "apparmor"))
        return apply_apparmor(spec, value, error);
    if (g_str_equal(key, "label"))
        return apply_label(value, error);
    if (g_str_has_prefix(option, "mask="))
        return add_paths(&spec->masks, value, FALSE, error);
    if (g_str_has_prefix(option, "unmask="))
        return add_paths(&spec->unmasks, value, TRUE, error);
    *out_known = FALSE;
    return TRUE;
}

static gboolean apply_security(DuetSpec *spec, const char *option, GError **error)
{
    gboolean known = FALSE;
    if (spec->kind != DUET_KIND_VM && !apply_container_security(spec, option, &known, error))
        return FALSE;
    if (known)
        return TRUE;
    /* In a container there is nothing else; in a VM they are its own affair. */
    if (spec->kind == DUET_KIND_VM)
        return duet_cli_invalid(error, "is for containers only: a VM's kernel is its own", option);
    if (g_str_equal(option, "no-new-privileges") || g_str_equal(option, "no-new-privileges=true") ||
        g_str_equal(option, "no-new-privileges:true"))
        return TRUE;
    return duet_cli_invalid(error,
        "is no security option that duet has: there are seccomp=, apparmor=, label=disable, mask= "
        "and unmask=",
        option);
}

/* A profile that can't be is told here, not by a monitor. */
static gboolean apply_filters(DuetSpec *spec, const DuetRunOptions *options, GError **error)
{
    if (!options->cap_add && !options->cap_drop && !options->security)
        return TRUE;
    if (spec->kind == DUET_KIND_NATIVE)
        return duet_cli_invalid(error,
            "has no walls: --cap-add, --cap-drop and --security-opt are for others", "native");
    if (!apply_capabilities(spec, options, error))
        return FALSE;
    for (char **option = options->security; option && *option; option++)
        if (!apply_security(spec, *option, error))
            return FALSE;
    if (!spec->seccomp || g_str_equal(spec->seccomp, DUET_SECCOMP_UNCONFINED))
        return TRUE;
    const DuetConfineOps *confine = duet_cli_confine(error);
    g_autoptr(GBytes) filter =
        confine ? confine->seccomp(spec->seccomp, duet_spec_capabilities(spec), error) : NULL;
    return filter != NULL;
}

gboolean duet_cli_apply_walls(DuetSpec *spec, const DuetRunOptions *options, GError **error)
{
    for (char **tmpfs = options->tmpfs; tmpfs && *tmpfs; tmpfs++)
        if (!duet_cli_add_tmpfs(spec, *tmpfs, error))
            return FALSE;
    if (options->readonly && !apply_readonly(spec, error))
        return FALSE;
    return apply_filters(spec, options, error);
}
