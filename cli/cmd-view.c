/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VIEWER "remote-viewer"

/* Returns: (transfer full): what the driver said of it, or NULL. */
static char *fact(const DuetInfo *info, const char *key)
{
    g_autoptr(GVariant) value =
        info->facts ? g_variant_lookup_value(info->facts, key, G_VARIANT_TYPE_STRING) : NULL;

    return value ? g_variant_dup_string(value, NULL) : NULL;
}

/* The file that a viewer reads a password from, and removes. Returns: (transfer full) */
static char *write_file(const char *uri, const char *password, GError **error)
{
    g_autofree char *text = g_strdup_printf("[virt-viewer]\ntype=vnc\nhost=127.0.0.1\nport=%s\n"
                                            "password=%s\ndelete-this-file=1\n",
        strrchr(uri, ':') + 1, password);
    char *path = NULL;
    /* Of mode 0600. */
    DUET_AUTO_FD fd = g_file_open_tmp("duet-view-XXXXXX.vv", &path, error);

    if (fd < 0)
        return NULL;
    if (duet_write_all(fd, text, strlen(text)))
        return path;
    duet_error_set_errno(error, errno, "cannot write '%s'", path);
    unlink(path);
    g_free(path);
    return NULL;
}

static gboolean has_display(void)
{
    return g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY");
}

static int show(const char *uri, const char *password, GError **error)
{
    g_autofree char *file = password ? write_file(uri, password, error) : NULL;

    if (password && !file)
        return duet_cli_fail(*error);
    execlp(VIEWER, VIEWER, file ? file : uri, NULL);
    duet_error_set_errno(error, errno, "cannot run " VIEWER);
    if (file)
        unlink(file);
    return duet_cli_fail(*error);
}

static int tell(const char *uri, const char *password)
{
    printf("%s\n", uri);
    if (password)
        printf("password: %s\n", password);
    return 0;
}

/* Returns: (transfer full): where the screen of @instance is, or NULL with @error. */
static DuetInfo *find_screen(DuetInstance *instance, GError **error)
{
    const DuetSpec *spec = duet_instance_spec(instance);

    if (!spec->graphics) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "'%s' has no screen: a disk's VM that is made with --graphics has one; `duet console` "
            "joins its serial console",
            spec->name);
        return NULL;
    }
    g_autoptr(DuetInfo) info = duet_instance_info(instance, error);
    if (!info || duet_info_is_live(info))
        return g_steal_pointer(&info);
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "'%s' does not run: `duet start %s` first",
        spec->name, spec->name);
    return NULL;
}

int duet_cmd_view(DuetCli *cli, int argc, char **argv)
{
    gboolean print = FALSE;
    const GOptionEntry entries[] = {
        { "print", 0, 0, G_OPTION_ARG_NONE, &print, "tell where it is, and start no viewer", NULL },
        G_OPTION_ENTRY_NULL,
    };
    const char *verb = argv[0];
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(verb, entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc != 2)
        return duet_cli_usage(verb, "give one instance");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[1], &error);
    g_autoptr(DuetInfo) info = instance ? find_screen(instance, &error) : NULL;
    if (!info)
        return duet_cli_fail(error);
    g_autofree char *uri = fact(info, "graphics");
    g_autofree char *password = fact(info, "graphics_password");
    g_autofree char *viewer = print || !has_display() ? NULL : g_find_program_in_path(VIEWER);
    if (!uri) {
        g_set_error(&error, DUET_ERROR, DUET_ERROR_STATE, "'%s' has no screen yet: try again",
            duet_instance_spec(instance)->name);
        return duet_cli_fail(error);
    }
    if (viewer)
        return show(uri, password, &error);
    if (!print)
        fprintf(stderr,
            "duet: there is no display, or no " VIEWER " (package virt-viewer): open "
            "this with a viewer\n");
    return tell(uri, password);
}
