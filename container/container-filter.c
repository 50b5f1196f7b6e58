/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which system calls a container may make. The default profile's filter was made when duet was
 * built (seccomp/generate.c); a profile of the user's, and the default one for other capabilities,
 * are made here, by libraries that no other start has to load.
 */

#include "container-private.h"

#include <duet/confine.h>

#include "core/module.h"
#include "default-filter.h"

static struct sock_fprog program_of(const guchar *bytes, gsize size)
{
    return (struct sock_fprog){
        .len = (unsigned short)(size / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(gpointer)bytes,
    };
}

gboolean duet_filter_make(
    const DuetSpec *spec, GBytes **out_bytes, struct sock_fprog *out_filter, GError **error)
{
    guint64 capabilities = duet_spec_capabilities(spec);

    *out_bytes = NULL;
    *out_filter = (struct sock_fprog){ 0 };
    if (g_strcmp0(spec->seccomp, DUET_SECCOMP_UNCONFINED) == 0)
        return TRUE;
    if (spec->seccomp == NULL && capabilities == DUET_CAPABILITIES_DEFAULT) {
        *out_filter = program_of(duet_seccomp_default_filter, sizeof duet_seccomp_default_filter);
        return TRUE;
    }
    const DuetConfineOps *confine = duet_module_symbol("duet-confine", "duet_confine", error);
    *out_bytes = confine != NULL ? confine->seccomp(spec->seccomp, capabilities, error) : NULL;
    if (*out_bytes == NULL)
        return FALSE;
    gsize size = 0;
    const guchar *bytes = g_bytes_get_data(*out_bytes, &size);
    *out_filter = program_of(bytes, size);
    return TRUE;
}
