/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk guests, for `run` and `create`: what they can be told, and what is nothing for them. */
#include "cli/cli.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <fcntl.h>
#include <string.h>

void duet_cli_disk_options(DuetDiskOptions *options, GArray *entries)
{
    const GOptionEntry rows[] = {
        { "firmware", 0, 0, G_OPTION_ARG_FILENAME, &options->firmware,
            "disk: bios or uefi, if not as the disk needs it (bios)", "FIRMWARE" },
        { "user-data", 0, 0, G_OPTION_ARG_FILENAME, &options->user_data,
            "disk: what its cloud-init is told, such as a #cloud-config", "FILE" },
        { "network-config", 0, 0, G_OPTION_ARG_FILENAME, &options->network_config,
            "disk: how its cloud-init sets up its network, of version 1 or 2", "FILE" },
        { "ssh-key", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->ssh_keys,
            "disk: public keys for the user that its cloud-init makes", "FILE" },
        { "wait", 0, 0, G_OPTION_ARG_FILENAME, &options->wait,
            "disk: it counts as started when its guest agent answers, or tells of an address, its "
            "console has a match, or as soon as it runs (none, the default)",
            "agent|ip|console:REGEX|none" },
        { "graphics", 0, 0, G_OPTION_ARG_FILENAME, &options->graphics,
            "disk: a screen, which `duet view` shows: by VNC at a socket, or on the loopback "
            "device with a password",
            "unix|loopback" },
    };
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
}

void duet_cli_disk_options_clear(DuetDiskOptions *options)
{
    g_free(options->firmware);
    g_free(options->user_data);
    g_free(options->network_config);
    g_free(options->wait);
    g_free(options->graphics);
    g_strfreev(options->ssh_keys);
}

/* An option that was given for nothing: whose work it is instead. */
typedef struct {
    gboolean given;
    const char *option;
    const char *why;
} Refusal;

#define OWN_PROGRAMS "it starts its own programs: tell it with --user-data, or use `duet exec`"
#define OWN_SYSTEM "it is a system of its own, which sets that itself: tell it with --user-data"

static gboolean refuse(const DuetSpec *spec, const DuetRunOptions *run, GError **error)
{
    const DuetAttributes *attributes = &run->attributes;
    const Refusal refusals[] = {
        { spec->argv[0] != NULL && !run->entrypoint, "a command", OWN_PROGRAMS },
        { run->entrypoint != NULL, "--entrypoint", OWN_PROGRAMS },
        { run->env != NULL, "--env", OWN_PROGRAMS },
        { attributes->env_files != NULL, "--env-file", OWN_PROGRAMS },
        { run->workdir != NULL, "--workdir", OWN_PROGRAMS },
        { run->user != NULL, "--user", OWN_PROGRAMS },
        { attributes->groups != NULL, "--group-add", OWN_PROGRAMS },
        { attributes->ulimits != NULL, "--ulimit", OWN_SYSTEM },
        { attributes->sysctls != NULL, "--sysctl", OWN_SYSTEM },
        { attributes->shm_size != NULL, "--shm-size", OWN_SYSTEM },
        { run->readonly, "--read-only", OWN_SYSTEM },
        { spec->tmpfs->len > 0, "a tmpfs", OWN_SYSTEM },
        { run->cap_add != NULL, "--cap-add", OWN_SYSTEM },
        { run->cap_drop != NULL, "--cap-drop", OWN_SYSTEM },
        { attributes->stop_signal != NULL, "--stop-signal", "it is stopped by its power button" },
        { run->kernel != NULL, "--kernel", "it boots the kernel that it has" },
    };
    for (guint i = 0; i < G_N_ELEMENTS(refusals); i++) {
        if (!refusals[i].given)
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "%s can't be given to the disk '%s': %s",
            refusals[i].option, spec->image_ref, refusals[i].why);
        return FALSE;
    }
    return TRUE;
}

static gboolean refuse_for_images(
    const DuetSpec *spec, const DuetDiskOptions *options, GError **error)
{
    const char *given = options->firmware ? "--firmware"
        : options->user_data              ? "--user-data"
        : options->network_config         ? "--network-config"
        : options->ssh_keys               ? "--ssh-key"
        : options->wait                   ? "--wait"
        : options->graphics               ? "--graphics"
                                          : NULL;
    if (!given)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "%s is for disks only, and '%s' is none (`duet image import` takes a qcow2)", given,
        spec->image_ref);
    return FALSE;
}

static gboolean apply_firmware(DuetSpec *spec, const char *firmware, GError **error)
{
    if (!firmware)
        return TRUE;
    if (!g_str_equal(firmware, DUET_FIRMWARE_BIOS) && !g_str_equal(firmware, DUET_FIRMWARE_UEFI))
        return duet_cli_invalid(error, "is no firmware: use bios or uefi", firmware);
    g_free(spec->firmware);
    spec->firmware = g_strdup(firmware);
    return TRUE;
}

static gboolean apply_graphics(DuetSpec *spec, const char *graphics, GError **error)
{
    if (graphics && !g_str_equal(graphics, DUET_GRAPHICS_UNIX) &&
        !g_str_equal(graphics, DUET_GRAPHICS_LOOPBACK))
        return duet_cli_invalid(error, "is no place for a screen: use unix or loopback", graphics);
    spec->graphics = g_strdup(graphics);
    return TRUE;
}

/* What @option, which may not be given, names by @path. */
static gboolean apply_text(char **text, const char *option, const char *path, GError **error)
{
    gsize length = 0;
    if (!path)
        return TRUE;
    *text = duet_file_read(AT_FDCWD, path, DUET_VM_USER_DATA_MAX_BYTES, &length, error);
    if (!*text) {
        g_prefix_error(error, "%s: ", option);
        return FALSE;
    }
    if (strlen(*text) == length && g_utf8_validate(*text, -1, NULL))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no text: %s takes what cloud-init reads", path, option);
    return FALSE;
}

static gboolean add_key(GStrvBuilder *keys, const char *path, const char *line, GError **error)
{
    if (strstr(line, "PRIVATE KEY"))
        return duet_cli_invalid(
            error, "is a private key: give the public one, whose name ends in .pub", path);
    if (!strchr(line, ' ') || !g_utf8_validate(line, -1, NULL))
        return duet_cli_invalid(error,
            "has a line that is no public key: --ssh-key takes lines such as 'ssh-ed25519 AAAA...'",
            path);
    g_strv_builder_add(keys, line);
    return TRUE;
}

static gboolean apply_keys(DuetSpec *spec, char *const *paths, GError **error)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new();
    for (; paths && *paths; paths++) {
        g_auto(GStrv) lines =
            duet_cli_lines("--ssh-key", *paths, DUET_VM_USER_DATA_MAX_BYTES, error);
        if (!lines)
            return FALSE;
        if (!lines[0])
            return duet_cli_invalid(error, "has no public key in it (--ssh-key)", *paths);
        for (char **line = lines; *line; line++)
            if (!add_key(keys, *paths, *line, error))
                return FALSE;
    }
    spec->ssh_keys = g_strv_builder_end(keys);
    return TRUE;
}

/* Its cloud-init would take none of the seed for one that is no text, and its kernel has bounds. */
static gboolean check_hostname(const DuetSpec *spec, GError **error)
{
    return g_regex_match_simple("^[A-Za-z0-9][-.A-Za-z0-9]{0,63}$", spec->hostname,
               G_REGEX_RAW | G_REGEX_DOLLAR_ENDONLY, 0) ||
        duet_cli_invalid(error,
            "is no host name for a whole system: use at most 64 letters, digits, hyphens and dots",
            spec->hostname);
}

gboolean duet_cli_apply_disk(
    DuetSpec *spec, const DuetDiskOptions *options, const DuetRunOptions *run, GError **error)
{
    if (!spec->disk_image)
        return refuse_for_images(spec, options, error);
    if (!refuse(spec, run, error) || !apply_firmware(spec, options->firmware, error) ||
        !apply_text(&spec->user_data, "--user-data", options->user_data, error) ||
        !apply_text(&spec->network_config, "--network-config", options->network_config, error) ||
        !apply_keys(spec, options->ssh_keys, error) ||
        !apply_graphics(spec, options->graphics, error) || !check_hostname(spec, error))
        return FALSE;
    if (options->wait && !g_str_equal(options->wait, "none"))
        spec->wait = g_strdup(options->wait);
    if (!run->attributes.stop_timeout)
        spec->stop_timeout_s = DUET_DISK_STOP_TIMEOUT_S;
    /* Its serial console, whoever is there. */
    spec->tty = spec->open_stdin = TRUE;
    return TRUE;
}
