/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "environment.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench-build.h"
#include "core/util.h"

#define CPU0 "/sys/devices/system/cpu/"
#define FILE_MAX_BYTES (1024 * 1024)

/* Returns: (transfer full): the file without white space around it, or NULL. */
static char *slurp(const char *path)
{
    char *text = duet_file_read(AT_FDCWD, path, FILE_MAX_BYTES, NULL, NULL);

    return text ? g_strstrip(text) : NULL;
}

/* (transfer full) @text, which may be NULL: unknown. */
static void set_text(JsonObject *object, const char *name, char *text)
{
    if (text) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        json_object_set_string_member(object, name, valid);
    } else {
        json_object_set_null_member(object, name);
    }
    g_free(text);
}

static void set_number(JsonObject *object, const char *name, const char *text)
{
    char *end = NULL;
    gint64 number = text ? g_ascii_strtoll(text, &end, 0) : 0;

    if (text && end != text)
        json_object_set_int_member(object, name, number);
    else
        json_object_set_null_member(object, name);
}

static void set_file(JsonObject *object, const char *name, const char *path)
{
    set_text(object, name, slurp(path));
}

static void set_file_number(JsonObject *object, const char *name, const char *path)
{
    g_autofree char *text = slurp(path);

    set_number(object, name, text);
}

/* Returns: (transfer full): the value of "key : value" or "key: value" lines, the first one. */
static char *field(const char *text, const char *key)
{
    gsize length = strlen(key);

    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0)
            continue;
        const char *value = line + length + strspn(line + length, " \t");
        if (*value != ':')
            continue;
        return g_strstrip(g_strndup(value + 1, strcspn(value + 1, "\n")));
    }
    return NULL;
}

/* The choice in brackets of "always [madvise] never". */
static char *chosen(const char *path)
{
    g_autofree char *text = slurp(path);
    const char *open = text ? strchr(text, '[') : NULL;
    const char *close = open ? strchr(open, ']') : NULL;

    return close ? g_strndup(open + 1, close - open - 1) : NULL;
}

static guint count_sockets(const char *cpuinfo)
{
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(cpuinfo, "\n", -1);

    for (char **line = lines; *line; line++) {
        if (g_str_has_prefix(*line, "physical id"))
            g_hash_table_add(ids, g_strdup(*line));
    }
    return g_hash_table_size(ids);
}

static void add_mitigations(JsonObject *cpu)
{
    JsonObject *mitigations = json_object_new();
    g_autoptr(GDir) dir = g_dir_open(CPU0 "vulnerabilities", 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(CPU0 "vulnerabilities", name, NULL);
        set_file(mitigations, name, path);
    }
    json_object_set_object_member(cpu, "mitigations", mitigations);
}

/* Returns: (transfer full): what the CPU itself says of the hypervisor below, or NULL: none, or
 * one that hides. Its signature is CPUID leaf 0x40000000 wherever the "hypervisor" bit is set. */
static char *hypervisor(void)
{
#ifdef __x86_64__
    static const struct {
        const char *signature, *name;
    } known[] = {
        { "TCGTCGTCGTCG", "tcg" },
        { "KVMKVMKVM", "kvm" },
        { "Microsoft Hv", "hyper-v" },
        { "VMwareVMware", "vmware" },
        { "XenVMMXenVMM", "xen" },
    };
    guint32 a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 31)))
        return NULL;
    guint32 words[4] = { 0 };
    __cpuid(0x40000000, a, words[0], words[1], words[2]);
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strcmp((const char *)words, known[i].signature) == 0)
            return g_strdup(known[i].name);
    }
    return g_utf8_make_valid((const char *)words, -1);
#else
    return NULL;
#endif
}

static void add_cpu(JsonObject *host)
{
    JsonObject *cpu = json_object_new();
    g_autofree char *cpuinfo = slurp("/proc/cpuinfo");
    g_autofree char *flags = cpuinfo ? field(cpuinfo, "flags") : NULL;
    g_autofree char *no_turbo = slurp(CPU0 "intel_pstate/no_turbo");
    g_autofree char *boost = slurp(CPU0 "cpufreq/boost");
    g_auto(GStrv) flag_list = g_strsplit(flags ? flags : "", " ", -1);
    guint sockets = cpuinfo ? count_sockets(cpuinfo) : 0;

    set_text(cpu, "model", cpuinfo ? field(cpuinfo, "model name") : NULL);
    set_text(cpu, "microcode", cpuinfo ? field(cpuinfo, "microcode") : NULL);
    json_object_set_int_member(cpu, "online", sysconf(_SC_NPROCESSORS_ONLN));
    if (sockets > 0)
        json_object_set_int_member(cpu, "sockets", sockets);
    else
        json_object_set_null_member(cpu, "sockets");
    set_file(cpu, "smt", CPU0 "smt/control");
    set_file(cpu, "governor", CPU0 "cpu0/cpufreq/scaling_governor");
    set_file(cpu, "frequency_driver", CPU0 "cpu0/cpufreq/scaling_driver");
    if (no_turbo || boost)
        json_object_set_boolean_member(cpu, "turbo", no_turbo ? *no_turbo == '0' : *boost == '1');
    else
        json_object_set_null_member(cpu, "turbo");
    json_object_set_boolean_member(
        cpu, "hypervisor_flag", g_strv_contains((const char *const *)flag_list, "hypervisor"));
    set_text(cpu, "hypervisor", hypervisor());
    json_object_set_boolean_member(cpu, "virtualization_flag",
        g_strv_contains((const char *const *)flag_list, "vmx") ||
            g_strv_contains((const char *const *)flag_list, "svm"));
    g_autofree char *nested_intel = slurp("/sys/module/kvm_intel/parameters/nested");
    set_text(cpu, "kvm_nested",
        nested_intel ? g_steal_pointer(&nested_intel)
                     : slurp("/sys/module/kvm_amd/parameters/nested"));
    set_file(
        cpu, "clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
    add_mitigations(cpu);
    json_object_set_object_member(host, "cpu", cpu);
}

static void set_kib(JsonObject *object, const char *name, const char *meminfo, const char *key)
{
    g_autofree char *text = meminfo ? field(meminfo, key) : NULL;

    if (text)
        json_object_set_int_member(object, name, g_ascii_strtoll(text, NULL, 10) * 1024);
    else
        json_object_set_null_member(object, name);
}

static void add_memory(JsonObject *host)
{
    JsonObject *memory = json_object_new();
    g_autofree char *meminfo = slurp("/proc/meminfo");

    set_kib(memory, "ram_bytes", meminfo, "MemTotal");
    set_kib(memory, "available_bytes", meminfo, "MemAvailable");
    set_kib(memory, "swap_bytes", meminfo, "SwapTotal");
    set_kib(memory, "swap_free_bytes", meminfo, "SwapFree");
    set_text(
        memory, "transparent_hugepages", chosen("/sys/kernel/mm/transparent_hugepage/enabled"));
    set_file_number(memory, "ksm_run", "/sys/kernel/mm/ksm/run");
    /* Reclaimers that work without pressure: what was warm cools by itself. */
    set_file(memory, "zswap", "/sys/module/zswap/parameters/enabled");
    set_file(memory, "mglru", "/sys/kernel/mm/lru_gen/enabled");
    set_file(memory, "damon_reclaim", "/sys/module/damon_reclaim/parameters/enabled");
    json_object_set_object_member(host, "memory", memory);
}

static void add_kernel(JsonObject *host)
{
    JsonObject *kernel = json_object_new();
    struct utsname names;
    g_autofree char *status = slurp("/proc/self/status");

    if (uname(&names) == 0) {
        set_text(kernel, "release", g_strdup(names.release));
        set_text(kernel, "version", g_strdup(names.version));
        set_text(kernel, "machine", g_strdup(names.machine));
    }
    set_file(kernel, "command_line", "/proc/cmdline");
    set_file(kernel, "lsm", "/sys/kernel/security/lsm");
    set_text(kernel, "seccomp_of_duet", status ? field(status, "Seccomp") : NULL);
    json_object_set_boolean_member(
        kernel, "pressure_stall_information", access("/proc/pressure/memory", R_OK) == 0);
    json_object_set_object_member(host, "kernel", kernel);
}

/* "v2", "v1", or "hybrid": which hierarchies are mounted. */
static char *cgroup_version(void)
{
    g_autofree char *mounts = slurp("/proc/self/mounts");
    gboolean v1 = mounts && strstr(mounts, " cgroup ") != NULL;
    gboolean v2 = mounts && strstr(mounts, " cgroup2 ") != NULL;

    if (v1 && v2)
        return g_strdup("hybrid");
    return v2 ? g_strdup("v2") : v1 ? g_strdup("v1") : NULL;
}

/* Returns: (transfer full): type of the mount that holds @path, from the longest mount point. */
static char *file_system(const char *path)
{
    g_autofree char *real = realpath(path, NULL);
    g_autofree char *mounts = slurp("/proc/self/mounts");
    g_auto(GStrv) lines = g_strsplit(mounts ? mounts : "", "\n", -1);
    gsize best = 0;
    char *type = NULL;

    for (char **line = lines; real && *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", 4);
        if (g_strv_length(words) < 3)
            continue;
        g_autofree char *point = g_strcompress(words[1]);
        gsize length = strlen(point);
        gboolean below = g_str_has_prefix(real, point) &&
            (length == 1 || real[length] == '/' || real[length] == '\0');
        if (!below || length < best)
            continue;
        best = length;
        g_free(type);
        type = g_strdup(words[2]);
    }
    return type;
}

/* Lets two files say whether they are of one machine without telling which one. */
static char *machine_hash(void)
{
    g_autofree char *id = slurp("/etc/machine-id");
    g_autofree char *salted = id && *id ? g_strconcat("duet:", id, NULL) : NULL;
    g_autofree char *hash =
        salted ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, salted, -1) : NULL;

    return hash ? g_strndup(hash, 16) : NULL;
}

static void add_load(JsonObject *host)
{
    double load[3];

    if (getloadavg(load, 3) == 3)
        json_object_set_double_member(host, "load_1min", load[0]);
    else
        json_object_set_null_member(host, "load_1min");
}

JsonObject *duet_environment_host(const char *root)
{
    JsonObject *host = json_object_new();
    g_autofree char *os_release = slurp("/etc/os-release");
    g_auto(GStrv) lines = g_strsplit(os_release ? os_release : "", "\n", -1);

    set_text(host, "machine_hash", machine_hash());
    json_object_set_null_member(host, "os");
    for (char **line = lines; *line; line++) {
        if (g_str_has_prefix(*line, "PRETTY_NAME="))
            set_text(host, "os", g_shell_unquote(*line + strlen("PRETTY_NAME="), NULL));
    }
    add_cpu(host);
    add_memory(host);
    add_kernel(host);
    set_text(host, "cgroup_version", cgroup_version());
    set_text(host, "file_system", file_system(root));
    add_load(host);
    return host;
}

JsonObject *duet_environment_tool(void)
{
    JsonObject *tool = json_object_new();

    json_object_set_string_member(tool, "name", "duet");
    json_object_set_string_member(tool, "version", DUET_BUILD_VERSION);
    json_object_set_string_member(tool, "commit", DUET_BUILD_COMMIT);
    json_object_set_string_member(tool, "compiler", DUET_BUILD_COMPILER);
    json_object_set_string_member(tool, "build_flags", DUET_BUILD_FLAGS);
    return tool;
}

static void warn(GPtrArray *warnings, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void warn(GPtrArray *warnings, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(warnings, g_strdup_vprintf(format, args));
    va_end(args);
}

gboolean duet_environment_under_tcg(JsonObject *host)
{
    JsonNode *node = json_object_get_member(host, "cpu");
    JsonObject *cpu = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    node = cpu ? json_object_get_member(cpu, "hypervisor") : NULL;

    return node && json_node_get_value_type(node) == G_TYPE_STRING &&
        strcmp(json_node_get_string(node), "tcg") == 0;
}

GPtrArray *duet_environment_warnings(JsonObject *host)
{
    GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
    JsonObject *cpu = json_object_get_object_member(host, "cpu");
    JsonObject *memory = json_object_get_object_member(host, "memory");
    double load = json_object_get_double_member_with_default(host, "load_1min", 0);
    gint64 online = json_object_get_int_member_with_default(cpu, "online", 1);
    const char *governor = json_object_get_string_member_with_default(cpu, "governor", NULL);
    gint64 swap = json_object_get_int_member_with_default(memory, "swap_bytes", 0);
    gint64 swap_free = json_object_get_int_member_with_default(memory, "swap_free_bytes", 0);

    if (duet_environment_under_tcg(host))
        warn(warnings, "nested under TCG: this host's own CPUs are emulated; publish none of this");
    if (load > online / 2.0)
        warn(warnings, "the host was busy before the run: load %.2f on %" G_GINT64_FORMAT " CPUs",
            load, online);
    if (governor && strcmp(governor, "performance") != 0)
        warn(warnings, "CPU frequency governor is '%s', not 'performance'", governor);
    if (json_object_get_int_member_with_default(memory, "ksm_run", 0) == 1)
        warn(warnings, "KSM runs: it merges pages and takes CPU time");
    if (swap > swap_free)
        warn(warnings, "%" G_GINT64_FORMAT " MiB of swap are in use", (swap - swap_free) >> 20);
    if (g_str_has_prefix(DUET_BUILD_FLAGS, "sanitize"))
        warn(warnings, "this duet was built with sanitizers: it is slow");
    return warnings;
}

static gboolean is_on(JsonObject *memory, const char *name)
{
    const char *text = json_object_get_string_member_with_default(memory, name, NULL);

    return text && *text && !strchr("N0", *text);
}

/* The bits of lru_gen/enabled: "0x0007". */
static gboolean mglru_is_on(JsonObject *memory)
{
    const char *text = json_object_get_string_member_with_default(memory, "mglru", NULL);

    return text && g_ascii_strtoull(text, NULL, 0) != 0;
}

void duet_environment_memory_warnings(JsonObject *host, GPtrArray *warnings)
{
    JsonObject *memory = json_object_get_object_member(host, "memory");

    if (is_on(memory, "damon_reclaim"))
        warn(warnings, "DAMON reclaims what is idle: memory falls with age");
    if (is_on(memory, "zswap"))
        warn(warnings, "zswap is on: what it compresses is in no PSS");
    if (mglru_is_on(memory))
        warn(warnings, "MGLRU is on: it may age pages, and take them, without pressure");
}
