/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of an instance, as the GVariant that becomes JSON. */
#include "cli/describe.h"
#include "cli/cli.h"
#include "core/disk-list.h"
#include "core/attributes.h"

#include <duet/snapshot.h>

#include <string.h>

/* JSON is UTF-8, arguments need not be: what is not valid is replaced for the eye. */
static void put_text(GVariantDict *dict, const char *key, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    g_variant_dict_insert(dict, key, "ms", valid);
}

static void put_number(GVariantDict *dict, const char *key, gint64 value)
{
    g_variant_dict_insert(dict, key, "x", value);
}

static void put_list(GVariantDict *dict, const char *key, char *const *list)
{
    g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("as"));
    for (; list && *list; list++) {
        g_autofree char *valid = g_utf8_make_valid(*list, -1);
        g_variant_builder_add(&builder, "s", valid);
    }
    g_variant_dict_insert_value(dict, key, g_variant_builder_end(&builder));
}

char *duet_describe_time(gint64 us)
{
    if (!us)
        return NULL;
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(us / G_USEC_PER_SEC);
    return g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");
}

char *duet_describe_words(char *const *words)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (; *words; words++) {
        gboolean plain = **words && !strpbrk(*words, " \t\n\"'\\$`|&;<>()*?");
        g_autofree char *quoted = plain ? g_strdup(*words) : g_shell_quote(*words);
        g_string_append_printf(text, "%s%s", text->len ? " " : "", quoted);
    }
    return g_utf8_make_valid(text->str, -1);
}

static char *ago(gint64 us)
{
    gint64 s = MAX(0, (g_get_real_time() - us) / G_USEC_PER_SEC);
    if (s < 60)
        return g_strdup_printf("%d seconds", (int)s);
    if (s < 3600)
        return g_strdup_printf("%d minutes", (int)(s / 60));
    if (s < 86400)
        return g_strdup_printf("%d hours", (int)(s / 3600));
    return g_strdup_printf("%d days", (int)(s / 86400));
}

char *duet_describe_status(const DuetInfo *info)
{
    g_autofree char *since = NULL;
    switch (info->state) {
    case DUET_STATE_RUNNING:
        since = ago(info->started_us);
        if (info->health)
            return g_strdup_printf(
                "Up %s (%s)", since, duet_health_to_string(info->health->status));
        return g_strdup_printf("Up %s", since);
    case DUET_STATE_RESTARTING:
        since = ago(info->exited_us);
        return g_strdup_printf("Restarting (%d) %s ago", info->exit_code, since);
    case DUET_STATE_EXITED:
        if (info->exit_code < 0)
            return g_strdup("Exited");
        since = ago(info->exited_us);
        return g_strdup_printf("Exited (%d) %s ago", info->exit_code, since);
    default: {
        char *text = g_strdup(duet_state_to_string(info->state));
        text[0] = g_ascii_toupper(text[0]);
        return text;
    }
    }
}

static GVariant *describe_marks(const DuetMarks *marks)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    for (int i = 0; i < DUET_MARK_COUNT; i++)
        if (marks->ns[i])
            put_number(&dict, duet_mark_to_string((DuetMark)i), marks->ns[i]);
    return g_variant_dict_end(&dict);
}

static GVariant *describe_mounts(const DuetSpec *spec)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < spec->mounts->len; i++) {
        const DuetMount *mount = spec->mounts->pdata[i];
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        put_text(&dict, "type", mount->volume ? "volume" : "bind");
        if (mount->volume)
            put_text(&dict, "name", mount->volume);
        put_text(&dict, "source", mount->source);
        put_text(&dict, "target", mount->target);
        g_variant_dict_insert(&dict, "readonly", "b", mount->readonly);
        g_variant_builder_add_value(&list, g_variant_dict_end(&dict));
    }
    return g_variant_builder_end(&list);
}

static GVariant *describe_tmpfs(const DuetSpec *spec)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < spec->tmpfs->len; i++) {
        const DuetTmpfs *tmpfs = spec->tmpfs->pdata[i];
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        put_text(&dict, "target", tmpfs->target);
        put_text(&dict, "options", tmpfs->options);
        g_variant_dict_insert(&dict, "readonly", "b", tmpfs->readonly);
        g_variant_dict_insert(&dict, "exec", "b", tmpfs->exec);
        g_variant_builder_add_value(&list, g_variant_dict_end(&dict));
    }
    return g_variant_builder_end(&list);
}

static GVariant *describe_capabilities(const DuetConfineOps *confine, guint64 capabilities)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("as"));
    for (int i = 0; i < 64; i++) {
        g_autofree char *name = (capabilities >> i & 1) != 0 ? confine->capability_name(i) : NULL;
        if (name)
            g_variant_builder_add(&list, "s", name);
    }
    return g_variant_builder_end(&list);
}

static void put_walls(GVariantDict *dict, const DuetSpec *spec)
{
    /* A whole system's are its own affair. */
    if (spec->kind == DUET_KIND_NATIVE || spec->disk_image)
        return;
    const DuetConfineOps *confine = duet_cli_confine(NULL);
    /* A list without names would say that there are none. */
    if (confine)
        g_variant_dict_insert_value(
            dict, "capabilities", describe_capabilities(confine, duet_spec_capabilities(spec)));
    if (spec->kind != DUET_KIND_CONTAINER)
        return;
    put_text(dict, "seccomp",
        !spec->seccomp                                            ? "builtin"
            : g_str_equal(spec->seccomp, DUET_SECCOMP_UNCONFINED) ? DUET_SECCOMP_UNCONFINED
                                                                  : "profile");
    g_variant_dict_insert(dict, "no_new_privileges", "b", TRUE);
}

GVariant *duet_describe_labels(char *const *labels)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    for (char *const *label = labels; label && *label; label++) {
        const char *value = strchr(*label, '=');
        g_autofree char *key = value ? g_strndup(*label, (gsize)(value - *label)) : NULL;
        g_autofree char *valid = g_utf8_make_valid(key ? key : *label, -1);
        put_text(&dict, valid, value ? value + 1 : "");
    }
    return g_variant_dict_end(&dict);
}

GVariant *duet_describe_disks(const DuetSpec *spec)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(spec->disks, NULL);
    for (guint i = 0; disks && i < disks->len; i++) {
        const DuetDataDisk *disk = disks->pdata[i];
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        g_autofree char *target = duet_data_disk_target(disk->index);
        g_autofree char *serial = g_strdup_printf("duet-disk-%d", disk->index);
        put_text(&dict, "target", target);
        put_text(&dict, "serial", serial);
        put_text(&dict, "file", disk->path);
        put_text(&dict, "format", disk->is_qcow2 ? "qcow2" : "raw");
        g_variant_dict_insert(&dict, "readonly", "b", disk->readonly);
        if (disk->backing) {
            put_text(&dict, "backing_file", disk->backing->path);
            put_text(&dict, "backing_format", disk->backing->is_qcow2 ? "qcow2" : "raw");
        }
        g_variant_builder_add_value(&list, g_variant_dict_end(&dict));
    }
    return g_variant_builder_end(&list);
}

static GVariant *describe_io_limits(const DuetSpec *spec)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (char **text = spec->io_limits; text && *text; text++) {
        DuetIoLimit limit;
        if (!duet_io_limit_parse(*text, &limit))
            continue;
        g_autofree char *path = limit.path;
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        put_text(&dict, "limit", duet_io_kind_to_string(limit.kind));
        put_text(&dict, "device", path);
        put_number(&dict, "rate", (gint64)limit.rate);
        g_variant_builder_add_value(&list, g_variant_dict_end(&dict));
    }
    return g_variant_builder_end(&list);
}

static GVariant *describe_hugetlb(const DuetSpec *spec)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (char **text = spec->hugetlb; text && *text; text++) {
        DuetHugetlbLimit limit;
        if (!duet_hugetlb_limit_parse(*text, &limit))
            continue;
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        put_text(&dict, "size", limit.size);
        put_number(&dict, "limit_bytes", (gint64)limit.bytes);
        g_variant_builder_add_value(&list, g_variant_dict_end(&dict));
    }
    return g_variant_builder_end(&list);
}

/* As in the options: 0, null and an empty list say that it was not asked for. */
static void put_limits(GVariantDict *dict, const DuetSpec *spec)
{
    const char *cpus = spec->cpuset_cpus, *mems = spec->cpuset_mems;
    put_number(dict, "memory_swap_limit_bytes", spec->memory_swap_bytes);
    put_number(dict, "memory_reservation_bytes", (gint64)spec->memory_reservation_bytes);
    put_number(dict, "cpu_shares", (gint64)spec->cpu_shares);
    put_number(dict, "cpu_period_us", (gint64)spec->cpu_period_us);
    put_text(dict, "cpuset_cpus", cpus && *cpus ? cpus : NULL);
    put_text(dict, "cpuset_mems", mems && *mems ? mems : NULL);
    put_number(dict, "blkio_weight", (gint64)spec->blkio_weight);
    g_variant_dict_insert_value(dict, "io_limits", describe_io_limits(spec));
    g_variant_dict_insert_value(dict, "hugetlb", describe_hugetlb(spec));
}

static void put_attributes(GVariantDict *dict, const DuetSpec *spec)
{
    put_list(dict, "ulimits", spec->ulimits);
    put_list(dict, "group_add", spec->groups);
    put_list(dict, "sysctls", spec->sysctls);
    put_number(dict, "shm_size_bytes",
        (gint64)(spec->shm_bytes ? spec->shm_bytes : DUET_SHM_DEFAULT_BYTES));
    if (spec->oom_score_adj == DUET_OOM_SCORE_ADJ_OF_CALLER)
        g_variant_dict_insert(dict, "oom_score_adj", "mx", FALSE, (gint64)0);
    else
        put_number(dict, "oom_score_adj", spec->oom_score_adj);
    put_number(dict, "stop_timeout_s", spec->stop_timeout_s);
    if (spec->kind != DUET_KIND_CONTAINER)
        return;
    put_list(dict, "devices", spec->devices);
    put_list(dict, "masked_paths", spec->masks);
    put_list(dict, "unmasked_paths", spec->unmasks);
    put_number(dict, "monotonic_offset_s", spec->monotonic_s);
    put_number(dict, "boottime_offset_s", spec->boottime_s);
}

static void put_spec(GVariantDict *dict, const DuetSpec *spec)
{
    put_text(dict, "name", spec->name);
    put_text(dict, "id", spec->id);
    put_text(dict, "kind", duet_kind_to_string(spec->kind));
    put_text(dict, "image", spec->image_ref);
    put_text(dict, "image_digest", spec->image_digest);
    put_list(dict, "command", spec->argv);
    put_list(dict, "env", spec->env);
    put_text(dict, "working_dir", spec->cwd);
    put_text(dict, "user", spec->user);
    put_text(dict, "hostname", spec->hostname);
    put_number(dict, "stop_signal", spec->stop_signal);
    put_number(dict, "memory_limit_bytes", (gint64)spec->memory_bytes);
    g_variant_dict_insert(dict, "cpus", "d", spec->cpus);
    put_number(dict, "pids_limit", (gint64)spec->pids_limit);
    put_limits(dict, spec);
    put_number(dict, "timeout_ms", spec->timeout_ms);
    g_variant_dict_insert(dict, "remove_at_exit", "b", spec->remove_at_exit);
    g_variant_dict_insert(dict, "interactive", "b", spec->open_stdin);
    g_variant_dict_insert(dict, "tty", "b", spec->tty);
    put_text(dict, "restart", duet_restart_to_string(spec->restart));
    put_number(dict, "restart_retries", spec->restart_retries);
    put_text(dict, "log_driver", spec->no_log ? "none" : "file");
    put_number(dict, "log_max_size_bytes", (gint64)spec->log_max_bytes);
    put_number(dict, "log_max_files", MAX(spec->log_max_files, 1));
    put_list(dict, "layers", spec->layers);
    g_variant_dict_insert_value(dict, "mounts", describe_mounts(spec));
    g_variant_dict_insert_value(dict, "tmpfs", describe_tmpfs(spec));
    g_variant_dict_insert(dict, "readonly", "b", spec->readonly);
    g_variant_dict_insert_value(dict, "labels", duet_describe_labels(spec->labels));
    put_walls(dict, spec);
    put_attributes(dict, spec);
    if (spec->kind == DUET_KIND_VM) {
        put_text(dict, "accel_wanted", duet_accel_to_string(spec->accel));
        put_text(dict, "root_disk", spec->root_disk);
        put_text(dict, "connect", spec->connect);
        g_variant_dict_insert_value(dict, "disks", duet_describe_disks(spec));
    }
}

static void put_check(GVariantDict *dict, const DuetHealthCheck *check)
{
    g_auto(GVariantDict) inner = G_VARIANT_DICT_INIT(NULL);
    if (!check->test)
        return;
    put_list(&inner, "test", check->test);
    put_number(&inner, "interval_ms", check->interval_us / 1000);
    put_number(&inner, "timeout_ms", check->timeout_us / 1000);
    put_number(&inner, "start_period_ms", check->start_period_us / 1000);
    put_number(&inner, "start_interval_ms", check->start_interval_us / 1000);
    put_number(&inner, "retries", check->retries);
    put_text(&inner, "on_failure", duet_health_action_to_string(check->on_failure));
    g_variant_dict_insert_value(dict, "healthcheck", g_variant_dict_end(&inner));
}

static void put_health(GVariantDict *dict, const DuetHealth *health)
{
    g_auto(GVariantDict) inner = G_VARIANT_DICT_INIT(NULL);
    g_auto(GVariantBuilder) log = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    if (!health)
        return;
    put_text(&inner, "status", duet_health_to_string(health->status));
    put_number(&inner, "failing_streak", health->failing_streak);
    for (guint i = 0; i < health->log->len; i++) {
        const DuetHealthResult *result = health->log->pdata[i];
        g_auto(GVariantDict) row = G_VARIANT_DICT_INIT(NULL);
        g_autofree char *began = duet_describe_time(result->began_us);
        g_autofree char *ended = duet_describe_time(result->ended_us);
        put_text(&row, "start", began);
        put_text(&row, "end", ended);
        put_number(&row, "exit_code", result->exit_code);
        put_text(&row, "output", result->output);
        g_variant_builder_add_value(&log, g_variant_dict_end(&row));
    }
    g_variant_dict_insert_value(&inner, "log", g_variant_builder_end(&log));
    g_variant_dict_insert_value(dict, "health", g_variant_dict_end(&inner));
}

GVariant *duet_describe_snapshots(DuetContext *context, const char *id)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    g_autoptr(GPtrArray) snapshots = duet_snapshot_list(context, id);
    for (guint i = 0; i < snapshots->len; i++) {
        const DuetSnapshot *snapshot = snapshots->pdata[i];
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        g_autofree char *created = duet_describe_time(snapshot->created_us);
        put_text(&dict, "name", snapshot->name);
        put_text(&dict, "created", created);
        put_number(&dict, "size_bytes", (gint64)snapshot->size_bytes);
        g_variant_dict_insert(&dict, "stateful", "b", snapshot->stateful);
        g_variant_builder_add_value(&list, g_variant_dict_end(&dict));
    }
    return g_variant_builder_end(&list);
}

GVariant *duet_describe(DuetContext *context, const DuetInfo *info)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    put_spec(&dict, info->spec);
    put_text(&dict, "state", duet_state_to_string(info->state));
    put_number(&dict, "pid", info->pid);
    put_number(&dict, "monitor_pid", info->monitor_pid);
    g_autofree char *profile = info->pid > 0 ? duet_apparmor_profile((pid_t)info->pid) : NULL;
    put_text(&dict, "apparmor_profile", profile);
    if (info->exit_code >= 0 &&
        (info->state == DUET_STATE_EXITED || info->state == DUET_STATE_RESTARTING))
        put_number(&dict, "exit_code", info->exit_code);
    else
        g_variant_dict_insert(&dict, "exit_code", "mx", FALSE, (gint64)0);
    put_number(&dict, "exit_signal", info->exit_signal);
    put_number(&dict, "restarts", info->restarts);
    if (info->spec->disk_image)
        duet_describe_disk(&dict, context, info);
    put_check(&dict, &info->spec->health);
    put_health(&dict, info->health);
    g_variant_dict_insert(&dict, "oom_killed", "b", info->oom);
    put_text(&dict, "error", info->error);
    g_autofree char *created = duet_describe_time(info->created_us);
    g_autofree char *started = duet_describe_time(info->started_us);
    g_autofree char *exited = duet_describe_time(info->exited_us);
    put_text(&dict, "created", created);
    put_text(&dict, "started", started);
    put_text(&dict, "exited", exited);
    g_variant_dict_insert_value(&dict, "marks", describe_marks(&info->marks));
    put_number(&dict, "guest_agent_ns", info->guest_agent_ns);
    put_number(&dict, "guest_kernel_ns", info->guest_kernel_ns);
    put_number(&dict, "managing_cpu_ns", info->managing_cpu_ns);
    put_number(&dict, "payload_cpu_ns", info->payload_cpu_ns);
    put_number(&dict, "peak_memory_bytes", (gint64)info->peak_memory_bytes);
    put_text(&dict, "cgroup", info->cgroup);
    put_text(&dict, "payload_cgroup", info->payload_cgroup);
    g_variant_dict_insert_value(
        &dict, "snapshots", duet_describe_snapshots(context, info->spec->id));
    if (info->facts)
        g_variant_dict_insert_value(&dict, "driver", info->facts);
    return g_variant_dict_end(&dict);
}
