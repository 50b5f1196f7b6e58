/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module: see duet/confine.h. */
#include <duet/confine.h>

#include <string.h>

#include "compile.h"
#include "default-profile.h"

static GBytes *seccomp(const char *profile, guint64 capabilities, GError **error)
{
    return profile ? duet_seccomp_compile(profile, strlen(profile), capabilities, error)
                   : duet_seccomp_compile((const char *)duet_seccomp_default_profile,
                         sizeof duet_seccomp_default_profile, capabilities, error);
}

__attribute__((visibility("default"))) const DuetConfineOps duet_confine = {
    .seccomp = seccomp,
    .capability = duet_capability_number,
    .capability_name = duet_capability_name,
};
