/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/code-cache.h"

#include <duet/error.h>

#include <libvirt/libvirt-qemu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGION_MIN_BYTES (2u << 20)
#define REGIONS_PER_VCPU 8

gboolean duet_code_cache_has_room(const char *info, guint vcpus, guint vcpus_max, guint more)
{
    const char *line = strstr(info, "gen code size");
    guint64 used, room;
    if (!line ||
        sscanf(line, "gen code size %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, &used, &room) != 2)
        return TRUE;
    /* Some KiB of each region are no room. */
    guint64 fits = (room + REGION_MIN_BYTES - 1) / REGION_MIN_BYTES;
    guint64 regions = MAX(MIN(fits, (guint64)vcpus_max * REGIONS_PER_VCPU), vcpus_max);
    guint64 region_bytes = regions > 0 ? room / regions : 0;
    if (region_bytes == 0)
        return TRUE;
    guint64 full = (used + region_bytes / 2) / region_bytes;
    return full + vcpus + more <= regions;
}

gboolean duet_code_cache_check(virDomainPtr domain, guint vcpus, guint more, GError **error)
{
    int max = virDomainGetVcpusFlags(domain, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_VCPU_MAXIMUM);
    char *info = NULL;
    if (max <= 0 ||
        virDomainQemuMonitorCommand(
            domain, "info jit", &info, VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) < 0)
        return TRUE;
    gboolean has_room = duet_code_cache_has_room(info, vcpus, (guint)max, more);
    free(info);
    if (!has_room)
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE,
            "QEMU's code cache is too full for more vCPUs, and its TCG would end the VM: empty it "
            "by `duet save` and `duet restore`, or wait until its guest has filled it, and try "
            "again");
    return has_room;
}
