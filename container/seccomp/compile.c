/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation. A profile is read with json-glib, and each rule whose conditions hold goes
 * to libseccomp, which writes the program: as a tree, for a kernel walks through it at each call.
 * Names of calls that this libseccomp has never heard of are passed over, as by runc and crun, for
 * lists are newer than libraries; everything else that is not understood is an error, for a filter
 * that says less than it was meant to is none.
 */
#include "compile.h"

#include <cap-ng.h>
#include <errno.h>
#include <json-glib/json-glib.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/json-guard.h"
#include "core/util.h"

/* Arguments of a system call. */
#define ARGS_MAX 6
/* The kernel's BPF_MAXINSNS. */
#define INSTRUCTIONS_MAX 4096
#define INSTRUCTION_BYTES 8

typedef struct {
    scmp_filter_ctx context;
    guint64 capabilities;
    guint32 otherwise; /* what becomes of a call that no rule is about */
    GError *error;
} Profile;

static gboolean complain(Profile *profile, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean complain(Profile *profile, const char *format, ...)
{
    va_list args;

    if (profile->error)
        return FALSE;
    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(
        &profile->error, DUET_ERROR, DUET_ERROR_INVALID, "cannot use the seccomp profile: %s", why);
    return FALSE;
}

int duet_capability_number(const char *name)
{
    g_autofree char *lower = g_ascii_strdown(name, -1);

    return capng_name_to_capability(g_str_has_prefix(lower, "cap_") ? lower + 4 : lower);
}

char *duet_capability_name(int number)
{
    const char *name = capng_capability_to_name((unsigned)number);
    g_autofree char *upper = name ? g_ascii_strup(name, -1) : NULL;

    return upper ? g_strconcat("CAP_", upper, NULL) : NULL;
}

/* ---- members, each of which may be missing ---- */

static JsonNode *member(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && !JSON_NODE_HOLDS_NULL(node) ? node : NULL;
}

static const char *get_string(Profile *profile, JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    if (!node)
        return NULL;
    if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
        return json_node_get_string(node);
    complain(profile, "'%s' is not a string", name);
    return NULL;
}

/* -1 is all bits. */
static guint64 get_number(
    Profile *profile, JsonObject *object, const char *name, guint64 max, guint64 otherwise)
{
    JsonNode *node = member(object, name);

    if (!node)
        return otherwise;
    if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64) {
        guint64 value = (guint64)json_node_get_int(node);
        if (value <= max)
            return value;
    }
    complain(profile, "'%s' is not a whole number from 0 to %" G_GUINT64_FORMAT, name, max);
    return otherwise;
}

static JsonObject *get_object(Profile *profile, JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    if (node && !JSON_NODE_HOLDS_OBJECT(node))
        complain(profile, "'%s' is not an object", name);
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* Returns: (transfer full): its elements. */
static GList *get_elements(Profile *profile, JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    if (node && !JSON_NODE_HOLDS_ARRAY(node))
        complain(profile, "'%s' is not an array", name);
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_array_get_elements(json_node_get_array(node))
                                               : NULL;
}

/* Returns: (transfer full) (element-type utf8): its elements, which are the profile's. */
static GPtrArray *get_strings(Profile *profile, JsonObject *object, const char *name)
{
    g_autoptr(GList) elements = get_elements(profile, object, name);
    GPtrArray *strings = g_ptr_array_new();

    for (GList *at = elements; at; at = at->next) {
        JsonNode *node = at->data;
        if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
            g_ptr_array_add(strings, (gpointer)json_node_get_string(node));
        else
            complain(profile, "'%s' holds something that is not a string", name);
    }
    return strings;
}

/* What else it says would be passed over in silence. */
static void check_members(Profile *profile, JsonObject *object, const char *const *known)
{
    g_autoptr(GList) members = json_object_get_members(object);

    for (GList *at = members; at; at = at->next)
        if (!g_strv_contains(known, at->data))
            complain(profile, "it has a member '%s', which duet does not know", (char *)at->data);
}

/* ---- words of the format ---- */

static const struct {
    const char *name;
    guint32 action;
    gboolean has_errno;
} actions[] = {
    { "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
    { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), TRUE },
    { "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
    { "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
    { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
    { "SCMP_ACT_LOG", SCMP_ACT_LOG },
    { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), TRUE },
    { "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
};

static guint32 get_action(
    Profile *profile, JsonObject *object, const char *name, const char *errno_name)
{
    const char *word = get_string(profile, object, name);
    guint16 data = (guint16)get_number(profile, object, errno_name, G_MAXUINT16, EPERM);

    for (gsize i = 0; word && i < G_N_ELEMENTS(actions); i++) {
        if (g_str_equal(actions[i].name, word))
            return actions[i].action | (actions[i].has_errno ? data : 0u);
    }
    complain(profile, "'%s' is '%s', which is no action that duet knows", name, word ? word : "");
    return SCMP_ACT_KILL_PROCESS;
}

static const struct {
    const char *name;
    enum scmp_compare op;
} compares[] = {
    { "SCMP_CMP_NE", SCMP_CMP_NE },
    { "SCMP_CMP_LT", SCMP_CMP_LT },
    { "SCMP_CMP_LE", SCMP_CMP_LE },
    { "SCMP_CMP_EQ", SCMP_CMP_EQ },
    { "SCMP_CMP_GE", SCMP_CMP_GE },
    { "SCMP_CMP_GT", SCMP_CMP_GT },
    { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

static struct scmp_arg_cmp get_compare(Profile *profile, JsonObject *object)
{
    static const char *const known[] = { "index", "op", "value", "valueTwo", NULL };
    const char *word = get_string(profile, object, "op");

    check_members(profile, object, known);
    for (gsize i = 0; word && i < G_N_ELEMENTS(compares); i++) {
        if (g_str_equal(compares[i].name, word))
            return (struct scmp_arg_cmp){
                .arg = (unsigned)get_number(profile, object, "index", ARGS_MAX - 1, 0),
                .op = compares[i].op,
                .datum_a = get_number(profile, object, "value", G_MAXUINT64, 0),
                .datum_b = get_number(profile, object, "valueTwo", G_MAXUINT64, 0),
            };
    }
    complain(profile, "'op' is '%s', which is no comparison", word ? word : "");
    return (struct scmp_arg_cmp){ 0 };
}

/* "SCMP_ARCH_X86_64" is "x86_64" to libseccomp. Returns: 0: there is none of that name. */
static guint32 arch_of(const char *name)
{
    g_autofree char *lower =
        g_ascii_strdown(g_str_has_prefix(name, "SCMP_ARCH_") ? name + 10 : name, -1);

    return seccomp_arch_resolve_name(lower);
}

/* The names that Docker and Go have of this machine's architecture. */
static const char *machine(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#else
    return "";
#endif
}

/* ---- conditions ---- */

static gboolean has_capability(Profile *profile, const char *name)
{
    int number = duet_capability_number(name);

    if (number < 0)
        complain(profile, "'%s' is no capability", name);
    return number >= 0 && (profile->capabilities >> number & 1) != 0;
}

/* "5.10" is reached by 5.10 and by 6.1. */
static gboolean kernel_reaches(Profile *profile, const char *wanted)
{
    unsigned want[2] = { 0 }, have[2] = { 0 };
    struct utsname name;

    if (sscanf(wanted, "%u.%u", &want[0], &want[1]) != 2)
        return complain(profile, "'minKernel' is '%s', which is no version", wanted);
    uname(&name);
    sscanf(name.release, "%u.%u", &have[0], &have[1]);
    return have[0] > want[0] || (have[0] == want[0] && have[1] >= want[1]);
}

typedef enum { NONE_SAID, HOLDS, FAILS } Condition;

/* Whether those of @list are there: all, or at least one. */
static Condition has_capabilities(Profile *profile, JsonObject *list, gboolean wants_all)
{
    g_autoptr(GPtrArray) names = get_strings(profile, list, "caps");
    guint held = 0;

    for (guint i = 0; i < names->len; i++)
        held += has_capability(profile, names->pdata[i]);
    if (names->len == 0)
        return NONE_SAID;
    return held == names->len || (held > 0 && !wants_all) ? HOLDS : FAILS;
}

static Condition is_machine(Profile *profile, JsonObject *list)
{
    g_autoptr(GPtrArray) names = get_strings(profile, list, "arches");
    gboolean found = FALSE;

    for (guint i = 0; i < names->len; i++)
        found = g_str_equal(names->pdata[i], machine()) || found;
    return names->len == 0 ? NONE_SAID : found ? HOLDS : FAILS;
}

static Condition is_new_enough(Profile *profile, JsonObject *list)
{
    const char *wanted = get_string(profile, list, "minKernel");

    return !wanted ? NONE_SAID : kernel_reaches(profile, wanted) ? HOLDS : FAILS;
}

static JsonObject *get_conditions(Profile *profile, JsonObject *rule, const char *name)
{
    static const char *const known[] = { "caps", "arches", "minKernel", NULL };
    JsonObject *conditions = get_object(profile, rule, name);

    if (conditions)
        check_members(profile, conditions, known);
    return conditions;
}

/* A rule counts if all that it includes holds, and nothing of what it excludes. */
static gboolean counts(Profile *profile, JsonObject *rule)
{
    JsonObject *includes = get_conditions(profile, rule, "includes");
    JsonObject *excludes = get_conditions(profile, rule, "excludes");

    return (!includes ||
               (has_capabilities(profile, includes, TRUE) != FAILS &&
                   is_machine(profile, includes) != FAILS &&
                   is_new_enough(profile, includes) != FAILS)) &&
        (!excludes ||
            (has_capabilities(profile, excludes, FALSE) != HOLDS &&
                is_machine(profile, excludes) != HOLDS &&
                is_new_enough(profile, excludes) != HOLDS));
}

/* ---- rules ---- */

static gboolean add_rule(Profile *profile, guint32 action, int number, const char *name,
    const struct scmp_arg_cmp *compare, unsigned n)
{
    int result = seccomp_rule_add_array(profile->context, action, number, n, compare);

    return result == 0 ||
        complain(profile, "libseccomp refuses the rule of '%s': %s", name, g_strerror(-result));
}

/* libseccomp takes an argument once in a rule: several comparisons of one are a rule each, of which
 * one has to hold, as runc reads them. */
static gboolean is_told_twice(const struct scmp_arg_cmp *compare, unsigned n)
{
    guint seen = 0;

    for (unsigned i = 0; i < n; i++) {
        if (seen >> compare[i].arg & 1)
            return TRUE;
        seen |= 1u << compare[i].arg;
    }
    return FALSE;
}

static void add_call(Profile *profile, guint32 action, const char *name,
    const struct scmp_arg_cmp *compare, unsigned n)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR)
        return;
    if (!is_told_twice(compare, n)) {
        add_rule(profile, action, number, name, compare, n);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        add_rule(profile, action, number, name, &compare[i], 1);
}

static void add_calls(Profile *profile, JsonObject *rule)
{
    static const char *const known[] = { "names", "name", "action", "errnoRet", "args", "includes",
        "excludes", "comment", NULL };
    guint32 action = get_action(profile, rule, "action", "errnoRet");
    g_autoptr(GPtrArray) names = get_strings(profile, rule, "names");
    g_autoptr(GList) args = get_elements(profile, rule, "args");
    const char *old = get_string(profile, rule, "name");
    struct scmp_arg_cmp compare[ARGS_MAX];
    unsigned n = 0;

    check_members(profile, rule, known);
    if (old)
        g_ptr_array_add(names, (gpointer)old);
    for (GList *at = args; at; at = at->next) {
        if (n == ARGS_MAX || !JSON_NODE_HOLDS_OBJECT((JsonNode *)at->data)) {
            complain(profile, "'args' is not an array of at most %d objects", ARGS_MAX);
            return;
        }
        compare[n++] = get_compare(profile, json_node_get_object(at->data));
    }
    /* What all calls get has no rule. */
    if (action == profile->otherwise || profile->error)
        return;
    for (guint i = 0; i < names->len; i++)
        add_call(profile, action, names->pdata[i], compare, n);
}

static void add_arch(Profile *profile, const char *name)
{
    guint32 arch = arch_of(name);
    int result = arch != 0 ? seccomp_arch_add(profile->context, arch) : -EINVAL;

    if (result < 0 && result != -EEXIST)
        complain(profile, "'%s' is no architecture that libseccomp knows", name);
}

/* That of this machine is there from the start: its own programs, and those of its older kin. */
static void add_arches(Profile *profile, JsonObject *root)
{
    g_autoptr(GPtrArray) plain = get_strings(profile, root, "architectures");
    g_autoptr(GList) maps = get_elements(profile, root, "archMap");

    for (guint i = 0; i < plain->len; i++)
        add_arch(profile, plain->pdata[i]);
    for (GList *at = maps; at; at = at->next) {
        JsonObject *map =
            JSON_NODE_HOLDS_OBJECT((JsonNode *)at->data) ? json_node_get_object(at->data) : NULL;
        const char *name = get_string(profile, map, "architecture");
        g_autoptr(GPtrArray) more = get_strings(profile, map, "subArchitectures");
        gboolean ours = name && arch_of(name) == seccomp_arch_native();
        for (guint i = 0; ours && i < more->len; i++)
            add_arch(profile, more->pdata[i]);
    }
}

static void fill(Profile *profile, JsonObject *root)
{
    static const char *const known[] = { "defaultAction", "defaultErrnoRet", "architectures",
        "archMap", "syscalls", "comment", NULL };
    g_autoptr(GList) rules = get_elements(profile, root, "syscalls");

    check_members(profile, root, known);
    add_arches(profile, root);
    for (GList *at = rules; at && !profile->error; at = at->next) {
        if (!JSON_NODE_HOLDS_OBJECT((JsonNode *)at->data))
            complain(profile, "'syscalls' holds something that is not an object");
        else if (counts(profile, json_node_get_object(at->data)))
            add_calls(profile, json_node_get_object(at->data));
    }
}

/* This libseccomp writes to files only. */
static GBytes *program_of(Profile *profile)
{
    DUET_AUTO_FD fd = memfd_create("seccomp", MFD_CLOEXEC);
    int result = fd < 0 ? -errno : seccomp_export_bpf(profile->context, fd);
    off_t length = result == 0 ? lseek(fd, 0, SEEK_END) : -1;

    if (length < 0) {
        complain(profile, "libseccomp can't write the filter: %s",
            g_strerror(result < 0 ? -result : errno));
        return NULL;
    }
    if (length > INSTRUCTIONS_MAX * INSTRUCTION_BYTES) {
        complain(profile, "it needs %ld instructions, and Linux takes %d",
            (long)length / INSTRUCTION_BYTES, INSTRUCTIONS_MAX);
        return NULL;
    }
    g_autofree char *bytes = g_malloc((gsize)length);
    if (pread(fd, bytes, (size_t)length, 0) != length) {
        complain(profile, "cannot read the filter: %s", g_strerror(errno));
        return NULL;
    }
    return g_bytes_new_take(g_steal_pointer(&bytes), (gsize)length);
}

static GBytes *compile(Profile *profile, JsonObject *root)
{
    profile->otherwise = get_action(profile, root, "defaultAction", "defaultErrnoRet");
    if (profile->error)
        return NULL;
    profile->context = seccomp_init(profile->otherwise);
    if (!profile->context) {
        complain(profile, "libseccomp can't begin");
        return NULL;
    }
    seccomp_attr_set(profile->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    fill(profile, root);
    GBytes *program = profile->error ? NULL : program_of(profile);
    seccomp_release(profile->context);
    return program;
}

GBytes *duet_seccomp_compile(const char *json, gsize length, guint64 capabilities, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) broken = NULL;
    const char *hazard = duet_json_hazard(json, length);
    Profile profile = { .capabilities = capabilities };
    GBytes *program = NULL;

    if (hazard)
        complain(&profile, "%s", hazard);
    else if (!json_parser_load_from_data(parser, json, (gssize)length, &broken))
        complain(&profile, "%s", broken->message);
    else if (!json_parser_get_root(parser) || !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        complain(&profile, "it is not an object");
    else
        program = compile(&profile, json_node_get_object(json_parser_get_root(parser)));
    if (!program)
        g_propagate_error(error, profile.error);
    return program;
}
