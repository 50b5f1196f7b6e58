/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reaching a libvirt daemon, and what it tells of itself. */
#include "daemon.h"
#include "daemon-ssh.h"
#include "vmm/virt-error.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a daemon on the other side there is only what its program said. */
static char *advice_by_ssh(const char *uri)
{
    const virError *last = virGetLastError();
    g_autofree char *target = duet_vm_ssh_target(uri);
    if (last && last->message && strstr(last->message, "Permission denied"))
        return g_strdup("add the user to the group libvirt there, or log in as root");
    return g_strdup_printf("start libvirtd there: ssh %s %s", target,
        duet_vm_ssh_is_session(uri) ? "virsh -c qemu:///session uri"
                                    : "systemctl start libvirtd.socket");
}

static const char *advice_for(const char *uri)
{
    const virError *last = virGetLastError();
    gboolean denied = last &&
        (last->code == VIR_ERR_AUTH_FAILED || last->code == VIR_ERR_AUTH_CANCELLED ||
            last->code == VIR_ERR_AUTH_UNAVAILABLE || last->code == VIR_ERR_ACCESS_DENIED ||
            (last->code == VIR_ERR_SYSTEM_ERROR && (last->int1 == EACCES || last->int1 == EPERM)));
    if (denied)
        return "add your user to the group libvirt and log in again, or leave out --connect";
    if (g_str_has_suffix(uri, "/session") && geteuid() != 0)
        return "start it: virsh -c qemu:///session uri, or leave out --connect";
    return "start libvirtd: systemctl start libvirtd.socket, or leave out --connect";
}

virConnectPtr duet_vm_daemon_connect(const DuetSpec *spec, GError **error)
{
    const char *uri = spec->connect;
    gboolean by_ssh = duet_vm_ssh_is(uri);
    if (by_ssh &&
        !duet_vm_ssh_check(uri, spec->disk_image ? spec->disk_image : spec->root_disk, error))
        return NULL;
    duet_virt_error_quiet();
    /* An ordinary user's daemon would be born in our cgroup and namespaces, and outlive them. */
    g_setenv("LIBVIRT_AUTOSTART", "0", FALSE);
    g_autofree char *quiet_uri = by_ssh ? duet_vm_ssh_uri(uri) : g_strdup(uri);
    virConnectPtr connection = virConnectOpen(quiet_uri);
    if (connection)
        return connection;
    g_autofree char *advice = by_ssh ? advice_by_ssh(uri) : g_strdup(advice_for(uri));
    g_autoptr(GError) failure = NULL;
    duet_virt_error_set(&failure, "cannot connect to '%s'", uri);
    g_set_error(error, DUET_ERROR, failure->code, "%s; %s", failure->message, advice);
    return NULL;
}

gboolean duet_vm_daemon_is_alive(virConnectPtr connection)
{
    unsigned long version;
    return connection && virConnectIsAlive(connection) == 1 &&
        virConnectGetLibVersion(connection, &version) == 0;
}

char *duet_vm_daemon_text(char *xml, const char *query)
{
    xmlDoc *document = xmlParseMemory(xml, (int)strlen(xml));
    xmlXPathContext *context = document ? xmlXPathNewContext(document) : NULL;
    xmlXPathObject *found =
        context ? xmlXPathEvalExpression((const xmlChar *)query, context) : NULL;
    gboolean there = found && found->stringval && *found->stringval;
    char *text = there ? g_strdup((const char *)found->stringval) : NULL;
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    xmlFreeDoc(document);
    free(xml);
    return text;
}

gboolean duet_vm_daemon_user(virConnectPtr connection, DuetVmDaemonUser *out_user, GError **error)
{
    char *capabilities = virConnectGetCapabilities(connection);
    if (!capabilities)
        return duet_virt_error_set(error, "cannot ask libvirt what it can do");
    /* "+64055:+64055" of the security model dac: whom QEMU runs as by default. */
    g_autofree char *label =
        duet_vm_daemon_text(capabilities, "string(//host/secmodel[model='dac']/baselabel)");
    *out_user = (DuetVmDaemonUser){ 0 };
    out_user->privileged = label && sscanf(label, "+%u:+%u", &out_user->uid, &out_user->gid) == 2;
    return TRUE;
}

static char *dir_of(gboolean privileged, const char *root, const char *user_dir, const char *below)
{
    return privileged ? g_strdup(root) : g_build_filename(user_dir, "libvirt/qemu", below, NULL);
}

static char *pid_dir(gboolean privileged)
{
    return dir_of(privileged, "/run/libvirt/qemu", g_get_user_runtime_dir(), "run");
}

char *duet_vm_daemon_pid_file(gboolean privileged, const char *name)
{
    g_autofree char *dir = pid_dir(privileged);
    return g_strdup_printf("%s/%s.pid", dir, name);
}

char *duet_vm_daemon_status_file(gboolean privileged, const char *name)
{
    g_autofree char *dir = pid_dir(privileged);
    return g_strdup_printf("%s/%s.xml", dir, name);
}

/* "9-duet-box-fs0-fs.pid"; of a long name only a part is in it. */
pid_t duet_vm_daemon_server_pid(gboolean privileged, guint domain_id, guint index)
{
    g_autofree char *dir = pid_dir(privileged);
    g_autofree char *start = g_strdup_printf("%u-", domain_id);
    g_autofree char *end = g_strdup_printf("-fs%u-fs.pid", index);
    g_autoptr(GDir) names = g_dir_open(dir, 0, NULL);
    const char *entry;
    while (names && (entry = g_dir_read_name(names))) {
        if (!g_str_has_prefix(entry, start) || !g_str_has_suffix(entry, end))
            continue;
        g_autofree char *path = g_build_filename(dir, entry, NULL);
        g_autofree char *text = duet_file_read(AT_FDCWD, path, 64, NULL, NULL);
        return text ? (pid_t)g_ascii_strtoll(text, NULL, 10) : 0;
    }
    return 0;
}

/* QEMU's and each virtiofsd's: "x.log", "x-fs0-virtiofsd.log"; virtlogd rotates to "x.log.0". */
static gboolean is_log_of(const char *entry, const char *name)
{
    static const char digits[] = "0123456789", folder[] = "-fs", helper[] = "-virtiofsd";
    const char *rest = g_str_has_prefix(entry, name) ? entry + strlen(name) : NULL;
    if (rest && g_str_has_prefix(rest, folder)) {
        rest += strlen(folder);
        rest += strspn(rest, digits);
        rest = g_str_has_prefix(rest, helper) ? rest + strlen(helper) : NULL;
    }
    if (!rest || !g_str_has_prefix(rest, ".log"))
        return FALSE;
    rest += strlen(".log");
    return !*rest || (*rest == '.' && rest[1 + strspn(rest + 1, digits)] == '\0');
}

void duet_vm_daemon_log_remove(gboolean privileged, const char *name)
{
    g_autofree char *dir =
        dir_of(privileged, "/var/log/libvirt/qemu", g_get_user_cache_dir(), "log");
    g_autoptr(GDir) names = g_dir_open(dir, 0, NULL);
    const char *entry;
    while (names && (entry = g_dir_read_name(names))) {
        g_autofree char *path = g_build_filename(dir, entry, NULL);
        if (is_log_of(entry, name))
            unlink(path);
    }
}
