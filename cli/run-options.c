/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `run`, `create`, `compare` and `bench` can be asked of an instance, and how it becomes a
 * spec. */
#include "cli/cli.h"
#include "core/module.h"
#include "core/util.h"

#include <duet/confine.h>
#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* cpu.cfs_quota_us takes no less than 1 ms in each 100 ms. */
#define CPUS_MIN 0.01
/* Docker's own profile has 20 kB. */
#define PROFILE_MAX_BYTES (1u << 20)

GArray *duet_cli_run_options(DuetRunOptions *options)
{
    const GOptionEntry rows[] = {
        { "memory", 'm', 0, G_OPTION_ARG_FILENAME, &options->memory,
            "memory limit, or a VM's RAM (default 256m, 80m at least); such as 512m, 2g", "SIZE" },
        { "cpus", 0, 0, G_OPTION_ARG_DOUBLE, &options->cpus, "CPU time in CPUs, such as 0.5, 2",
            "N" },
        { "pids-limit", 0, 0, G_OPTION_ARG_INT64, &options->pids_limit,
            "how many processes; -1: no limit", "N" },
        { "env", 'e', 0, G_OPTION_ARG_FILENAME_ARRAY, &options->env,
            "set a variable, or pass on the caller's", "NAME[=VALUE]" },
        { "workdir", 'w', 0, G_OPTION_ARG_FILENAME, &options->workdir,
            "working directory in the instance", "DIR" },
        { "user", 'u', 0, G_OPTION_ARG_FILENAME, &options->user,
            "names or numbers, looked up in the image", "USER[:GROUP]" },
        { "hostname", 'h', 0, G_OPTION_ARG_FILENAME, &options->hostname, "host name", "NAME" },
        { "volume", 'v', 0, G_OPTION_ARG_FILENAME_ARRAY, &options->volumes,
            "show a file or folder of the host in the instance", "HOST:GUEST[:ro|:rw]" },
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
            "seccomp=builtin (default)",
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
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
    return entries;
}

void duet_cli_run_options_clear(DuetRunOptions *options)
{
    char *texts[] = { options->memory, options->workdir, options->user, options->hostname,
        options->entrypoint, options->network, options->accel, options->qemu, options->kernel,
        options->disk_size, options->connect };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    char **lists[] = { options->env, options->volumes, options->cap_add, options->cap_drop,
        options->security, options->tmpfs };
    for (guint i = 0; i < G_N_ELEMENTS(lists); i++)
        g_strfreev(lists[i]);
}

static char **with_env(char **env, const char *text)
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
        spec->env = with_env(spec->env, DEFAULT_PATH);
    replace(&spec->cwd, image->working_dir);
    spec->user = g_strdup(image->user);
    spec->stop_signal = image->stop_signal;
    if (image->high_ids)
        g_array_append_vals(spec->high_ids, image->high_ids->data, image->high_ids->len);
    if (kind == DUET_KIND_VM) {
        const DuetImagesOps *images = duet_cli_images(error);
        if (!images)
            return NULL;
        spec->root_disk = images->root_disk(duet_context_store_dir(cli->context), image, error);
        if (!spec->root_disk)
            return NULL;
    }
    return g_steal_pointer(&spec);
}

static gboolean invalid(GError **error, const char *why, const char *text)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' %s", text, why);
    return FALSE;
}

static gboolean add_volume(DuetSpec *spec, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    guint n = g_strv_length(parts);
    gboolean readonly = n == 3 && g_str_equal(parts[2], "ro");
    if (n < 2 || n > 3 || (n == 3 && !readonly && !g_str_equal(parts[2], "rw")))
        return invalid(error, "is no volume: use HOST:GUEST or HOST:GUEST:ro", text);
    if (!*parts[0] || parts[1][0] != '/' || g_str_equal(parts[1], "/"))
        return invalid(error, "is no volume: GUEST must be an absolute path, not /", text);
    char *source = realpath(parts[0], NULL);
    if (!source)
        return duet_error_set_errno(error, errno, "cannot share '%s'", parts[0]);
    g_ptr_array_add(spec->mounts, duet_mount_new(source, parts[1], readonly));
    free(source);
    return TRUE;
}

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
            return invalid(error, "has a mode that is none: use mode=755 or the like", text);
        g_string_append_printf(out, ",mode=%" G_GINT64_MODIFIER "o", mode);
    } else if (g_str_equal(option, "ro")) {
        tmpfs->readonly = TRUE;
    } else if (g_str_equal(option, "exec")) {
        tmpfs->exec = TRUE;
    } else if (!g_strv_contains(
                   (const char *const[]){ "rw", "noexec", "nosuid", "nodev", NULL }, option)) {
        return invalid(error, "has an option that a tmpfs has not: size=, mode=, ro, exec", text);
    }
    return TRUE;
}

static gboolean add_tmpfs(DuetSpec *spec, const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    g_autofree char *target = colon ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
    g_auto(GStrv) options = g_strsplit(colon ? colon + 1 : "", ",", -1);
    g_autoptr(GString) data = g_string_new(NULL);
    if (target[0] != '/' || duet_path_depth(target) == 0)
        return invalid(error, "is no place for a tmpfs: use an absolute path, not /", text);
    DuetTmpfs *tmpfs = duet_tmpfs_new(target, NULL, FALSE, FALSE);
    g_ptr_array_add(spec->tmpfs, tmpfs);
    for (char **option = options; *option; option++)
        if (!add_tmpfs_option(data, tmpfs, *option, text, error))
            return FALSE;
    if (data->len > 0)
        tmpfs->options = g_strdup(data->str + 1);
    return TRUE;
}

static gboolean has_mount(const DuetSpec *spec, const char *target)
{
    for (guint i = 0; i < spec->mounts->len; i++)
        if (g_str_equal(((const DuetMount *)spec->mounts->pdata[i])->target, target))
            return TRUE;
    for (guint i = 0; i < spec->tmpfs->len; i++)
        if (g_str_equal(((const DuetTmpfs *)spec->tmpfs->pdata[i])->target, target))
            return TRUE;
    return FALSE;
}

/* What programs expect to be able to write to, as podman has it. */
static gboolean apply_readonly(DuetSpec *spec, GError **error)
{
    static const char *const scratch[] = { "/tmp", "/run", "/var/tmp" };
    spec->readonly = TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(scratch); i++)
        if (!has_mount(spec, scratch[i]) && !add_tmpfs(spec, scratch[i], error))
            return FALSE;
    return TRUE;
}

static gboolean apply_limits(DuetSpec *spec, const DuetRunOptions *options, GError **error)
{
    if (options->memory && !duet_parse_bytes(options->memory, &spec->memory_bytes, error)) {
        g_prefix_error(error, "--memory: ");
        return FALSE;
    }
    if (options->disk_size && !duet_parse_bytes(options->disk_size, &spec->disk_bytes, error)) {
        g_prefix_error(error, "--disk-size: ");
        return FALSE;
    }
    double cpus = options->cpus;
    if (cpus != 0 && (!(cpus >= CPUS_MIN) || cpus > (double)sysconf(_SC_NPROCESSORS_CONF))) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--cpus %g: this host can give %g to %ld", cpus, CPUS_MIN,
            sysconf(_SC_NPROCESSORS_CONF));
        return FALSE;
    }
    /* podman: -1 is no limit. */
    if (options->pids_limit < -1) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--pids-limit %" G_GINT64_FORMAT ": use a number above 0, or -1 for no limit",
            options->pids_limit);
        return FALSE;
    }
    spec->cpus = cpus;
    spec->pids_limit = options->pids_limit > 0 ? (guint64)options->pids_limit : 0;
    return TRUE;
}

/* Without the option $DUET_CONNECT decides, which containers may ignore. */
static gboolean apply_connect(DuetSpec *spec, const char *wanted, GError **error)
{
    const char *uri = wanted ? wanted : g_getenv("DUET_CONNECT");
    if (!uri || !*uri || g_str_equal(uri, "qemu:///embed"))
        return TRUE;
    if (g_str_equal(uri, "qemu:///system") || g_str_equal(uri, "qemu:///session")) {
        spec->connect = g_strdup(uri);
        return TRUE;
    }
    const char *authority = strstr(uri, "://");
    if (authority && (strstr(uri, "+ssh://") || strstr(uri, "+tls://") || authority[3] != '/'))
        return invalid(error,
            "is a libvirt of another host: duet can't run VMs there yet; use qemu:///system or "
            "qemu:///session",
            uri);
    return invalid(error,
        "is no connection that duet knows: use qemu:///system, qemu:///session, or qemu:///embed "
        "for none",
        uri);
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
        return invalid(error, "is for VMs only; add --vm", vm_only);
    if (options->accel && !duet_accel_from_string(options->accel, &spec->accel))
        return invalid(error, "is no accelerator: use auto, kvm or tcg", options->accel);
    if (spec->kind == DUET_KIND_VM && !apply_connect(spec, options->connect, error))
        return FALSE;
    /* They may be started from another folder. A name without one is looked up in $PATH. */
    spec->qemu_path = options->qemu && strchr(options->qemu, '/')
        ? g_canonicalize_filename(options->qemu, NULL)
        : g_strdup(options->qemu);
    spec->kernel_path = options->kernel ? g_canonicalize_filename(options->kernel, NULL) : NULL;
    if (spec->kind == DUET_KIND_VM && spec->memory_bytes &&
        spec->memory_bytes < DUET_VM_MEMORY_MIN_BYTES) {
        g_autofree char *least = duet_format_bytes(DUET_VM_MEMORY_MIN_BYTES);
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--memory %s: a VM needs at least %s of RAM to boot", options->memory, least);
        return FALSE;
    }
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
                return invalid(error, "is no capability: see capabilities(7)", *name);
            *out_all |= all;
            *out_mask |= all ? 0 : G_GUINT64_CONSTANT(1) << number;
        }
    }
    return TRUE;
}

static gboolean apply_capabilities(
    DuetSpec *spec, const DuetRunOptions *options, const DuetConfineOps *confine, GError **error)
{
    guint64 add, drop;
    gboolean add_all, drop_all;
    if (!read_capabilities(confine, options->cap_add, &add, &add_all, error) ||
        !read_capabilities(confine, options->cap_drop, &drop, &drop_all, error))
        return FALSE;
    if ((add & drop) != 0 || (add_all && drop_all)) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            "a capability is both added and dropped: leave one of --cap-add and --cap-drop out");
        return FALSE;
    }
    guint64 base = add_all ? DUET_CAPABILITIES_ALL : drop_all ? 0 : duet_spec_capabilities(spec);
    if (options->cap_add || options->cap_drop)
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
    return spec->seccomp != NULL;
}

static gboolean apply_security(DuetSpec *spec, const char *option, GError **error)
{
    static const char seccomp[] = "seccomp=";
    if (g_str_has_prefix(option, seccomp) && spec->kind == DUET_KIND_VM)
        return invalid(error, "is for containers only: a VM's kernel is its own", option);
    if (g_str_has_prefix(option, seccomp))
        return apply_seccomp(spec, option + strlen(seccomp), error);
    /* There is nothing else. */
    if (g_str_equal(option, "no-new-privileges") || g_str_equal(option, "no-new-privileges=true") ||
        g_str_equal(option, "no-new-privileges:true"))
        return TRUE;
    return invalid(error,
        "is no security option that duet has: use seccomp=FILE, seccomp=unconfined or "
        "seccomp=builtin",
        option);
}

/* A profile that can't be is told here, not by a monitor. */
static gboolean apply_walls(DuetSpec *spec, const DuetRunOptions *options, GError **error)
{
    if (!options->cap_add && !options->cap_drop && !options->security)
        return TRUE;
    if (spec->kind == DUET_KIND_NATIVE)
        return invalid(error,
            "has no walls: --cap-add, --cap-drop and --security-opt are for others", "native");
    const DuetConfineOps *confine = duet_module_symbol("duet-confine", "duet_confine", error);
    if (!confine || !apply_capabilities(spec, options, confine, error))
        return FALSE;
    for (char **option = options->security; option && *option; option++)
        if (!apply_security(spec, *option, error))
            return FALSE;
    if (!spec->seccomp || g_str_equal(spec->seccomp, DUET_SECCOMP_UNCONFINED))
        return TRUE;
    g_autoptr(GBytes) filter = confine->seccomp(spec->seccomp, duet_spec_capabilities(spec), error);
    return filter != NULL;
}

DuetSpec *duet_cli_spec(DuetCli *cli, const DuetRunOptions *options, DuetKind kind, const char *ref,
    char **command, GError **error)
{
    if (options->network && !g_str_equal(options->network, "none")) {
        invalid(error, "is no network mode yet: only --network none (loopback) is there",
            options->network);
        return NULL;
    }
    if (options->workdir && options->workdir[0] != '/') {
        invalid(error, "must be an absolute path to be a working directory", options->workdir);
        return NULL;
    }
    g_autoptr(DuetSpec) spec =
        duet_cli_resolve_image(cli, ref, kind, options->entrypoint, command, error);
    if (!spec || !apply_limits(spec, options, error) || !apply_vm(spec, options, error) ||
        !apply_walls(spec, options, error))
        return NULL;
    for (char **env = options->env; env && *env; env++)
        spec->env = with_env(spec->env, *env);
    if (options->workdir)
        replace(&spec->cwd, options->workdir);
    if (options->user)
        replace(&spec->user, options->user);
    if (options->hostname)
        replace(&spec->hostname, options->hostname);
    for (char **volume = options->volumes; volume && *volume; volume++)
        if (!add_volume(spec, *volume, error))
            return NULL;
    for (char **tmpfs = options->tmpfs; tmpfs && *tmpfs; tmpfs++)
        if (!add_tmpfs(spec, *tmpfs, error))
            return NULL;
    if (options->readonly && !apply_readonly(spec, error))
        return NULL;
    return g_steal_pointer(&spec);
}
