/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <string.h>

/*
 * "/machine/qemu-1-duet-box.libvirt-qemu/emulator", or with systemd
 * "/machine.slice/machine-qemu\x2d1\x2dduet\x2dbox.scope/libvirt/emulator". A daemon without
 * cgroups leaves QEMU in its own, which is not one VM's.
 */
static gboolean is_of_domain(const char *path, guint domain_id)
{
    g_autofree char *plain = g_strdup_printf("/qemu-%u-", domain_id);
    g_autofree char *escaped = g_strdup_printf("/machine-qemu\\x2d%u\\x2d", domain_id);
    return (strstr(path, plain) || strstr(path, escaped)) && !strchr(path, ' ');
}

char *duet_vm_daemon_cgroup(const char *proc_cgroup, guint domain_id)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(proc_cgroup, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, ":", 3);
        if (g_strv_length(parts) != 3 || !is_of_domain(parts[2], domain_id))
            continue;
        /* Threads are in groups below that of the whole. */
        char *last = strrchr(parts[2], '/');
        if (g_str_equal(last, "/emulator") || g_str_has_prefix(last, "/vcpu"))
            *last = '\0';
        g_string_append_printf(
            text, "%s%s:%s", text->len ? " " : "", *parts[1] ? parts[1] : "v2", parts[2]);
    }
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}
