/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hardware of a VM, for `run` and `create`; names and forms are virt-install's. */
#include "cli/cli.h"
#include "core/machine.h"
#include "core/module.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Beside its message, an error that crosses a pipe has its code. */
#define ANSWER_MAX_BYTES (64u << 10)

void duet_cli_machine_options(DuetMachineOptions *options, GArray *entries)
{
    const GOptionEntry rows[] = {
        { "machine", 0, 0, G_OPTION_ARG_FILENAME, &options->machine,
            "VM: QEMU's machine type: q35 (default), pc, or one of a certain version", "TYPE" },
        { "cpu-model", 0, 0, G_OPTION_ARG_FILENAME, &options->cpu_model,
            "VM: the CPU that it sees: host (default with KVM), max (default without), or a model "
            "such as Haswell",
            "MODEL" },
        { "vcpus", 0, 0, G_OPTION_ARG_FILENAME, &options->vcpus,
            "VM: how many CPUs it sees, if not as many as --cpus says; sockets=N and threads=N, "
            "too",
            "N[,maxvcpus=N][,cores=N]..." },
        { "disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->disks,
            "VM: a further disk, /dev/vdc and so on; cache=MODE and io=MODE as libvirt has them",
            "FILE[,format=raw|qcow2][,readonly=on]" },
        { "rng", 0, 0, G_OPTION_ARG_NONE, &options->rng,
            "VM: a virtio-rng, the host's random numbers at /dev/hwrng", NULL },
        { "xml-patch", 0, 0, G_OPTION_ARG_FILENAME, &options->xml_patch,
            "VM: a <domain> of libvirt's XML that is merged into the VM's", "FILE" },
    };
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
}

void duet_cli_machine_options_clear(DuetMachineOptions *options)
{
    g_free(options->machine);
    g_free(options->cpu_model);
    g_free(options->vcpus);
    g_free(options->xml_patch);
    g_strfreev(options->disks);
    *options = (DuetMachineOptions){ 0 };
}

static gboolean apply_disks(DuetSpec *spec, char *const *disks, GError **error)
{
    g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
    for (; disks && *disks; disks++) {
        g_autoptr(DuetDataDisk) disk = duet_data_disk_parse(*disks, error);
        if (!disk)
            return FALSE;
        /* As it was typed: the file's first bytes must not decide. */
        g_strv_builder_add(texts, *disks);
    }
    g_strfreev(spec->disks);
    spec->disks = g_strv_builder_end(texts);
    return TRUE;
}

static gboolean apply_xml_patch(DuetSpec *spec, const char *path, GError **error)
{
    gsize length = 0;
    spec->xml_patch = duet_file_read(AT_FDCWD, path, DUET_VM_XML_PATCH_MAX_BYTES, &length, error);
    if (!spec->xml_patch) {
        g_prefix_error(error, "--xml-patch: ");
        return FALSE;
    }
    return strlen(spec->xml_patch) == length ||
        duet_cli_invalid(error, "is no text: --xml-patch takes XML in UTF-8", path);
}

/* The child's half: @error becomes "code\nmessage"; nothing at all stands for success. */
static void answer(int fd, const DuetSpec *spec)
{
    g_autoptr(GError) error = NULL;
    DuetVmSpecCheck check =
        (DuetVmSpecCheck)(guintptr)duet_module_symbol("duet-vm", "duet_vm_spec_check", &error);
    if (check && check(spec, &error))
        return;
    g_autofree char *text = g_strdup_printf("%d\n%s", error->code, error->message);
    duet_write_all(fd, text, strlen(text));
}

static char *read_answer(int fd)
{
    GString *text = g_string_new(NULL);
    char bytes[4096];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0 && text->len < ANSWER_MAX_BYTES)
            g_string_append_len(text, bytes, n);
    return g_string_free(text, FALSE);
}

/*
 * In a process of its own: what the module brings along, libvirt and threads, must not be in this
 * one, from which the monitor is forked.
 */
static gboolean check_with_driver(const DuetSpec *spec, GError **error)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return duet_error_set_errno(error, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        answer(ends[1], spec);
        _exit(0);
    }
    int err = errno;
    close(ends[1]);
    g_autofree char *text = pid > 0 ? read_answer(ends[0]) : g_strdup("");
    close(ends[0]);
    if (pid < 0)
        return duet_error_set_errno(error, err, "cannot fork");
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    char *message = strchr(text, '\n');
    if (message) {
        g_set_error_literal(error, DUET_ERROR, atoi(text), message + 1);
        return FALSE;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED,
        "the check of the VM's hardware ended without an answer");
    return FALSE;
}

/* Now that they passed as they were typed, formats and files are fixed: see data-disk.h. */
static gboolean fix_disks(DuetSpec *spec, GError **error)
{
    for (char **text = spec->disks; text && *text; text++) {
        g_autoptr(DuetDataDisk) disk = duet_data_disk_parse(*text, NULL);
        for (DuetDataDisk *file = disk; file; file = file->backing) {
            char *path = realpath(file->path, NULL);
            if (!path)
                return duet_error_set_errno(error, errno, "cannot use '%s' as a disk", file->path);
            g_free(file->path);
            file->path = path;
        }
        g_free(*text);
        *text = duet_data_disk_to_text(disk);
    }
    return TRUE;
}

char *duet_cli_check_disk(const DuetSpec *of, const char *text, GError **error)
{
    g_autoptr(DuetSpec) spec = duet_spec_copy(of);
    g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
    if (spec->kind != DUET_KIND_VM) {
        duet_cli_invalid(error, "is a container, and only VMs have disks; see -v", spec->name);
        return NULL;
    }
    if (spec->disks)
        g_strv_builder_addv(texts, (const char **)spec->disks);
    g_strv_builder_add(texts, text);
    g_auto(GStrv) disks = g_strv_builder_end(texts);
    if (!apply_disks(spec, disks, error) || !check_with_driver(spec, error) ||
        !fix_disks(spec, error))
        return NULL;
    return g_strdup(spec->disks[g_strv_length(spec->disks) - 1]);
}

gboolean duet_cli_apply_machine(DuetSpec *spec, const DuetMachineOptions *options, GError **error)
{
    const char *given = options->machine ? "--machine"
        : options->cpu_model             ? "--cpu-model"
        : options->vcpus                 ? "--vcpus"
        : options->disks                 ? "--disk"
        : options->rng                   ? "--rng"
        : options->xml_patch             ? "--xml-patch"
                                         : NULL;
    if (!given && !spec->disk_image)
        return TRUE;
    if (spec->kind != DUET_KIND_VM)
        return duet_cli_invalid(error, "is for VMs only; add --vm", given);
    spec->machine = g_strdup(options->machine);
    spec->cpu_model = g_strdup(options->cpu_model);
    spec->rng = options->rng;
    if ((options->vcpus && !duet_topology_parse(options->vcpus, &spec->topology, error)) ||
        (options->disks && !apply_disks(spec, options->disks, error)) ||
        (options->xml_patch && !apply_xml_patch(spec, options->xml_patch, error)))
        return FALSE;
    /* The rest can be had everywhere. */
    gboolean asks_host = spec->disk_image || options->machine || options->cpu_model ||
        options->disks || options->xml_patch;
    return !asks_host || (check_with_driver(spec, error) && fix_disks(spec, error));
}
