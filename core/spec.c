/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/util.h"

#include <duet/error.h>
#include <duet/spec.h>

#include <signal.h>
#include <string.h>

static const char *const kind_names[] = {
    [DUET_KIND_CONTAINER] = "container",
    [DUET_KIND_VM] = "vm",
    [DUET_KIND_NATIVE] = "native",
};

static const char *const accel_names[] = {
    [DUET_ACCEL_AUTO] = "auto",
    [DUET_ACCEL_KVM] = "kvm",
    [DUET_ACCEL_TCG] = "tcg",
};

static const char *const restart_names[] = {
    [DUET_RESTART_NO] = "no",
    [DUET_RESTART_ON_FAILURE] = "on-failure",
    [DUET_RESTART_ALWAYS] = "always",
};

static const char *const health_action_names[] = {
    [DUET_HEALTH_NOTHING] = "none",
    [DUET_HEALTH_KILL] = "kill",
    [DUET_HEALTH_RESTART] = "restart",
    [DUET_HEALTH_STOP] = "stop",
};

static gboolean index_of(const char *const *names, guint n, const char *text, guint *out_index)
{
    for (guint i = 0; i < n; i++)
        if (g_strcmp0(names[i], text) == 0) {
            *out_index = i;
            return TRUE;
        }
    return FALSE;
}

const char *duet_kind_to_string(DuetKind kind)
{
    return kind_names[kind];
}

gboolean duet_kind_from_string(const char *text, DuetKind *out_kind)
{
    guint i;
    if (!index_of(kind_names, G_N_ELEMENTS(kind_names), text, &i))
        return FALSE;
    *out_kind = (DuetKind)i;
    return TRUE;
}

const char *duet_accel_to_string(DuetAccel accel)
{
    return accel_names[accel];
}

gboolean duet_accel_from_string(const char *text, DuetAccel *out_accel)
{
    guint i;
    if (!index_of(accel_names, G_N_ELEMENTS(accel_names), text, &i))
        return FALSE;
    *out_accel = (DuetAccel)i;
    return TRUE;
}

const char *duet_restart_to_string(DuetRestart restart)
{
    return restart_names[restart];
}

const char *duet_health_action_to_string(DuetHealthAction action)
{
    return health_action_names[action];
}

gboolean duet_health_action_from_string(const char *text, DuetHealthAction *out_action)
{
    guint i;
    if (!index_of(health_action_names, G_N_ELEMENTS(health_action_names), text, &i))
        return FALSE;
    *out_action = (DuetHealthAction)i;
    return TRUE;
}

DuetMount *duet_mount_new(const char *source, const char *target, gboolean readonly)
{
    DuetMount *mount = g_new0(DuetMount, 1);
    mount->source = g_strdup(source);
    mount->target = g_strdup(target);
    mount->readonly = readonly;
    return mount;
}

void duet_mount_free(DuetMount *mount)
{
    if (!mount)
        return;
    g_free(mount->source);
    g_free(mount->target);
    g_free(mount->volume);
    g_free(mount);
}

DuetTmpfs *duet_tmpfs_new(const char *target, const char *options, gboolean readonly, gboolean exec)
{
    DuetTmpfs *tmpfs = g_new0(DuetTmpfs, 1);
    tmpfs->target = g_strdup(target);
    tmpfs->options = g_strdup(options);
    tmpfs->readonly = readonly;
    tmpfs->exec = exec;
    return tmpfs;
}

void duet_tmpfs_free(DuetTmpfs *tmpfs)
{
    if (!tmpfs)
        return;
    g_free(tmpfs->target);
    g_free(tmpfs->options);
    g_free(tmpfs);
}

guint duet_path_depth(const char *path)
{
    guint steps = 0;
    for (; *path != '\0'; path++)
        if (path[0] == '/' && path[1] != '\0' && path[1] != '/')
            steps++;
    return steps;
}

DuetSpec *duet_spec_new(void)
{
    DuetSpec *spec = g_new0(DuetSpec, 1);
    spec->id = duet_random_hex(6);
    spec->layers = g_new0(char *, 1);
    spec->argv = g_new0(char *, 1);
    spec->env = g_new0(char *, 1);
    spec->cwd = g_strdup("/");
    spec->hostname = g_strdup(spec->id);
    spec->high_ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    spec->mounts = g_ptr_array_new_with_free_func((GDestroyNotify)duet_mount_free);
    spec->tmpfs = g_ptr_array_new_with_free_func((GDestroyNotify)duet_tmpfs_free);
    spec->stop_signal = SIGTERM;
    spec->capabilities = DUET_CAPABILITIES_OF_KIND;
    spec->oom_score_adj = DUET_OOM_SCORE_ADJ_OF_CALLER;
    spec->stop_timeout_s = DUET_STOP_TIMEOUT_S;
    return spec;
}

guint64 duet_spec_capabilities(const DuetSpec *spec)
{
    if (spec->capabilities != DUET_CAPABILITIES_OF_KIND)
        return spec->capabilities;
    return spec->kind == DUET_KIND_VM ? DUET_CAPABILITIES_ALL : DUET_CAPABILITIES_DEFAULT;
}

void duet_spec_free(DuetSpec *spec)
{
    if (!spec)
        return;
    char **strings[] = { &spec->id, &spec->name, &spec->image_ref, &spec->image_digest,
        &spec->root_disk, &spec->cwd, &spec->user, &spec->hostname, &spec->qemu_path,
        &spec->kernel_path, &spec->connect, &spec->pool, &spec->seccomp, &spec->cpuset_cpus,
        &spec->cpuset_mems, &spec->apparmor, &spec->machine, &spec->cpu_model, &spec->xml_patch,
        &spec->disk_image, &spec->firmware, &spec->user_data, &spec->network_config, &spec->wait,
        &spec->graphics };
    for (guint i = 0; i < G_N_ELEMENTS(strings); i++)
        g_free(*strings[i]);
    char **lists[] = { spec->layers, spec->argv, spec->env, spec->labels, spec->ulimits,
        spec->groups, spec->sysctls, spec->devices, spec->masks, spec->unmasks, spec->io_limits,
        spec->hugetlb, spec->health.test, spec->disks, spec->ssh_keys };
    for (guint i = 0; i < G_N_ELEMENTS(lists); i++)
        g_strfreev(lists[i]);
    g_array_unref(spec->high_ids);
    g_ptr_array_unref(spec->mounts);
    g_ptr_array_unref(spec->tmpfs);
    g_free(spec);
}

static void insert_volume(GArray *volumes, DuetVolume volume)
{
    guint at = volumes->len, depth = duet_path_depth(volume.target);
    while (at > 0 && duet_path_depth(g_array_index(volumes, DuetVolume, at - 1).target) > depth)
        at--;
    g_array_insert_val(volumes, at, volume);
}

GArray *duet_spec_volumes(const DuetSpec *spec)
{
    GArray *volumes = g_array_new(FALSE, FALSE, sizeof(DuetVolume));
    for (guint i = 0; i < spec->mounts->len; i++) {
        const DuetMount *mount = spec->mounts->pdata[i];
        insert_volume(volumes, (DuetVolume){ .target = mount->target, .mount = mount, .index = i });
    }
    for (guint i = 0; i < spec->tmpfs->len; i++) {
        const DuetTmpfs *tmpfs = spec->tmpfs->pdata[i];
        insert_volume(volumes, (DuetVolume){ .target = tmpfs->target, .tmpfs = tmpfs, .index = i });
    }
    return volumes;
}

/*
 * The members and their types, once for both directions. Byte strings (ay, aay) wherever a value
 * need not be UTF-8: arguments, variables, paths.
 */
typedef enum {
    FIELD_BYTES,
    FIELD_LIST,
    FIELD_BOOL,
    FIELD_INT,
    FIELD_U64,
    FIELD_I64,
    FIELD_DOUBLE
} FieldType;

typedef struct {
    const char *key;
    FieldType type;
    gsize offset;
} Field;

static const Field fields[] = {
    { "id", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, id) },
    { "name", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, name) },
    { "kind", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, kind) },
    { "image-ref", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, image_ref) },
    { "image-digest", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, image_digest) },
    { "layers", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, layers) },
    { "root-disk", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, root_disk) },
    { "argv", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, argv) },
    { "env", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, env) },
    { "cwd", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, cwd) },
    { "user", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, user) },
    { "hostname", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, hostname) },
    { "stop-signal", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, stop_signal) },
    { "open-stdin", FIELD_BOOL, G_STRUCT_OFFSET(DuetSpec, open_stdin) },
    { "remove-at-exit", FIELD_BOOL, G_STRUCT_OFFSET(DuetSpec, remove_at_exit) },
    { "idle", FIELD_BOOL, G_STRUCT_OFFSET(DuetSpec, idle) },
    { "timeout-ms", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, timeout_ms) },
    { "memory-bytes", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, memory_bytes) },
    { "cpus", FIELD_DOUBLE, G_STRUCT_OFFSET(DuetSpec, cpus) },
    { "pids-limit", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, pids_limit) },
    { "capabilities", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, capabilities) },
    { "readonly", FIELD_BOOL, G_STRUCT_OFFSET(DuetSpec, readonly) },
    { "seccomp", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, seccomp) },
    { "accel", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, accel) },
    { "qemu-path", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, qemu_path) },
    { "kernel-path", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, kernel_path) },
    { "disk-bytes", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, disk_bytes) },
    { "connect", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, connect) },
    { "owner-pid", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, owner_pid) },
    { "pool", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, pool) },
    { "pool-memory-bytes", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, pool_memory_bytes) },
    { "labels", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, labels) },
    { "memory-swap-bytes", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, memory_swap_bytes) },
    { "memory-reservation-bytes", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, memory_reservation_bytes) },
    { "cpu-shares", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, cpu_shares) },
    { "cpu-period-us", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, cpu_period_us) },
    { "cpuset-cpus", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, cpuset_cpus) },
    { "cpuset-mems", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, cpuset_mems) },
    { "blkio-weight", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, blkio_weight) },
    { "io-limits", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, io_limits) },
    { "hugetlb", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, hugetlb) },
    { "oom-score-adj", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, oom_score_adj) },
    { "stop-timeout-s", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, stop_timeout_s) },
};

/* Those that few ask for: not written while they are 0, or NULL. */
static const Field rare_fields[] = {
    { "tty", FIELD_BOOL, G_STRUCT_OFFSET(DuetSpec, tty) },
    { "ulimits", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, ulimits) },
    { "groups", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, groups) },
    { "sysctls", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, sysctls) },
    { "shm-bytes", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, shm_bytes) },
    { "devices", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, devices) },
    { "apparmor", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, apparmor) },
    { "masks", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, masks) },
    { "unmasks", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, unmasks) },
    { "monotonic-s", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, monotonic_s) },
    { "boottime-s", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, boottime_s) },
    { "restart", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, restart) },
    { "restart-retries", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, restart_retries) },
    { "no-log", FIELD_BOOL, G_STRUCT_OFFSET(DuetSpec, no_log) },
    { "log-max-bytes", FIELD_U64, G_STRUCT_OFFSET(DuetSpec, log_max_bytes) },
    { "log-max-files", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, log_max_files) },
    { "health-test", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, health.test) },
    { "health-interval-us", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, health.interval_us) },
    { "health-timeout-us", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, health.timeout_us) },
    { "health-start-period-us", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, health.start_period_us) },
    { "health-start-interval-us", FIELD_I64, G_STRUCT_OFFSET(DuetSpec, health.start_interval_us) },
    { "health-retries", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, health.retries) },
    { "health-on-failure", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, health.on_failure) },
    { "machine", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, machine) },
    { "cpu-model", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, cpu_model) },
    { "vcpus", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, topology.vcpus) },
    { "vcpu-sockets", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, topology.sockets) },
    { "vcpu-cores", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, topology.cores) },
    { "vcpu-threads", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, topology.threads) },
    { "vcpus-max", FIELD_INT, G_STRUCT_OFFSET(DuetSpec, topology.max) },
    { "disks", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, disks) },
    { "rng", FIELD_BOOL, G_STRUCT_OFFSET(DuetSpec, rng) },
    { "xml-patch", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, xml_patch) },
    { "disk-image", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, disk_image) },
    { "firmware", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, firmware) },
    { "user-data", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, user_data) },
    { "network-config", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, network_config) },
    { "ssh-keys", FIELD_LIST, G_STRUCT_OFFSET(DuetSpec, ssh_keys) },
    { "wait", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, wait) },
    { "graphics", FIELD_BYTES, G_STRUCT_OFFSET(DuetSpec, graphics) },
};

static gboolean is_zero(gconstpointer at, FieldType type)
{
    switch (type) {
    case FIELD_BYTES:
    case FIELD_LIST:
        return *(gconstpointer const *)at == NULL;
    case FIELD_BOOL:
    case FIELD_INT:
        return *(const int *)at == 0;
    case FIELD_U64:
    case FIELD_I64:
        return *(const guint64 *)at == 0;
    case FIELD_DOUBLE:
        return *(const double *)at == 0;
    }
    g_assert_not_reached();
}

static GVariant *field_to_variant(gconstpointer at, FieldType type)
{
    switch (type) {
    case FIELD_BYTES: {
        const char *text = *(char *const *)at;
        return text ? g_variant_new_bytestring(text) : NULL;
    }
    case FIELD_LIST: {
        const char *const *list = *(const char *const *const *)at;
        return list ? g_variant_new_bytestring_array(list, -1) : NULL;
    }
    case FIELD_BOOL:
        return g_variant_new_boolean(*(const gboolean *)at);
    case FIELD_INT:
        return g_variant_new_int32(*(const int *)at);
    case FIELD_U64:
        return g_variant_new_uint64(*(const guint64 *)at);
    case FIELD_I64:
        return g_variant_new_int64(*(const gint64 *)at);
    case FIELD_DOUBLE:
        return g_variant_new_double(*(const double *)at);
    }
    g_assert_not_reached();
}

static const char *const field_types[] = { [FIELD_BYTES] = "ay",
    [FIELD_LIST] = "aay",
    [FIELD_BOOL] = "b",
    [FIELD_INT] = "i",
    [FIELD_U64] = "t",
    [FIELD_I64] = "x",
    [FIELD_DOUBLE] = "d" };

static void field_from_variant(gpointer at, FieldType type, GVariant *value)
{
    switch (type) {
    case FIELD_BYTES:
        g_free(*(char **)at);
        *(char **)at = g_variant_dup_bytestring(value, NULL);
        break;
    case FIELD_LIST:
        g_strfreev(*(char ***)at);
        *(char ***)at = g_variant_dup_bytestring_array(value, NULL);
        break;
    case FIELD_BOOL:
        *(gboolean *)at = g_variant_get_boolean(value);
        break;
    case FIELD_INT:
        *(int *)at = g_variant_get_int32(value);
        break;
    case FIELD_U64:
        *(guint64 *)at = g_variant_get_uint64(value);
        break;
    case FIELD_I64:
        *(gint64 *)at = g_variant_get_int64(value);
        break;
    case FIELD_DOUBLE:
        *(double *)at = g_variant_get_double(value);
        break;
    }
}

/* The members come in the table's order: *cursor is where the next one should be. */
static const Field *find_field(const Field *table, guint n, guint *cursor, const char *key)
{
    for (guint i = 0; i < n; i++) {
        const Field *field = &table[(*cursor + i) % n];
        if (strcmp(field->key, key) != 0)
            continue;
        *cursor = (*cursor + i + 1) % n;
        return field;
    }
    return NULL;
}

/* Once through them: each start makes copies of specs, and a dictionary's lookup goes through all
 * that is before. */
static void fields_from_variant(DuetSpec *spec, GVariant *variant)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;
    guint at = 0, rare_at = 0;
    g_variant_iter_init(&iter, variant);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
        const Field *field = find_field(fields, G_N_ELEMENTS(fields), &at, key);
        if (!field)
            field = find_field(rare_fields, G_N_ELEMENTS(rare_fields), &rare_at, key);
        if (field && g_variant_is_of_type(value, G_VARIANT_TYPE(field_types[field->type])))
            field_from_variant((char *)spec + field->offset, field->type, value);
    }
}

/* Returns: (nullable) (transfer floating): one for each mount, "" for those that are no volumes;
 * NULL if none is. */
static GVariant *volume_names(const DuetSpec *spec)
{
    g_auto(GVariantBuilder) names = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_BYTESTRING_ARRAY);
    gboolean any = FALSE;
    for (guint i = 0; i < spec->mounts->len; i++) {
        const DuetMount *mount = spec->mounts->pdata[i];
        any = any || mount->volume;
        g_variant_builder_add(&names, "^ay", mount->volume ? mount->volume : "");
    }
    return any ? g_variant_builder_end(&names) : NULL;
}

static void take_volume_names(DuetSpec *spec, GVariant *variant)
{
    g_auto(GStrv) names = NULL;
    if (!g_variant_lookup(variant, "volumes", "^aay", &names))
        return;
    for (guint i = 0; i < spec->mounts->len && names[i]; i++)
        if (*names[i])
            ((DuetMount *)spec->mounts->pdata[i])->volume = g_strdup(names[i]);
}

GVariant *duet_spec_to_variant(const DuetSpec *spec)
{
    g_auto(GVariantBuilder) dict = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        GVariant *value = field_to_variant((const char *)spec + fields[i].offset, fields[i].type);
        if (value)
            g_variant_builder_add(&dict, "{sv}", fields[i].key, value);
    }
    for (guint i = 0; i < G_N_ELEMENTS(rare_fields); i++) {
        gconstpointer at = (const char *)spec + rare_fields[i].offset;
        if (!is_zero(at, rare_fields[i].type))
            g_variant_builder_add(
                &dict, "{sv}", rare_fields[i].key, field_to_variant(at, rare_fields[i].type));
    }
    GVariant *ids = g_variant_new_fixed_array(
        G_VARIANT_TYPE_UINT32, spec->high_ids->data, spec->high_ids->len, sizeof(guint32));
    g_variant_builder_add(&dict, "{sv}", "high-ids", ids);

    g_auto(GVariantBuilder) mounts = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(ayayb)"));
    for (guint i = 0; i < spec->mounts->len; i++) {
        const DuetMount *mount = spec->mounts->pdata[i];
        g_variant_builder_add(&mounts, "(^ay^ayb)", mount->source, mount->target, mount->readonly);
    }
    g_variant_builder_add(&dict, "{sv}", "mounts", g_variant_builder_end(&mounts));
    GVariant *names = volume_names(spec);
    if (names)
        g_variant_builder_add(&dict, "{sv}", "volumes", names);

    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(ayaybb)"));
    for (guint i = 0; i < spec->tmpfs->len; i++) {
        const DuetTmpfs *tmpfs = spec->tmpfs->pdata[i];
        g_variant_builder_add(&list, "(^ay^aybb)", tmpfs->target,
            tmpfs->options ? tmpfs->options : "", tmpfs->readonly, tmpfs->exec);
    }
    if (spec->tmpfs->len > 0)
        g_variant_builder_add(&dict, "{sv}", "tmpfs", g_variant_builder_end(&list));
    return g_variant_builder_end(&dict);
}

DuetSpec *duet_spec_from_variant(GVariant *variant, GError **error)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(GVariant) id = NULL;
    if (!g_variant_is_of_type(variant, G_VARIANT_TYPE_VARDICT) ||
        !(id = g_variant_lookup_value(variant, "id", G_VARIANT_TYPE_BYTESTRING))) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "it is not the spec of an instance");
        return NULL;
    }
    fields_from_variant(spec, variant);
    if (spec->restart > DUET_RESTART_ALWAYS || spec->health.on_failure > DUET_HEALTH_STOP ||
        spec->log_max_files < 0 ||
        (spec->log_max_bytes && spec->log_max_bytes < DUET_LOG_MIN_BYTES)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "the spec names an unknown policy");
        return NULL;
    }
    if (spec->kind > DUET_KIND_NATIVE || spec->accel > DUET_ACCEL_TCG) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "the spec names an unknown kind");
        return NULL;
    }

    g_autoptr(GVariant) ids = g_variant_lookup_value(variant, "high-ids", G_VARIANT_TYPE("au"));
    gsize n = 0;
    const guint32 *values = ids ? g_variant_get_fixed_array(ids, &n, sizeof(guint32)) : NULL;
    if (n > 0)
        g_array_append_vals(spec->high_ids, values, (guint)n);

    g_autoptr(GVariant) mounts =
        g_variant_lookup_value(variant, "mounts", G_VARIANT_TYPE("a(ayayb)"));
    for (gsize i = 0; mounts && i < g_variant_n_children(mounts); i++) {
        const char *source, *target;
        gboolean readonly;
        g_autoptr(GVariant) child = g_variant_get_child_value(mounts, i);
        g_variant_get(child, "(^&ay^&ayb)", &source, &target, &readonly);
        g_ptr_array_add(spec->mounts, duet_mount_new(source, target, readonly));
    }
    take_volume_names(spec, variant);

    g_autoptr(GVariant) list =
        g_variant_lookup_value(variant, "tmpfs", G_VARIANT_TYPE("a(ayaybb)"));
    for (gsize i = 0; list && i < g_variant_n_children(list); i++) {
        const char *target, *options;
        gboolean readonly, exec;
        g_autoptr(GVariant) child = g_variant_get_child_value(list, i);
        g_variant_get(child, "(^&ay^&aybb)", &target, &options, &readonly, &exec);
        g_ptr_array_add(
            spec->tmpfs, duet_tmpfs_new(target, *options ? options : NULL, readonly, exec));
    }
    return g_steal_pointer(&spec);
}

DuetSpec *duet_spec_copy(const DuetSpec *spec)
{
    g_autoptr(GVariant) variant = g_variant_ref_sink(duet_spec_to_variant(spec));
    return duet_spec_from_variant(variant, NULL);
}

gboolean duet_spec_change(DuetSpec *spec, const char *key, GVariant *value)
{
    guint at = 0;
    const Field *field = find_field(fields, G_N_ELEMENTS(fields), &at, key);
    if (!field)
        field = find_field(rare_fields, G_N_ELEMENTS(rare_fields), &at, key);
    if (!field || !g_variant_is_of_type(value, G_VARIANT_TYPE(field_types[field->type])))
        return FALSE;
    field_from_variant((char *)spec + field->offset, field->type, value);
    return TRUE;
}
