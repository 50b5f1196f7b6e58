/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/machine.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <string.h>

#define DISK_FORM                                                                                  \
    "PATH[,format=raw|qcow2][,readonly=on][,cache=MODE][,io=MODE][,target=vdX]"                    \
    "[,backing_store=PATH[,backing_format=raw|qcow2]]"

static gboolean refuse(
    GError **error, int code, const char *what, const char *text, const char *why)
{
    g_set_error(error, DUET_ERROR, code, "%s '%s': %s", what, text, why);
    return FALSE;
}

static gboolean read_count(const char *text, int *out_count)
{
    gint64 number;
    if (!g_ascii_string_to_signed(text, 10, 1, DUET_VM_VCPUS_MAX, &number, NULL))
        return FALSE;
    *out_count = (int)number;
    return TRUE;
}

static int *topology_member(DuetTopology *topology, const char *key)
{
    const struct {
        const char *key;
        int *member;
    } rows[] = {
        { "vcpus", &topology->vcpus },
        { "sockets", &topology->sockets },
        { "cores", &topology->cores },
        { "threads", &topology->threads },
        { "maxvcpus", &topology->max },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if (g_str_equal(rows[i].key, key))
            return rows[i].member;
    return NULL;
}

/* What is missing gets what the others leave: whole, or the product tells. */
static void topology_fill(DuetTopology *topology)
{
    int *const members[] = { &topology->sockets, &topology->cores, &topology->threads };
    int left = topology->max ? topology->max : topology->vcpus;
    if (!topology->sockets && !topology->cores && !topology->threads)
        return;
    for (gsize i = 0; left && i < G_N_ELEMENTS(members); i++)
        left /= MAX(*members[i], 1);
    for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
        if (!*members[i]) {
            *members[i] = MAX(left, 1);
            left = 1;
        }
    if (!topology->vcpus && !topology->max)
        topology->vcpus = topology->sockets * topology->cores * topology->threads;
}

gboolean duet_topology_parse(const char *text, DuetTopology *out_topology, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    DuetTopology topology = { 0 };
    for (char **word = words; *word; word++) {
        char *equals = strchr(*word, '=');
        if (equals)
            *equals = '\0';
        int *member = equals ? topology_member(&topology, *word)
            : word == words  ? &topology.vcpus
                             : NULL;
        if (!member || *member || !read_count(equals ? equals + 1 : *word, member))
            return refuse(error, DUET_ERROR_INVALID, "--vcpus", text,
                "use N[,maxvcpus=N][,sockets=N][,cores=N][,threads=N], each from 1 to " G_STRINGIFY(
                    DUET_VM_VCPUS_MAX));
    }
    topology_fill(&topology);
    /* Of members that are at most 255 each: no overflow. */
    int all = topology.max ? topology.max : topology.vcpus;
    if (topology.sockets && all != topology.sockets * topology.cores * topology.threads)
        return refuse(error, DUET_ERROR_INVALID, "--vcpus", text,
            "sockets times cores times threads must be the number of vCPUs, the most that there "
            "may be");
    if (topology.max && topology.max < topology.vcpus)
        return refuse(error, DUET_ERROR_INVALID, "--vcpus", text,
            "maxvcpus must not be less than the number at the start");
    if ((topology.vcpus < 1 && !topology.max) || topology.vcpus > DUET_VM_VCPUS_MAX)
        return refuse(error, DUET_ERROR_INVALID, "--vcpus", text,
            "a VM has 1 to " G_STRINGIFY(DUET_VM_VCPUS_MAX) " vCPUs");
    *out_topology = topology;
    return TRUE;
}

/* The part before the first single comma, "@,,@" being "@,@"; *at is behind that comma, or NULL. */
static char *next_word(const char **at)
{
    GString *word = g_string_new(NULL);
    const char *c = *at;
    for (; *c && (*c != ',' || c[1] == ','); c++) {
        g_string_append_c(word, *c);
        c += *c == ',';
    }
    *at = *c ? c + 1 : NULL;
    return g_string_free(word, FALSE);
}

static gboolean one_of(const char *value, const char *const *values)
{
    return g_strv_contains(values, value);
}

static gboolean read_switch(const char *value, gboolean *out_on)
{
    static const char *const on[] = { "on", "yes", "true", NULL };
    static const char *const off[] = { "off", "no", "false", NULL };
    *out_on = one_of(value, on);
    return *out_on || one_of(value, off);
}

static DuetDataDisk *backing_of(DuetDataDisk *disk)
{
    if (!disk->backing)
        disk->backing = g_new0(DuetDataDisk, 1);
    disk->backing->readonly = TRUE;
    disk->backing->index = -1;
    return disk->backing;
}

static const char *set_format(DuetDataDisk *disk, const char *value)
{
    static const char *const formats[] = { "raw", "qcow2", NULL };
    disk->is_qcow2 = g_str_equal(value, "qcow2");
    disk->format_given = TRUE;
    return one_of(value, formats) ? NULL : "format is raw or qcow2";
}

/* Sets what "key=value" says. Returns: (nullable): why it can't be; *out_code is set then. */
static const char *set_key(DuetDataDisk *disk, const char *key, const char *value, int *out_code)
{
    static const char *const caches[] = { "default", "none", "writethrough", "writeback",
        "directsync", "unsafe", NULL };
    static const char *const ios[] = { "native", "threads", "io_uring", NULL };
    static const char *const buses[] = { "virtio", NULL };
    *out_code = DUET_ERROR_INVALID;
    if (g_str_equal(key, "format") || g_str_equal(key, "driver.type"))
        return set_format(disk, value);
    if (g_str_equal(key, "backing_format"))
        return set_format(backing_of(disk), value);
    if (g_str_equal(key, "backing_store")) {
        DuetDataDisk *backing = backing_of(disk);
        g_free(backing->path);
        backing->path = *value ? g_canonicalize_filename(value, NULL) : NULL;
        return backing->path ? NULL : "use " DISK_FORM;
    }
    if (g_str_equal(key, "readonly"))
        return read_switch(value, &disk->readonly) ? NULL : "readonly is on or off";
    if (g_str_equal(key, "cache")) {
        g_free(disk->cache);
        disk->cache = g_strdup(value);
        return one_of(value, caches)
            ? NULL
            : "cache is default, none, writethrough, writeback, directsync or unsafe";
    }
    if (g_str_equal(key, "io")) {
        g_free(disk->io);
        disk->io = g_strdup(value);
        return one_of(value, ios) ? NULL : "io is native, threads or io_uring";
    }
    if (g_str_equal(key, "bus")) {
        *out_code = DUET_ERROR_UNSUPPORTED;
        return one_of(value, buses) ? NULL : "the one bus of a disk is virtio";
    }
    if (g_str_equal(key, "target")) {
        disk->index = duet_data_disk_index(value);
        return disk->index >= 0 ? NULL : "target is vdc, vdd and so on, up to vdz";
    }
    return "use " DISK_FORM;
}

DuetDataDisk *duet_data_disk_parse(const char *text, GError **error)
{
    g_autoptr(DuetDataDisk) disk = g_new0(DuetDataDisk, 1);
    disk->index = -1;
    const char *at = text, *why = NULL;
    int code = DUET_ERROR_INVALID;
    g_autofree char *first = next_word(&at);
    const char *path = g_str_has_prefix(first, "path=") ? first + strlen("path=") : first;
    disk->path = *path ? g_canonicalize_filename(path, NULL) : NULL;
    if (!disk->path)
        why = "use " DISK_FORM;
    while (at && !why) {
        g_autofree char *word = next_word(&at);
        char *equals = strchr(word, '=');
        if (equals)
            *equals = '\0';
        why = set_key(disk, word, equals ? equals + 1 : "", &code);
    }
    /* libvirt's rule, and QEMU's: it goes past the page cache. */
    if (!why && g_strcmp0(disk->io, "native") == 0 && g_strcmp0(disk->cache, "none") != 0 &&
        g_strcmp0(disk->cache, "directsync") != 0)
        why = "io=native needs cache=none or cache=directsync";
    if (!why && disk->backing && (!disk->backing->path || !disk->is_qcow2))
        why = "only a disk of format=qcow2 has a backing file, which backing_store names";
    if (!why)
        return g_steal_pointer(&disk);
    refuse(error, code, "--disk", text, why);
    return NULL;
}

static char *file_to_text(const DuetDataDisk *disk, const char *format_key)
{
    g_auto(GStrv) parts = g_strsplit(disk->path, ",", -1);
    g_autofree char *path = g_strjoinv(",,", parts);
    return g_strconcat(path, format_key, disk->is_qcow2 ? "qcow2" : "raw", NULL);
}

char *duet_data_disk_to_text(const DuetDataDisk *disk)
{
    g_autofree char *file = file_to_text(disk, ",format=");
    g_autofree char *backing =
        disk->backing ? file_to_text(disk->backing, ",backing_format=") : NULL;
    g_autofree char *target = disk->index >= 0 ? duet_data_disk_target(disk->index) : NULL;
    return g_strconcat(file, disk->readonly ? ",readonly=on" : "", disk->cache ? ",cache=" : "",
        disk->cache ? disk->cache : "", disk->io ? ",io=" : "", disk->io ? disk->io : "",
        target ? ",target=" : "", target ? target : "", backing ? ",backing_store=" : "",
        backing ? backing : "", NULL);
}

void duet_data_disk_free(DuetDataDisk *disk)
{
    if (!disk)
        return;
    duet_data_disk_free(disk->backing);
    g_free(disk->path);
    g_free(disk->cache);
    g_free(disk->io);
    g_free(disk);
}
