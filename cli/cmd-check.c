/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this host can do, and what to do about a no. Each layer brings its own lines. */
#include "cli/cli.h"
#include "core/cgroup/cgroup.h"
#include "core/module.h"
#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#define DISK_WANTED_BYTES (G_GUINT64_CONSTANT(2) << 30)

static const char *const status_names[] = {
    [DUET_CHECK_OK] = "ok",
    [DUET_CHECK_WARN] = "warning",
    [DUET_CHECK_NO] = "no",
};

static void add_all(GPtrArray *checks, GPtrArray *more)
{
    if (more)
        g_ptr_array_extend_and_steal(checks, more);
}

static void check_kernel(GPtrArray *checks)
{
    struct utsname name;
    uname(&name);
    g_ptr_array_add(checks, duet_check_new("kernel", DUET_CHECK_OK, name.release, NULL));
}

static void check_disk(DuetCli *cli, GPtrArray *checks)
{
    struct statvfs fs;
    const char *store = duet_context_store_dir(cli->context);
    g_autofree char *root = g_path_get_dirname(store);
    if (statvfs(root, &fs) < 0)
        return;
    guint64 free_bytes = (guint64)fs.f_bavail * fs.f_frsize;
    g_autofree char *size = duet_format_bytes(free_bytes);
    g_autofree char *detail = g_strdup_printf("%s free in %s", size, root);
    gboolean enough = free_bytes >= DISK_WANTED_BYTES;
    g_ptr_array_add(checks,
        duet_check_new("disk", enough ? DUET_CHECK_OK : DUET_CHECK_WARN, detail,
            enough ? NULL : "images and VM disks want 2 GiB; free some or choose --root"));
}

static void check_drivers(GPtrArray *checks)
{
    for (const DuetDriverEntry *entry = duet_drivers; entry->ops || entry->module; entry++) {
        g_autoptr(GError) error = NULL;
        const DuetDriverOps *ops = duet_driver_load(entry, &error);
        if (ops && ops->check)
            add_all(checks, ops->check());
        else if (!ops)
            g_ptr_array_add(checks,
                duet_check_new(duet_kind_to_string(entry->kind), DUET_CHECK_NO, error->message,
                    "build and install duet with the VM driver (libvirt) to run VMs"));
    }
}

static gboolean print_json(GPtrArray *checks, GError **error)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < checks->len; i++) {
        const DuetCheck *check = checks->pdata[i];
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        g_variant_dict_insert(&dict, "name", "s", check->name);
        g_variant_dict_insert(&dict, "status", "s", status_names[check->status]);
        g_variant_dict_insert(&dict, "detail", "s", check->detail);
        g_variant_dict_insert(&dict, "advice", "ms", check->advice);
        g_variant_builder_add_value(&list, g_variant_dict_end(&dict));
    }
    return duet_cli_print_json(g_variant_builder_end(&list), error);
}

static void print_lines(GPtrArray *checks)
{
    for (guint i = 0; i < checks->len; i++) {
        const DuetCheck *check = checks->pdata[i];
        printf("%-8s %-16s %s\n", status_names[check->status], check->name, check->detail);
        if (check->advice)
            printf("%-8s %-16s -> %s\n", "", "", check->advice);
    }
}

/* Does now what the first VM would have to do: fetches a guest kernel where there is none. */
static int prepare(void)
{
    g_autoptr(GError) error = NULL;
    DuetGuestKernelEnsure ensure = (DuetGuestKernelEnsure)(guintptr)duet_module_symbol(
        "duet-vm", "duet_guest_kernel_ensure", &error);
    g_autofree char *kernel = ensure ? ensure(NULL, &error) : NULL;
    if (!kernel)
        return duet_cli_fail(error);
    printf("%s\n", kernel);
    return 0;
}

int duet_cmd_check(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean json, prepare_vm = FALSE;
    const GOptionEntry entries[] = {
        { "prepare", 0, 0, G_OPTION_ARG_NONE, &prepare_vm,
            "fetch a guest kernel for VMs where there is none", NULL },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "json or table", "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error) ||
        !duet_cli_format_is_json(format, &json, &error) || !duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    if (argc > 1)
        return duet_cli_usage("check", "'%s' is one argument too many", argv[1]);
    if (prepare_vm)
        return prepare();
    g_autoptr(GPtrArray) checks = g_ptr_array_new_with_free_func((GDestroyNotify)duet_check_free);
    check_kernel(checks);
    add_all(checks, duet_rootless_check());
    add_all(checks, duet_cgroup_check());
    check_drivers(checks);
    check_disk(cli, checks);
    if (!json)
        print_lines(checks);
    else if (!print_json(checks, &error))
        return duet_cli_fail(error);
    /* A no is an answer, not a failure of the question. */
    return 0;
}
