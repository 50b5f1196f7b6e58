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

/* Returns: (transfer full): of all CPUs, each name once: "performance, powersave"; or NULL. */
static char *governors(void)
{
    g_autoptr(GString) names = g_string_new(NULL);
    long n = sysconf(_SC_NPROCESSORS_CONF);

    for (long i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf(CPU0 "cpu%ld/cpufreq/scaling_governor", i);
        g_autofree char *name = slurp(path);
        if (name && !strstr(names->str, name))
            g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", name);
    }
    return names->len > 0 ? g_string_free(g_steal_pointer(&names), FALSE) : NULL;
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
    set_text(cpu, "governor", governors());
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
    set_file_number(memory, "ksm_pages_sharing", "/sys/kernel/mm/ksm/pages_sharing");
    set_file_number(memory, "swappiness", "/proc/sys/vm/swappiness");
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

static void add_load(JsonObject *object)
{
    double load[3];

    if (getloadavg(load, 3) == 3)
        json_object_set_double_member(object, "load_1min", load[0]);
    else
        json_object_set_null_member(object, "load_1min");
}

void duet_environment_count(DuetEnvironmentCount *out_count)
{
    g_autofree char *stat = slurp("/proc/stat");
    g_autofree char *vmstat = slurp("/proc/vmstat");
    const char *swapped = vmstat ? strstr(vmstat, "\npswpin ") : NULL;
    /* user nice system idle iowait irq softirq steal */
    guint64 ticks[8] = { 0 };

    *out_count = (DuetEnvironmentCount){ 0 };
    if (stat && g_str_has_prefix(stat, "cpu ")) {
        char *at = stat + strlen("cpu ");
        for (gsize i = 0; i < G_N_ELEMENTS(ticks); i++)
            ticks[i] = g_ascii_strtoull(at, &at, 10);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(ticks); i++) {
        if (i != 3 && i != 4)
            out_count->busy_ticks += ticks[i];
    }
    out_count->steal_ticks = ticks[7];
    if (swapped)
        out_count->swapped_in_bytes =
            g_ascii_strtoull(swapped + strlen("\npswpin "), NULL, 10) * sysconf(_SC_PAGESIZE);
}

void duet_environment_finish(JsonObject *host, const DuetEnvironmentCount *before)
{
    JsonObject *during = json_object_new();
    DuetEnvironmentCount after;

    duet_environment_count(&after);
    guint64 busy = after.busy_ticks - before->busy_ticks;
    guint64 steal = after.steal_ticks - before->steal_ticks;
    if (after.busy_ticks > before->busy_ticks && after.steal_ticks >= before->steal_ticks)
        json_object_set_double_member(during, "steal", (double)steal / busy);
    else
        json_object_set_null_member(during, "steal");
    json_object_set_int_member(
        during, "swapped_in_bytes", after.swapped_in_bytes - before->swapped_in_bytes);
    add_load(during);
    json_object_set_object_member(host, "during_run", during);
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
