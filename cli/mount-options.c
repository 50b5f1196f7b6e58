/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `--volume` and `--mount`: what of the host is in an instance. */
#include "cli/cli.h"
#include "core/named-volume.h"

#include <duet/error.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "." and ".." have none either, and are folders. */
static gboolean is_volume_name(const char *source)
{
    return !strchr(source, '/') && !g_str_equal(source, ".") && !g_str_equal(source, "..");
}

static DuetMount *named_volume(
    DuetCli *cli, const char *name, const char *target, gboolean readonly, GError **error)
{
    if (!duet_named_volume_check(name, error))
        return NULL;
    g_autofree char *source = duet_named_volume_path(cli->context, name);
    DuetMount *mount = duet_mount_new(source, target, readonly);
    mount->volume = g_strdup(name);
    return mount;
}

static gboolean add_folder(
    DuetSpec *spec, const char *path, const char *target, gboolean readonly, GError **error)
{
    char *source = realpath(path, NULL);
    if (!source)
        return duet_error_set_errno(error, errno, "cannot share '%s'", path);
    g_ptr_array_add(spec->mounts, duet_mount_new(source, target, readonly));
    free(source);
    return TRUE;
}

static gboolean add_named(DuetCli *cli, DuetSpec *spec, const char *name, const char *target,
    gboolean readonly, GError **error)
{
    DuetMount *mount = named_volume(cli, name, target, readonly, error);
    if (mount)
        g_ptr_array_add(spec->mounts, mount);
    return mount != NULL;
}

static gboolean add_volume(DuetCli *cli, DuetSpec *spec, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    guint n = g_strv_length(parts);
    gboolean readonly = n == 3 && g_str_equal(parts[2], "ro");
    if (n < 2 || n > 3 || (n == 3 && !readonly && !g_str_equal(parts[2], "rw")))
        return duet_cli_invalid(
            error, "is no volume: use HOST:GUEST, NAME:GUEST, or one of them with :ro", text);
    if (!*parts[0] || parts[1][0] != '/' || g_str_equal(parts[1], "/"))
        return duet_cli_invalid(error, "is no volume: GUEST must be an absolute path, not /", text);
    return is_volume_name(parts[0]) ? add_named(cli, spec, parts[0], parts[1], readonly, error)
                                    : add_folder(spec, parts[0], parts[1], readonly, error);
}

/* ---- --mount ---- */

typedef enum { TYPE, SOURCE, TARGET, READONLY, TMPFS_SIZE, TMPFS_MODE, N_KEYS } Key;

static const struct {
    const char *name;
    Key key;
} keys[] = {
    { "type", TYPE },
    { "source", SOURCE },
    { "src", SOURCE },
    { "target", TARGET },
    { "destination", TARGET },
    { "dst", TARGET },
    { "readonly", READONLY },
    { "ro", READONLY },
    { "tmpfs-size", TMPFS_SIZE },
    { "tmpfs-mode", TMPFS_MODE },
};

/* "KEY=VALUE" or "KEY", which is true. @word is cut, and kept by @values. */
static gboolean set_value(char *word, const char *values[N_KEYS])
{
    char *equals = strchr(word, '=');
    if (equals)
        *equals = '\0';
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (!g_str_equal(word, keys[i].name))
            continue;
        values[keys[i].key] = equals ? equals + 1 : "true";
        return TRUE;
    }
    return FALSE;
}

static gboolean get_boolean(const char *text, gboolean *out_value)
{
    *out_value = text && (g_str_equal(text, "true") || g_str_equal(text, "1"));
    return *out_value || !text || g_str_equal(text, "false") || g_str_equal(text, "0");
}

static gboolean add_tmpfs(
    DuetSpec *spec, const char *values[N_KEYS], gboolean readonly, GError **error)
{
    g_autoptr(GString) text = g_string_new(values[TARGET]);
    g_string_append(text, readonly ? ":ro" : ":rw");
    if (values[TMPFS_SIZE])
        g_string_append_printf(text, ",size=%s", values[TMPFS_SIZE]);
    if (values[TMPFS_MODE])
        g_string_append_printf(text, ",mode=%s", values[TMPFS_MODE]);
    return duet_cli_add_tmpfs(spec, text->str, error);
}

static gboolean add_mount(DuetCli *cli, DuetSpec *spec, const char *text, GError **error)
{
    const char *values[N_KEYS] = { "volume" };
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    gboolean readonly;
    for (char **word = words; *word; word++)
        if (!set_value(*word, values))
            return duet_cli_invalid(error,
                "is no --mount: its keys are type, source, target, readonly, tmpfs-size and "
                "tmpfs-mode",
                text);
    if (!get_boolean(values[READONLY], &readonly))
        return duet_cli_invalid(error, "is no --mount: readonly is true or false", text);
    gboolean is_tmpfs = g_str_equal(values[TYPE], "tmpfs");
    if (!values[TARGET] || values[TARGET][0] != '/' || (is_tmpfs && strchr(values[TARGET], ':')) ||
        duet_path_depth(values[TARGET]) == 0)
        return duet_cli_invalid(error,
            "is no --mount: target must be an absolute path, not /, and of a tmpfs without ':'",
            text);
    if (is_tmpfs ? values[SOURCE] != NULL : values[TMPFS_SIZE] || values[TMPFS_MODE])
        return duet_cli_invalid(
            error, "is no --mount: a tmpfs has a size and a mode, and no source", text);
    if (is_tmpfs)
        return add_tmpfs(spec, values, readonly, error);
    if (!values[SOURCE] || !*values[SOURCE])
        return duet_cli_invalid(error, "is no --mount: it needs source=", text);
    if (g_str_equal(values[TYPE], "bind"))
        return add_folder(spec, values[SOURCE], values[TARGET], readonly, error);
    if (g_str_equal(values[TYPE], "volume"))
        return add_named(cli, spec, values[SOURCE], values[TARGET], readonly, error);
    return duet_cli_invalid(error, "is no --mount: type is bind, volume or tmpfs", text);
}

gboolean duet_cli_apply_mounts(
    DuetCli *cli, DuetSpec *spec, const DuetRunOptions *options, GError **error)
{
    for (char **volume = options->volumes; volume && *volume; volume++)
        if (!add_volume(cli, spec, *volume, error))
            return FALSE;
    for (char **mount = options->mounts; mount && *mount; mount++)
        if (!add_mount(cli, spec, *mount, error))
            return FALSE;
    return TRUE;
}
