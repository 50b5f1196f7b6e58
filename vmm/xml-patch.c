/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/xml-patch.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdarg.h>
#include <string.h>

#define AGENT_CHANNEL "org.duet.agent.0"
#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

typedef struct {
    const char *name;
    const char *instead;
} Ours;

/* Children of <domain> that are not for a patch. */
static const Ours our_elements[] = {
    { "name", "use --name" },
    { "uuid", "it follows from the instance's id" },
    { "os", "use --machine and --kernel" },
    { "memory", "use --memory" },
    { "currentMemory", "use --memory" },
    { "maxMemory", "use --memory" },
    { "vcpu", "use --vcpus" },
    { "vcpus", "use --vcpus" },
    { "cputune", "use --cpus, --cpu-shares and --cpuset-cpus" },
    { "memtune", "use --memory" },
    { "metadata", "it says whose the domain is" },
    { "seclabel", "QEMU runs as the instance's own user" },
    { "resource", "QEMU stays in the instance's cgroup" },
    { "on_poweroff", "the VM's end is the instance's end" },
    { "on_reboot", "the VM's end is the instance's end" },
    { "on_crash", "the VM's end is the instance's end" },
};

/* The same of <devices>. */
static const Ours our_devices[] = {
    { "emulator", "use --qemu" },
    { "filesystem", "use -v" },
    { "console", "the guest's console is kept for `duet logs`" },
    { "serial", "the guest's console is kept for `duet logs`" },
};

static const char *name_of(const xmlNode *node)
{
    return (const char *)node->name;
}

static gboolean invalid(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean invalid(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "--xml-patch: %s", why);
    return FALSE;
}

static gboolean refuse_ours(
    const xmlNode *node, const Ours *table, gsize n, const char *where, GError **error)
{
    for (gsize i = 0; i < n; i++)
        if (g_str_equal(name_of(node), table[i].name))
            return invalid(
                error, "<%s> in <%s> can't be changed: %s", table[i].name, where, table[i].instead);
    return TRUE;
}

static gboolean has(const xmlNode *node, const char *attribute, const char *value)
{
    xmlChar *own = xmlGetProp((xmlNode *)node, (const xmlChar *)attribute);
    gboolean is = own && (!value || g_str_equal((const char *)own, value));
    xmlFree(own);
    return is;
}

static gboolean is_agent_channel(const xmlNode *channel)
{
    gboolean is = FALSE;
    for (xmlNode *child = xmlFirstElementChild((xmlNode *)channel); child;
         child = xmlNextElementSibling(child))
        is = is || (g_str_equal(name_of(child), "target") && has(child, "name", AGENT_CHANNEL));
    return is;
}

static gboolean is_qemus(const xmlNode *node)
{
    return node->ns && g_str_equal((const char *)node->ns->href, QEMU_NAMESPACE);
}

static gboolean is_devices(const xmlNode *node)
{
    return !node->ns && g_str_equal(name_of(node), "devices");
}

static gboolean is_file_or_socket(const xmlNode *node)
{
    return has(node, "type", "file") || has(node, "type", "unix");
}

/*
 * libvirt makes the files and sockets of character devices itself, with its own rights, which are
 * root's, and hands QEMU the descriptors; a file that is in a socket's way it removes.
 */
static gboolean check_paths(const xmlNode *device, GError **error)
{
    for (xmlNode *node = xmlFirstElementChild((xmlNode *)device); node;
         node = xmlNextElementSibling(node)) {
        gboolean is_path = g_str_equal(name_of(node), "source") && has(node, "path", NULL) &&
            (is_file_or_socket(node) || is_file_or_socket(device));
        if (is_path || g_str_equal(name_of(node), "log"))
            return invalid(error,
                "<%s> in <%s> can't name a file or socket: libvirt would make it with rights that "
                "QEMU has not; leave it out",
                name_of(node), name_of(device));
        /* A daemon that is root's would give a file of the host to whom it names. */
        if (g_str_equal(name_of(node), "seclabel"))
            return invalid(error, "<seclabel> in <%s> can't be given: files stay their owners'",
                name_of(device));
        if (!check_paths(node, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean check_devices(const xmlNode *devices, GError **error)
{
    for (xmlNode *node = xmlFirstElementChild((xmlNode *)devices); node;
         node = xmlNextElementSibling(node)) {
        if (node->ns)
            return invalid(
                error, "<%s> in <devices> is of a namespace, and must not be", name_of(node));
        if (!refuse_ours(node, our_devices, G_N_ELEMENTS(our_devices), "devices", error))
            return FALSE;
        if (g_str_equal(name_of(node), "channel") && is_agent_channel(node))
            return invalid(
                error, "the <channel> '" AGENT_CHANNEL "' can't be changed: it is the agent's");
        if (!check_paths(node, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean check_root(const xmlNode *root, GError **error)
{
    if (!root || root->ns || !g_str_equal(name_of(root), "domain"))
        return invalid(error, "the root is <%s>, and must be <domain> without a namespace",
            root ? name_of(root) : "nothing");
    if (root->properties)
        return invalid(error, "the attribute '%s' of <domain> can't be changed; use --accel",
            (const char *)root->properties->name);
    for (xmlNode *node = xmlFirstElementChild((xmlNode *)root); node;
         node = xmlNextElementSibling(node)) {
        /* libvirt looks up some by namespace and name, some by name alone. */
        if (node->ns && !is_qemus(node))
            return invalid(error, "<%s> is of a namespace that libvirt has not", name_of(node));
        if (!refuse_ours(node, our_elements, G_N_ELEMENTS(our_elements), "domain", error))
            return FALSE;
        if (is_devices(node) && !check_devices(node, error))
            return FALSE;
    }
    return TRUE;
}

/* No file and no network is asked for anything, and a DTD, with its entities, is refused. */
static xmlDoc *parse(const char *patch, GError **error)
{
    gsize length = strlen(patch);
    if (length > DUET_VM_XML_PATCH_MAX_BYTES) {
        invalid(error, "it has %" G_GSIZE_FORMAT " bytes; at most %u can be kept", length,
            DUET_VM_XML_PATCH_MAX_BYTES);
        return NULL;
    }
    if (length == 0) {
        invalid(error, "it is empty, and must be a <domain>");
        return NULL;
    }
    xmlDoc *document = xmlReadMemory(patch, (int)length, NULL, NULL,
        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS |
            XML_PARSE_NOCDATA);
    if (!document) {
        const xmlError *last = xmlGetLastError();
        g_autofree char *why = g_strdup(last && last->message ? last->message : "unknown");
        invalid(
            error, "it is no well-formed XML: line %d: %s", last ? last->line : 0, g_strchomp(why));
        return NULL;
    }
    gboolean ok = !document->intSubset && !document->extSubset
        ? check_root(xmlDocGetRootElement(document), error)
        : invalid(error, "it has a <!DOCTYPE>, which libvirt's XML has no use for; leave it out");
    if (!ok)
        g_clear_pointer(&document, xmlFreeDoc);
    return document;
}

gboolean duet_vm_xml_patch_check(const char *patch, GError **error)
{
    xmlDoc *document = parse(patch, error);
    if (document)
        xmlFreeDoc(document);
    return document != NULL;
}

static xmlNode *child_called(xmlNode *parent, const char *name)
{
    xmlNode *node = xmlFirstElementChild(parent);
    while (node && (node->ns || !g_str_equal(name_of(node), name)))
        node = xmlNextElementSibling(node);
    return node;
}

gboolean duet_vm_xml_patch_has_card(const char *patch)
{
    xmlDoc *document = parse(patch, NULL);
    xmlNode *node = document ? xmlFirstElementChild(xmlDocGetRootElement(document)) : NULL;
    while (node && !(is_devices(node) && child_called(node, "interface")))
        node = xmlNextElementSibling(node);
    gboolean found = node != NULL;
    xmlFreeDoc(document);
    return found;
}

static gboolean is_same_name(const xmlNode *a, const xmlNode *b)
{
    const char *a_space = a->ns ? (const char *)a->ns->href : NULL;
    const char *b_space = b->ns ? (const char *)b->ns->href : NULL;
    return g_str_equal(name_of(a), name_of(b)) && g_strcmp0(a_space, b_space) == 0;
}

/* The first child of @parent that is called as @like. */
static xmlNode *find_child(xmlNode *parent, const xmlNode *like)
{
    xmlNode *node = xmlFirstElementChild(parent);
    while (node && !is_same_name(node, like))
        node = xmlNextElementSibling(node);
    return node;
}

static void append_copy(xmlNode *parent, xmlNode *node)
{
    xmlNode *copy = xmlDocCopyNode(node, parent->doc, 1);
    xmlAddChild(parent, copy);
    xmlReconciliateNs(parent->doc, copy);
}

static void remove_all(xmlNode *parent, const xmlNode *like)
{
    xmlNode *old;
    while ((old = find_child(parent, like))) {
        xmlUnlinkNode(old);
        xmlFreeNode(old);
    }
}

static void merge_devices(xmlNode *devices, xmlNode *patch)
{
    for (xmlNode *node = xmlFirstElementChild(patch); node; node = xmlNextElementSibling(node)) {
        if (g_str_equal(name_of(node), "memballoon") || g_str_equal(name_of(node), "panic"))
            remove_all(devices, node);
        append_copy(devices, node);
    }
}

static gboolean is_qemu_commandline(const xmlNode *node)
{
    return is_qemus(node) && g_str_equal(name_of(node), "commandline");
}

static void merge(xmlNode *domain, xmlNode *patch)
{
    for (xmlNode *node = xmlFirstElementChild(patch); node; node = xmlNextElementSibling(node)) {
        xmlNode *own = find_child(domain, node);
        if (is_devices(node) && own)
            merge_devices(own, node);
        else if (is_qemu_commandline(node) && own)
            for (xmlNode *arg = xmlFirstElementChild(node); arg; arg = xmlNextElementSibling(arg))
                append_copy(own, arg);
        else
            remove_all(domain, node);
    }
    for (xmlNode *node = xmlFirstElementChild(patch); node; node = xmlNextElementSibling(node))
        if (!is_devices(node) && !is_qemu_commandline(node))
            append_copy(domain, node);
}

/*
 * libvirt would make another one up for each start, and a system that was told to use the card with
 * the first would have no network after the second.
 */
static void give_macs(xmlNode *domain)
{
    xmlNode *uuid = child_called(domain, "uuid"), *devices = child_called(domain, "devices");
    xmlChar *id = uuid ? xmlNodeGetContent(uuid) : NULL;
    guint index = 0;
    for (xmlNode *node = xmlFirstElementChild(devices); node; node = xmlNextElementSibling(node)) {
        if (!g_str_equal(name_of(node), "interface") || child_called(node, "mac"))
            continue;
        g_autofree char *seed = g_strdup_printf("%s card %u", id ? (char *)id : "", index++);
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, seed, -1);
        g_autofree char *mac =
            g_strdup_printf("52:54:00:%.2s:%.2s:%.2s", sum, sum + 2, sum + 4); /* QEMU's range */
        xmlNode *element = xmlNewChild(node, NULL, (const xmlChar *)"mac", NULL);
        xmlNewProp(element, (const xmlChar *)"address", (const xmlChar *)mac);
    }
    xmlFree(id);
}

char *duet_vm_xml_patch_apply(const char *xml, const char *patch, GError **error)
{
    xmlDoc *changes = parse(patch, error);
    if (!changes)
        return NULL;
    xmlDoc *document =
        xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOBLANKS);
    g_assert(document);
    merge(xmlDocGetRootElement(document), xmlDocGetRootElement(changes));
    give_macs(xmlDocGetRootElement(document));
    xmlFreeDoc(changes);
    xmlChar *text = NULL;
    int length = 0;
    xmlDocDumpFormatMemory(document, &text, &length, 1);
    char *merged = g_strndup((const char *)text, (gsize)length);
    xmlFree(text);
    xmlFreeDoc(document);
    return merged;
}
