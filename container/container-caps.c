/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * The payload keeps the fourteen capabilities that docker gives, or those that were asked for, and
 * they count in the container's user namespace only. All others leave the bounding set, so no
 * program can bring them back. What the agent needs beyond them it drops for each payload
 * (agent-child.c). Inheritable and ambient sets are empty (CVE-2022-24769). Must be called after
 * everything that needs mounts or ids, and before no_new_privs; the agent, executed as root of the
 * namespace, then gets exactly this set.
 */

#include "container-private.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include "raw.h"

long duet_caps_drop(guint64 kept)
{
    for (int capability = 0; capability < 64; capability++) {
        if ((kept >> capability & 1) != 0)
            continue;
        long result = raw(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
        if (result == -EINVAL)
            break; /* the kernel's last one was before this */
        if (result < 0)
            return result;
    }
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2] = {
        { .effective = (guint32)kept, .permitted = (guint32)kept },
        { .effective = (guint32)(kept >> 32), .permitted = (guint32)(kept >> 32) },
    };
    long result = raw(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return result < 0 ? result : raw(SYS_capset, &header, sets);
}
