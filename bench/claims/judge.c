/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "judge.h"

#include <math.h>
#include <string.h>

#include <duet/error.h>

#include "bench/text.h"
#include "bench/words.h"

/* A quota that is kept within this share of it is kept. */
#define QUOTA_TOLERANCE 0.05
/* A loop that did not get its quota was held back by it only if the host had that much to spare. */
#define IDLE_CPUS_MIN 0.1

gboolean duet_kernel_seen_parse(const char *text, DuetKernelSeen *out_seen, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    if (g_strv_length(lines) < 3 || !*lines[0] || !*lines[1] || !*lines[2]) {
        g_autofree char *line = duet_text_line(text);
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "version, boot id and release of the kernel were wanted, not '%s'", line);
        return FALSE;
    }
    out_seen->version = g_strdup(lines[0]);
    out_seen->boot_id = g_strdup(lines[1]);
    out_seen->release = g_strdup(lines[2]);
    return TRUE;
}

void duet_kernel_seen_clear(DuetKernelSeen *seen)
{
    g_clear_pointer(&seen->release, g_free);
    g_clear_pointer(&seen->version, g_free);
    g_clear_pointer(&seen->boot_id, g_free);
}

void duet_judge_kernel_shared(
    const DuetKernelSeen *host, const DuetKernelSeen *container, DuetFinding *finding)
{
    const char *differs = strcmp(host->release, container->release) != 0 ? N_("release")
        : strcmp(host->version, container->version) != 0                 ? N_("version")
        : strcmp(host->boot_id, container->boot_id) != 0                 ? N_("boot id")
                                                                         : NULL;

    if (differs)
        duet_finding_set(finding, DUET_FINDING_FAILS, "its %s is not the host's", _(differs));
    else
        duet_finding_set(finding, DUET_FINDING_HOLDS,
            "both say %s, with the same version and boot id", host->release);
}

void duet_judge_kernel_own(
    const DuetKernelSeen *host, const DuetKernelSeen *vm, DuetFinding *finding)
{
    if (strcmp(host->boot_id, vm->boot_id) == 0)
        duet_finding_set(finding, DUET_FINDING_FAILS, "its boot id is the host's");
    else if (strcmp(host->version, vm->version) == 0)
        duet_finding_set(finding, DUET_FINDING_HOLDS,
            "started anew by the VM (its boot id differs), though of the host's release, %s",
            host->release);
    else
        duet_finding_set(finding, DUET_FINDING_HOLDS, "the VM's is %s, the host's %s", vm->release,
            host->release);
}

void duet_judge_processes(const DuetProcessesSeen *seen, DuetFinding *finding)
{
    for (guint i = 0; i < 2; i++) {
        if (!seen->own[i] || !seen->by_host[i]) {
            duet_finding_set(finding, DUET_FINDING_UNDECIDED,
                "%s did not find a process that is there: what it does not find tells nothing",
                seen->own[i] ? _("the host") : _("a container"));
            return;
        }
    }
    if (seen->other[0] || seen->other[1])
        duet_finding_set(
            finding, DUET_FINDING_FAILS, "a container found the other's process in its /proc");
    else if (seen->host[0] || seen->host[1])
        duet_finding_set(
            finding, DUET_FINDING_FAILS, "a container found a process of the host in its /proc");
    else
        duet_finding_set(finding, DUET_FINDING_HOLDS,
            "each found its own process, neither the other's nor the host's; the host found both");
}

void duet_judge_throttle(const DuetThrottleSeen *seen, DuetFinding *finding)
{
    double error = seen->share / seen->limit - 1;

    duet_finding_figure(finding, "CPUs", seen->share, NAN, NAN);
    if (error > QUOTA_TOLERANCE)
        duet_finding_set(finding, DUET_FINDING_FAILS, "told %g, %.1f %% more than that was used",
            seen->limit, 100 * error);
    else if (error >= -QUOTA_TOLERANCE)
        duet_finding_set(
            finding, DUET_FINDING_HOLDS, "told %g, off by %+.1f %%", seen->limit, 100 * error);
    else if (seen->idle >= IDLE_CPUS_MIN)
        duet_finding_set(finding, DUET_FINDING_FAILS,
            "told %g, %.1f %% less than that was given, though the host had CPU time to spare",
            seen->limit, -100 * error);
    else
        duet_finding_set(finding, DUET_FINDING_UNDECIDED,
            "told %g, but the host had no CPU time left for it", seen->limit);
}

void duet_judge_layers(const DuetDiskSeen *seen, DuetFinding *finding)
{
    double each = seen->root_bytes / seen->containers / seen->copy_bytes;
    double store = seen->store_bytes / seen->copy_bytes;
    g_autofree char *copy = duet_text_bytes(seen->copy_bytes);
    g_autofree char *grew = duet_text_bytes(seen->root_bytes);
    g_autofree char *store_grew = duet_text_bytes(seen->store_bytes);
    g_autofree char *facts = g_strdup_printf(
        _("%u containers took %s; %u containers and %u VMs changed the store by %s; the image's "
          "layers are %s"),
        seen->containers, grew, seen->containers, seen->vms, store_grew, copy);

    duet_finding_figure(finding, N_("copies of the image per container"), each, NAN, NAN);
    if (each >= 1 || store >= 1)
        duet_finding_set(finding, DUET_FINDING_FAILS, "%s", facts);
    else if (each < 0.5 && store < 0.5)
        duet_finding_set(finding, DUET_FINDING_HOLDS, "%s", facts);
    else
        duet_finding_set(
            finding, DUET_FINDING_UNDECIDED, "the image is too small to tell: %s", facts);
}

void duet_judge_panic(const DuetPanicSeen *seen, DuetFinding *finding)
{
    const char *victim = !seen->host ? N_("the host")
        : !seen->container           ? N_("the container")
        : !seen->vm                  ? N_("the other VM")
                                     : NULL;

    if (!seen->panicked)
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "the guest did not panic: %s",
            seen->end ? seen->end : _("it still runs"));
    else if (victim)
        duet_finding_set(
            finding, DUET_FINDING_FAILS, "after the panic of a guest %s did not answer", _(victim));
    else
        duet_finding_set(finding, DUET_FINDING_HOLDS,
            "the guest's kernel panicked and its VM ended; a container, another VM and the host "
            "still answered");
}
