/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `run`, `create`, `compare` and `bench` can be asked of an instance, and how it becomes a
 * spec. */
#include "cli/cli.h"
#include "core/util.h"

#include <duet/error.h>

#include <stdio.h>
#include <string.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

GArray *duet_cli_run_options(DuetRunOptions *options)
{
    const GOptionEntry rows[] = {
        { "env", 'e', 0, G_OPTION_ARG_FILENAME_ARRAY, &options->env,
            "set a variable, or pass on the caller's", "NAME[=VALUE]" },
        { "workdir", 'w', 0, G_OPTION_ARG_FILENAME, &options->workdir,
            "working directory in the instance", "DIR" },
        { "user", 'u', 0, G_OPTION_ARG_FILENAME, &options->user,
            "names or numbers, looked up in the image", "USER[:GROUP]" },
        { "hostname", 'h', 0, G_OPTION_ARG_FILENAME, &options->hostname, "host name", "NAME" },
        { "volume", 'v', 0, G_OPTION_ARG_FILENAME_ARRAY, &options->volumes,
            "show a file or folder of the host in the instance, or a volume, which is made if "
            "there is none of that name",
            "HOST|NAME:GUEST[:ro|:rw]" },
        { "mount", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->mounts,
            "the same in other words: type=bind|volume|tmpfs, source=, target=, readonly, "
            "tmpfs-size=, tmpfs-mode=",
            "KEY=VALUE,..." },
        { "read-only", 0, 0, G_OPTION_ARG_NONE, &options->readonly,
            "nothing of the image may be written to; /tmp, /run and /var/tmp are tmpfs", NULL },
        { "tmpfs", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->tmpfs,
            "an empty file system in memory; options: size=SIZE, mode=MODE, ro, exec",
            "DIR[:size=SIZE,...]" },
        { "entrypoint", 0, 0, G_OPTION_ARG_FILENAME, &options->entrypoint,
            "in place of the image's entrypoint", "PROGRAM" },
        { "cap-add", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->cap_add,
            "let root in the instance do more; ALL: all", "CAPABILITY" },
        { "cap-drop", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->cap_drop,
            "let root in the instance do less; ALL: nothing", "CAPABILITY" },
        { "security-opt", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->security,
            "container: seccomp=FILE, a profile in Docker's format, seccomp=unconfined, or "
            "seccomp=builtin (default); apparmor=PROFILE; mask=PATH, unmask=PATH or unmask=ALL",
            "KEY[=VALUE]" },
        { "network", 0, 0, G_OPTION_ARG_FILENAME, &options->network,
            "none: loopback only, the one mode there is yet", "none" },
        { "accel", 0, 0, G_OPTION_ARG_FILENAME, &options->accel,
            "VM: auto, kvm or tcg; auto takes KVM where it works", "ACCEL" },
        { "qemu", 0, 0, G_OPTION_ARG_FILENAME, &options->qemu, "VM: the QEMU binary", "PATH" },
        { "kernel", 0, 0, G_OPTION_ARG_FILENAME, &options->kernel, "VM: the guest's kernel",
            "PATH" },
        { "disk-size", 0, 0, G_OPTION_ARG_FILENAME, &options->disk_size,
            "VM: size of the writable layer's disk, which takes room as it fills (default 10g)",
            "SIZE" },
        { "connect", 0, 0, G_OPTION_ARG_FILENAME, &options->connect,
            "VM: run it by a libvirt daemon, where virsh sees it, such as qemu:///system", "URI" },
    };
    GArray *entries = g_array_new(TRUE, FALSE, sizeof(GOptionEntry));
    duet_cli_limit_options(&options->limits, entries);
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
    g_autoptr(GArray) more = duet_cli_attribute_options(&options->attributes);
    g_array_append_vals(entries, more->data, more->len);
    return entries;
}

void duet_cli_run_options_clear(DuetRunOptions *options)
{
    char *texts[] = { options->workdir, options->user, options->hostname, options->entrypoint,
        options->network, options->accel, options->qemu, options->kernel, options->disk_size,
        options->connect };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    char **lists[] = { options->env, options->volumes, options->cap_add, options->cap_drop,
        options->security, options->tmpfs, options->mounts };
    for (guint i = 0; i < G_N_ELEMENTS(lists); i++)
        g_strfreev(lists[i]);
    duet_cli_limit_options_clear(&options->limits);
    duet_cli_attributes_clear(&options->attributes);
}

char **duet_cli_with_env(char **env, const char *text)
{
    const char *equals = strchr(text, '=');
    g_autofree char *name = equals ? g_strndup(text, (gsize)(equals - text)) : g_strdup(text);
    const char *value = equals ? equals + 1 : getenv(name);
    return value ? g_environ_setenv(env, name, value, TRUE) : env;
}

static char **join(char **first, char **second)
{
    GPtrArray *words = g_ptr_array_new();
    for (; first && *first; first++)
        g_ptr_array_add(words, g_strdup(*first));
    for (; second && *second; second++)
        g_ptr_array_add(words, g_strdup(*second));
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

static void replace(char **place, const char *text)
{
    g_free(*place);
    *place = g_strdup(text);
}

DuetSpec *duet_cli_resolve_image(DuetCli *cli, const char *ref, DuetKind kind,
    const char *entrypoint, char **command, GError **error)
{
    g_autoptr(DuetImage) image = duet_cli_image(cli, ref, error);
    if (!image)
        return NULL;
    if (image->disk && kind != DUET_KIND_VM) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is a disk: it runs as a VM only; give --vm", ref);
        return NULL;
    }
    g_autoptr(DuetSpec) spec = duet_spec_new();
    char *only[] = { (char *)entrypoint, NULL };
    gboolean has_command = command && command[0];
    spec->kind = kind;
    spec->image_ref = g_strdup(image->ref ? image->ref : image->digest);
    spec->image_digest = g_strdup(image->digest);
    g_strfreev(spec->layers);
    spec->layers = g_strdupv(image->layer_dirs);
    g_strfreev(spec->argv);
    if (entrypoint)
        spec->argv = join(*entrypoint ? only : NULL, command);
    else
        spec->argv = join(image->entrypoint, has_command ? command : image->cmd);
    g_strfreev(spec->env);
    spec->env = g_strdupv(image->env);
    if (!g_environ_getenv(spec->env, "PATH"))
        spec->env = duet_cli_with_env(spec->env, DEFAULT_PATH);
    replace(&spec->cwd, image->working_dir);
    spec->user = g_strdup(image->user);
    spec->stop_signal = image->stop_signal;
    spec->labels = image->labels[0] ? g_strdupv(image->labels) : NULL;
    duet_cli_image_health(spec, image);
    if (image->high_ids)
        g_array_append_vals(spec->high_ids, image->high_ids->data, image->high_ids->len);
    if (image->disk) {
        spec->disk_image = g_strdup(image->disk);
        spec->disk_bytes = image->disk_virtual_bytes;
        spec->firmware = g_strdup(image->disk_firmware);
        g_clear_pointer(&spec->env, g_strfreev);
        spec->env = g_new0(char *, 1);
    } else if (kind == DUET_KIND_VM) {
        const DuetImagesOps *images = duet_cli_images(error);
        if (!images)
            return NULL;
        spec->root_disk = images->root_disk(duet_context_store_dir(cli->context), image, error);
        if (!spec->root_disk)
            return NULL;
    }
    return g_steal_pointer(&spec);
}

gboolean duet_cli_invalid(GError **error, const char *why, const char *text)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' %s", text, why);
    return FALSE;
}

/* What ssh, a shell that its configuration names, and whoever copies a message take for no more. */
static gboolean is_ssh_word(const char *word, const char *marks)
{
    for (const char *c = word; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr(marks, *c))
            return FALSE;
    return *word && *word != '-';
}

/* A libvirt that is reached by ssh; whether that is this host's is known when it answers. libvirt
 * takes a scheme in capitals, too, which duet_vm_ssh_is() does not know. */
static gboolean is_by_ssh(const char *uri)
{
    g_autoptr(GUri) parsed = g_str_has_prefix(uri, "qemu+ssh://")
        ? g_uri_parse(uri, G_URI_FLAGS_ENCODED_QUERY, NULL)
        : NULL;
    if (!parsed || !g_uri_get_host(parsed) || g_uri_get_fragment(parsed))
        return FALSE;
    const char *user = g_uri_get_userinfo(parsed);
    const char *path = g_uri_get_path(parsed);
    return is_ssh_word(g_uri_get_host(parsed), "._-:%") &&
        (!user || is_ssh_word(user, "._-+@\\")) &&
        (g_str_equal(path, "/system") || g_str_equal(path, "/session"));
}

/* Without the option $DUET_CONNECT decides, which containers may ignore. */
static gboolean apply_connect(DuetSpec *spec, const char *wanted, GError **error)
{
    const char *uri = wanted ? wanted : g_getenv("DUET_CONNECT");
    if (!uri || !*uri || g_str_equal(uri, "qemu:///embed"))
        return TRUE;
    if (g_str_equal(uri, "qemu:///system") || g_str_equal(uri, "qemu:///session") ||
        is_by_ssh(uri)) {
        spec->connect = g_strdup(uri);
        return TRUE;
    }
    return duet_cli_invalid(error,
        "is no connection that duet knows: use qemu:///system, qemu:///session, "
        "qemu+ssh://[USER@]HOST[:PORT]/system or /session, or qemu:///embed for none",
        uri);
}

static gboolean apply_disk_size(DuetSpec *spec, const char *wanted, GError **error)
{
    guint64 least = spec->disk_image ? spec->disk_bytes : 0;
    if (!wanted)
        return TRUE;
    if (!duet_parse_bytes(wanted, &spec->disk_bytes, error)) {
        g_prefix_error(error, "--disk-size: ");
        return FALSE;
    }
    if (spec->disk_bytes >= least)
        return TRUE;
    g_autofree char *has = duet_format_bytes(least);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--disk-size %s: the disk '%s' has %s already, and can only grow", wanted, spec->image_ref,
        has);
    return FALSE;
}

/* VM options for a container are refused, not ignored. */
static gboolean apply_vm(DuetSpec *spec, const DuetRunOptions *options, GError **error)
{
    const char *vm_only = options->accel ? "--accel"
        : options->qemu                  ? "--qemu"
        : options->kernel                ? "--kernel"
        : options->disk_size             ? "--disk-size"
        : options->connect               ? "--connect"
                                         : NULL;
    if (vm_only && spec->kind != DUET_KIND_VM)
        return duet_cli_invalid(error, "is for VMs only; add --vm", vm_only);
    if (options->accel && !duet_accel_from_string(options->accel, &spec->accel))
        return duet_cli_invalid(error, "is no accelerator: use auto, kvm or tcg", options->accel);
    if (spec->kind == DUET_KIND_VM && !apply_connect(spec, options->connect, error))
        return FALSE;
    /* They may be started from another folder. A name without one is looked up in $PATH. */
    spec->qemu_path = options->qemu && strchr(options->qemu, '/')
        ? g_canonicalize_filename(options->qemu, NULL)
        : g_strdup(options->qemu);
    spec->kernel_path = options->kernel ? g_canonicalize_filename(options->kernel, NULL) : NULL;
    return apply_disk_size(spec, options->disk_size, error);
}

DuetSpec *duet_cli_spec(DuetCli *cli, const DuetRunOptions *options, DuetKind kind, const char *ref,
    char **command, GError **error)
{
    if (options->network && !g_str_equal(options->network, "none")) {
        duet_cli_invalid(error, "is no network mode yet: only --network none (loopback) is there",
            options->network);
        return NULL;
    }
    if (options->workdir && options->workdir[0] != '/') {
        duet_cli_invalid(
            error, "must be an absolute path to be a working directory", options->workdir);
        return NULL;
    }
    g_autoptr(DuetSpec) spec =
        duet_cli_resolve_image(cli, ref, kind, options->entrypoint, command, error);
    if (!spec || !apply_vm(spec, options, error) ||
        !duet_cli_apply_limits(spec, &options->limits, error))
        return NULL;
    if (!duet_cli_apply_attributes(spec, &options->attributes, error))
        return NULL;
    for (char **env = options->env; env && *env; env++)
        spec->env = duet_cli_with_env(spec->env, *env);
    if (options->workdir)
        replace(&spec->cwd, options->workdir);
    if (options->user)
        replace(&spec->user, options->user);
    if (options->hostname)
        replace(&spec->hostname, options->hostname);
    if (!duet_cli_apply_mounts(cli, spec, options, error) ||
        !duet_cli_apply_walls(spec, options, error))
        return NULL;
    return g_steal_pointer(&spec);
}
