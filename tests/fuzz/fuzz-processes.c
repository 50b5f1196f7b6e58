/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list of processes that an agent writes for `top`. */

#include "core/processes.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = duet_processes_parse((const char *)data, size, &error);
    gsize bytes = 0;

    if ((list == NULL) != (error != NULL))
        abort();
    for (guint i = 0; list && i < list->len; i++) {
        const DuetProcess *process = list->pdata[i];

        if (process->nice < -20 || process->nice > 19 || !g_ascii_isalpha(process->state))
            abort();
        bytes += strlen(process->user) + strlen(process->name) + strlen(process->args) + 3;
    }
    if (bytes > size)
        abort();
    return 0;
}
