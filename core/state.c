/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/state.h"
#include "core/health.h"
#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define STATE_MAX_BYTES (4u << 20)

static const char *const state_names[] = {
    [DUET_STATE_CREATED] = "created",
    [DUET_STATE_STARTING] = "starting",
    [DUET_STATE_RUNNING] = "running",
    [DUET_STATE_PAUSED] = "paused",
    [DUET_STATE_STOPPING] = "stopping",
    [DUET_STATE_EXITED] = "exited",
    [DUET_STATE_RESTARTING] = "restarting",
    [DUET_STATE_SAVED] = "saved",
};

const char *duet_state_to_string(DuetState state)
{
    return state_names[state];
}

void duet_info_free(DuetInfo *info)
{
    if (!info)
        return;
    duet_spec_free(info->spec);
    g_free(info->error);
    g_free(info->cgroup);
    g_free(info->payload_cgroup);
    duet_health_free(info->health);
    g_clear_pointer(&info->facts, g_variant_unref);
    g_free(info);
}

gboolean duet_variant_write(int dir_fd, const char *name, GVariant *variant, GError **error)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(variant);
    g_autofree char *text = g_variant_print(owned, TRUE);
    return duet_file_replace_private(dir_fd, name, text, strlen(text), error);
}

GVariant *duet_variant_read(int dir_fd, const char *name, GError **error)
{
    g_autofree char *text = duet_file_read(dir_fd, name, STATE_MAX_BYTES, NULL, error);
    GVariant *variant =
        text ? g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, error) : NULL;
    if (!variant)
        g_prefix_error(error, "cannot read '%s': ", name);
    return variant;
}

static const struct {
    const char *key;
    gsize offset;
} numbers[] = {
    { "pid", G_STRUCT_OFFSET(DuetInfo, pid) },
    { "monitor-pid", G_STRUCT_OFFSET(DuetInfo, monitor_pid) },
    { "created-us", G_STRUCT_OFFSET(DuetInfo, created_us) },
    { "started-us", G_STRUCT_OFFSET(DuetInfo, started_us) },
    { "exited-us", G_STRUCT_OFFSET(DuetInfo, exited_us) },
    { "guest-agent-ns", G_STRUCT_OFFSET(DuetInfo, guest_agent_ns) },
    { "guest-kernel-ns", G_STRUCT_OFFSET(DuetInfo, guest_kernel_ns) },
    { "managing-cpu-ns", G_STRUCT_OFFSET(DuetInfo, managing_cpu_ns) },
    { "payload-cpu-ns", G_STRUCT_OFFSET(DuetInfo, payload_cpu_ns) },
    { "peak-memory-bytes", G_STRUCT_OFFSET(DuetInfo, peak_memory_bytes) },
    { "restarts", G_STRUCT_OFFSET(DuetInfo, restarts) },
};

char *duet_info_to_text(const DuetInfo *info)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(&dict, "state", "i", (int)info->state);
    g_variant_dict_insert(&dict, "exit-code", "i", info->exit_code);
    g_variant_dict_insert(&dict, "exit-signal", "i", info->exit_signal);
    g_variant_dict_insert(&dict, "oom", "b", info->oom);
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_variant_dict_insert(
            &dict, numbers[i].key, "x", G_STRUCT_MEMBER(gint64, info, numbers[i].offset));
    for (int i = 0; i < DUET_MARK_COUNT; i++)
        if (info->marks.ns[i]) {
            g_autofree char *key = g_strconcat("mark-", duet_mark_to_string((DuetMark)i), NULL);
            g_variant_dict_insert(&dict, key, "x", info->marks.ns[i]);
        }
    if (info->error)
        g_variant_dict_insert(&dict, "error", "^ay", info->error);
    if (info->cgroup)
        g_variant_dict_insert(&dict, "cgroup", "^ay", info->cgroup);
    if (info->payload_cgroup)
        g_variant_dict_insert(&dict, "payload-cgroup", "^ay", info->payload_cgroup);
    if (info->facts)
        g_variant_dict_insert(&dict, "facts", "@a{sv}", info->facts);
    duet_health_to_dict(info->health, &dict);
    g_autoptr(GVariant) variant = g_variant_ref_sink(g_variant_dict_end(&dict));
    return g_variant_print(variant, TRUE);
}

DuetInfo *duet_info_new(DuetSpec *spec)
{
    DuetInfo *info = g_new0(DuetInfo, 1);
    info->spec = spec;
    info->state = DUET_STATE_EXITED;
    info->exit_code = -1;
    return info;
}

DuetInfo *duet_info_from_text(const char *text, const DuetSpec *spec)
{
    g_autoptr(GVariant) copy = g_variant_ref_sink(duet_spec_to_variant(spec));
    DuetInfo *info = duet_info_new(duet_spec_from_variant(copy, NULL));
    g_autoptr(GVariant) variant =
        text ? g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL) : NULL;
    if (!variant) {
        info->error = g_strdup("its state file is damaged");
        return info;
    }
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(variant);
    int state;
    if (g_variant_dict_lookup(&dict, "state", "i", &state) && state >= 0 &&
        state <= DUET_STATE_SAVED)
        info->state = (DuetState)state;
    g_variant_dict_lookup(&dict, "exit-code", "i", &info->exit_code);
    g_variant_dict_lookup(&dict, "exit-signal", "i", &info->exit_signal);
    g_variant_dict_lookup(&dict, "oom", "b", &info->oom);
    for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_variant_dict_lookup(
            &dict, numbers[i].key, "x", &G_STRUCT_MEMBER(gint64, info, numbers[i].offset));
    for (int i = 0; i < DUET_MARK_COUNT; i++) {
        g_autofree char *key = g_strconcat("mark-", duet_mark_to_string((DuetMark)i), NULL);
        g_variant_dict_lookup(&dict, key, "x", &info->marks.ns[i]);
    }
    g_variant_dict_lookup(&dict, "error", "^ay", &info->error);
    g_variant_dict_lookup(&dict, "cgroup", "^ay", &info->cgroup);
    g_variant_dict_lookup(&dict, "payload-cgroup", "^ay", &info->payload_cgroup);
    g_variant_dict_lookup(&dict, "facts", "@a{sv}", &info->facts);
    info->health = duet_health_from_dict(&dict);
    return info;
}

/* Where systemd-nspawn, too, takes its ranges from: 524288 to 1879048191. */
#define IDS_FIRST 524288u
#define IDS_PER_INSTANCE 131072u
#define IDS_SLOTS ((1879048191u - IDS_FIRST) / IDS_PER_INSTANCE)

gboolean duet_ids_take(
    DuetContext *context, const char *id, int *out_fd, guint32 *out_base, GError **error)
{
    *out_fd = -1;
    *out_base = 0;
    if (context->rootless)
        return TRUE;
    g_autofree char *path = g_build_filename(context->run_base, "ids", NULL);
    DUET_AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT && duet_mkdir_p(context->run_base, 0711, NULL))
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot open '%s'", path);
    /* One byte of the file is one range: the lock goes with its holder, whatever happens to it. */
    guint start = g_str_hash(id) % IDS_SLOTS;
    /* Ids that a user may take by newuidmap(1) would make that user the owner of what is here. */
    g_autoptr(GArray) users = duet_ids_of_users();
    for (guint i = 0; i < IDS_SLOTS; i++) {
        guint slot = (start + i) % IDS_SLOTS;
        struct flock range = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1
        };
        guint32 base = IDS_FIRST + slot * IDS_PER_INSTANCE;
        if (!duet_ids_overlap(users, base, IDS_PER_INSTANCE) &&
            fcntl(fd, F_OFD_SETLK, &range) == 0) {
            *out_base = base;
            *out_fd = duet_fd_steal(&fd);
            return TRUE;
        }
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
        "all %u id ranges are in use, or users' in /etc/subuid; stop an instance and try again",
        IDS_SLOTS);
    return FALSE;
}
