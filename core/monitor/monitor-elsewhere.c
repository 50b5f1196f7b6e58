/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A payload that another manager runs: QEMU below a libvirt daemon. Its cgroup is the daemon's and
 * goes with QEMU; what the daemon knows of it has to be taken away even if our worker died.
 */
#include "monitor-private.h"
#include "core/recover.h"

void monitor_elsewhere_open(Monitor *monitor, char *path)
{
    monitor->info->payload_cgroup = path;
    monitor->elsewhere = path ? duet_cgroup_open_foreign(path) : NULL;
}

void monitor_elsewhere_sample(Monitor *monitor)
{
    DuetCgroupUsage usage;
    if (!monitor->elsewhere || monitor->over)
        return;
    duet_cgroup_usage(monitor->elsewhere, DUET_CGROUP_PAYLOAD,
        DUET_CGROUP_WANT_CPU | DUET_CGROUP_WANT_PEAK, &usage);
    monitor->info->payload_cpu_ns = MAX(monitor->info->payload_cpu_ns, (gint64)usage.cpu_ns);
    monitor->info->peak_memory_bytes =
        MAX(monitor->info->peak_memory_bytes, usage.memory_peak_bytes);
    monitor->info->oom |= usage.oom_kills > 0;
}

void monitor_release_runtime(Monitor *monitor)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = duet_runtime_release(monitor->runtime, &error);
    g_clear_pointer(&monitor->runtime, duet_runtime_free);
    if (ok || !monitor->spec->connect)
        return;
    /* The worker is dead, or its daemon was: somebody else tries once more. */
    g_clear_error(&error);
    if (duet_driver_recover(monitor->context->drivers, monitor->spec, 0, &error))
        return;
    monitor->left_behind = TRUE;
    g_autofree char *first = monitor->info->error;
    monitor->info->error =
        first ? g_strconcat(first, "; ", error->message, NULL) : g_strdup(error->message);
}
