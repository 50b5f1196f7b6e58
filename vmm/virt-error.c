/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/virt-error.h"

#include <duet/error.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

static int code_of(const virError *error)
{
    switch (error ? error->code : VIR_ERR_OK) {
    case VIR_ERR_NO_DOMAIN:
        return DUET_ERROR_NOT_FOUND;
    case VIR_ERR_OPERATION_INVALID:
        return DUET_ERROR_STATE;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
        return DUET_ERROR_UNSUPPORTED;
    case VIR_ERR_OPERATION_TIMEOUT:
    case VIR_ERR_AGENT_UNRESPONSIVE:
        return DUET_ERROR_TIMEOUT;
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_AUTH_FAILED:
        return DUET_ERROR_PERMISSION;
    default:
        return DUET_ERROR_FAILED;
    }
}

gboolean duet_virt_error_set(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    const virError *last = virGetLastError();
    g_autofree char *why = g_strdup(last && last->message ? last->message : "no reason was given");
    /* QEMU's own words come with their line ends. */
    g_strdelimit(g_strchomp(why), "\r\n", ' ');
    g_set_error(error, DUET_ERROR, code_of(last), "%s: libvirt: %s", what, why);
    return FALSE;
}

static void swallow(void *data, virErrorPtr error)
{
    (void)data;
    (void)error;
}

void duet_virt_error_quiet(void)
{
    virSetErrorFunc(NULL, swallow);
}
