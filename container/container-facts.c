/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a figure of a container depends on. A filter and capabilities are told as they were asked
 * for, as a start fails where the kernel does not take them; AppArmor's profile is read, as one
 * that nobody asked for is inherited.
 */

#include "container-private.h"

#include <sys/prctl.h>
#include <sys/utsname.h>

#include "core/attributes.h"

/* Returns: (transfer full): a profile of the user's is told by its text's digest. */
static char *seccomp_text(const DuetSpec *spec)
{
    if (spec->seccomp == NULL)
        return g_strdup("builtin");
    if (g_str_equal(spec->seccomp, DUET_SECCOMP_UNCONFINED))
        return g_strdup(spec->seccomp);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, spec->seccomp, -1);
    return g_strconcat("sha256:", digest, NULL);
}

/* "All" are those that this kernel has. Returns: (transfer full): as /proc/PID/status has them. */
static char *capabilities_text(const DuetSpec *spec)
{
    guint64 kept = duet_spec_capabilities(spec);
    for (int i = 63; i >= 0; i--) {
        guint64 bit = G_GUINT64_CONSTANT(1) << i;
        if ((kept & bit) == 0)
            continue;
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0)
            break; /* and so has it all below */
        kept &= ~bit;
    }
    return g_strdup_printf("%016" G_GINT64_MODIFIER "x", kept);
}

GVariant *duet_container_facts(const DuetSpec *spec, pid_t pid)
{
    g_autofree char *seccomp = seccomp_text(spec), *capabilities = capabilities_text(spec);
    g_autofree char *apparmor = duet_apparmor_profile(pid);
    struct utsname name;
    GVariantDict facts;
    uname(&name);
    g_variant_dict_init(&facts, NULL);
    g_variant_dict_insert(&facts, "kernel", "s", name.release);
    g_variant_dict_insert(&facts, "seccomp", "s", seccomp);
    g_variant_dict_insert(&facts, "capabilities", "s", capabilities);
    g_variant_dict_insert(&facts, "apparmor", "s", apparmor != NULL ? apparmor : "off");
    g_variant_dict_insert(&facts, "user_namespace", "b", TRUE);
    return g_variant_ref_sink(g_variant_dict_end(&facts));
}
