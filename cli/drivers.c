/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only place that names the drivers. */
#include "cli/cli.h"
#include "container/container.h"

const DuetDriverEntry duet_drivers[] = {
    { DUET_KIND_CONTAINER, &duet_container_driver, NULL, NULL },
    { DUET_KIND_NATIVE, &duet_native_driver, NULL, NULL },
    { DUET_KIND_VM, NULL, "duet-vm", "duet_vm_driver" },
    { DUET_KIND_CONTAINER, NULL, NULL, NULL },
};
