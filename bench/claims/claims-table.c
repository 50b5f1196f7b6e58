/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim.h"

#include "bench/words.h"

static const DuetClaim rows[] = {
    {
        .id = "memory",
        .sentence = N_("A container uses less memory than a VM."),
        .how =
            N_("bench memory: what one more VM takes over what one more container takes, by each "
               "estimator"),
        .needs = DUET_CLAIM_MEMORY,
        .try = duet_claim_memory,
    },
    {
        .id = "start",
        .sentence = N_("A container starts faster than a VM."),
        .how = N_("bench boot: medians of the time from request to the first output"),
        .needs = DUET_CLAIM_BOOT,
        .try = duet_claim_start,
    },
    {
        .id = "stop",
        .sentence = N_("A container stops faster than a VM."),
        .how = N_("bench boot: medians of the time from the first output of a short payload until "
                  "all is released"),
        .needs = DUET_CLAIM_BOOT,
        .try = duet_claim_stop,
    },
    {
        .id = "cpu",
        .sentence = N_("A container costs less CPU time to run than a VM."),
        .how = N_("bench boot: medians of the CPU time of managing processes and payload's cgroup "
                  "together"),
        .needs = DUET_CLAIM_BOOT,
        .try = duet_claim_cpu,
    },
    {
        .id = "density",
        .sentence = N_("More containers than VMs fit on a host."),
        .how = N_("bench density: how many of each were reached"),
        .needs = DUET_CLAIM_DENSITY,
        .try = duet_claim_density,
    },
    {
        .id = "kernel-shared",
        .sentence = N_("A container has the host's kernel."),
        .how = N_("uname -r, /proc/version and the kernel's boot id, there and on the host"),
        .needs = DUET_CLAIM_CONTAINER,
        .try = duet_claim_kernel_shared,
    },
    {
        .id = "kernel-own",
        .sentence = N_("A VM runs another kernel."),
        .how = N_("the same in a VM: the boot id is made anew by each start of a kernel"),
        .needs = DUET_CLAIM_VM,
        .try = duet_claim_kernel_own,
    },
    {
        .id = "processes",
        .sentence = N_("Containers can't see each other's processes, nor the host's."),
        .how =
            N_("two run at the same time and look for each other's process, and duet's, in /proc"),
        .needs = DUET_CLAIM_CONTAINER,
        .try = duet_claim_processes,
    },
    {
        .id = "unchanged",
        .sentence = N_("Many instances of one image leave it as it is."),
        .how = N_("digest of all files of its layers before and after instances change theirs"),
        .needs = DUET_CLAIM_CONTAINER,
        .try = duet_claim_unchanged,
    },
    {
        .id = "portable",
        .sentence = N_("One image runs as both kinds, also after export and import elsewhere."),
        .how = N_("files seen by a container and a VM, here and below a temporary root"),
        .needs = DUET_CLAIM_CONTAINER | DUET_CLAIM_VM,
        .try = duet_claim_portable,
    },
    {
        .id = "layers",
        .sentence = N_("Layers are stored once, however many instances use them."),
        .how =
            N_("disk use of the root directory and its store before and after several are started"),
        .needs = DUET_CLAIM_CONTAINER,
        .try = duet_claim_layers,
    },
    {
        .id = "throttle",
        .sentence = N_("A container gets the CPU time that it was allotted."),
        .how =
            N_("a busy loop for 3 s with --cpus 0.5: CPU time of its cgroup over wall time, within "
               "5 %"),
        .needs = DUET_CLAIM_CONTAINER,
        .try = duet_claim_throttle,
    },
    {
        .id = "panic",
        .sentence = N_("A panic of a guest's kernel leaves host and neighbours alive."),
        .how = N_("echo c >/proc/sysrq-trigger in a VM, beside a container and another VM"),
        .needs = DUET_CLAIM_CONTAINER | DUET_CLAIM_VM,
        .try = duet_claim_panic,
    },
    {
        .id = "panic-container",
        .sentence = N_("A panic of a container's kernel takes the host along."),
        .how = N_("not to be tried"),
        .needs = 0,
        .try = duet_claim_panic_container,
    },
    { NULL, NULL, NULL, 0, NULL },
};

const DuetClaim *duet_claims_rows(void)
{
    return rows;
}
