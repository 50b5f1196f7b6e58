/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/graphics.h"
#include "vmm/daemon/daemon.h"
#include "vmm/domain-devices.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* VNC looks at 8 letters of a password, which are so many in base64. */
#define PASSWORD_BYTES 6

/* QEMU makes its socket itself, as a user that may write nowhere else in the run directory. */
static gboolean make_folder(DuetVm *vm, GError **error)
{
    g_autofree char *folder = g_build_filename(vm->place->run_dir, "vnc", NULL);
    guint32 uid = vm->label ? vm->qemu_uid : vm->place->id_base;

    if (!duet_mkdir_p(folder, 0700, error))
        return FALSE;
    if (geteuid() == 0 && chown(folder, uid, uid) < 0)
        return duet_error_set_errno(error, errno, "cannot give '%s' to QEMU", folder);
    vm->vnc_socket = g_build_filename(folder, "socket", NULL);
    return TRUE;
}

static char *make_password(void)
{
    guint8 random[PASSWORD_BYTES];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        g_error("getrandom() failed");
    return g_base64_encode(random, sizeof random);
}

gboolean duet_vm_graphics_prepare(DuetVm *vm, GError **error)
{
    if (!vm->spec->graphics)
        return TRUE;
    if (g_str_equal(vm->spec->graphics, DUET_GRAPHICS_UNIX))
        return make_folder(vm, error);
    vm->vnc_password = make_password();
    return TRUE;
}

void duet_xml_add_graphics(xmlNode *devices, const char *socket, const char *password)
{
    xmlNode *graphics = duet_xml_add(devices, "graphics", NULL, "type", "vnc", NULL);

    if (socket) {
        xmlNewProp(graphics, (const xmlChar *)"socket", (const xmlChar *)socket);
    } else {
        xmlNewProp(graphics, (const xmlChar *)"autoport", (const xmlChar *)"yes");
        xmlNewProp(graphics, (const xmlChar *)"passwd", (const xmlChar *)password);
        duet_xml_add(graphics, "listen", NULL, "type", "address", "address", "127.0.0.1", NULL);
    }
    /* What each firmware and boot loader has a driver for. */
    xmlNode *video = duet_xml_add(devices, "video", NULL, NULL);
    duet_xml_add(video, "model", NULL, "type", "vga", NULL);
    /* A pointer that is where the viewer's is. */
    duet_xml_add(devices, "controller", NULL, "type", "usb", "model", "qemu-xhci", NULL);
    duet_xml_add(devices, "input", NULL, "type", "tablet", "bus", "usb", NULL);
}

char *duet_vm_graphics_uri(const DuetVm *vm)
{
    if (vm->vnc_socket)
        return g_strdup_printf("vnc+unix://%s", vm->vnc_socket);
    char *xml = vm->vnc_password ? virDomainGetXMLDesc(vm->domain, 0) : NULL;
    g_autofree char *port = xml ? duet_vm_daemon_text(xml, "string(//graphics/@port)") : NULL;
    return port ? g_strdup_printf("vnc://127.0.0.1:%s", port) : NULL;
}
