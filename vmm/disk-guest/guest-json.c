/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-json.h"
#include "core/json-guard.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <string.h>

static JsonBuilder *request_begin(const char *command)
{
    JsonBuilder *builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "execute");
    json_builder_add_string_value(builder, command);
    json_builder_set_member_name(builder, "arguments");
    json_builder_begin_object(builder);
    return builder;
}

static char *request_end(JsonBuilder *builder)
{
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

static void add_words(JsonBuilder *builder, const char *name, const char *const *words)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (; *words; words++)
        json_builder_add_string_value(builder, *words);
    json_builder_end_array(builder);
}

/*
 * The agent's own way to give variables takes all others away, PATH among them, and it has none to
 * give a directory: the guest's env(1) does both.
 */
static char **all_words(const char *const *argv, const char *const *env, const char *cwd)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    if (cwd || *env)
        g_strv_builder_add(words, "env");
    if (cwd) {
        g_strv_builder_add(words, "-C");
        g_strv_builder_add(words, cwd);
    }
    g_strv_builder_addv(words, (const char **)env);
    g_strv_builder_addv(words, (const char **)argv);
    return g_strv_builder_end(words);
}

char *duet_guest_exec_request(const char *const *argv, const char *const *env, const char *cwd,
    const GByteArray *input, GError **error)
{
    g_auto(GStrv) words = all_words(argv, env, cwd);
    for (char **word = words; *word; word++)
        if (!g_utf8_validate(*word, -1, NULL)) {
            g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
                "the guest agent of a disk takes UTF-8 only as arguments and variables");
            return NULL;
        }
    g_autoptr(JsonBuilder) builder = request_begin("guest-exec");
    json_builder_set_member_name(builder, "path");
    json_builder_add_string_value(builder, words[0]);
    add_words(builder, "arg", (const char *const *)words + 1);
    json_builder_set_member_name(builder, "capture-output");
    json_builder_add_boolean_value(builder, TRUE);
    if (input) {
        g_autofree char *encoded = g_base64_encode(input->data, input->len);
        json_builder_set_member_name(builder, "input-data");
        json_builder_add_string_value(builder, encoded);
    }
    return request_end(builder);
}

char *duet_guest_kill_request(gint64 pid, guint signal_number)
{
    g_autofree char *number = g_strdup_printf("-%u", signal_number);
    g_autofree char *whom = g_strdup_printf("%" G_GINT64_FORMAT, pid);
    const char *const words[] = { number, whom, NULL };
    g_autoptr(JsonBuilder) builder = request_begin("guest-exec");
    json_builder_set_member_name(builder, "path");
    json_builder_add_string_value(builder, "kill");
    add_words(builder, "arg", words);
    return request_end(builder);
}

static JsonBuilder *request_begin_of(const char *command, const char *name, gint64 number)
{
    JsonBuilder *builder = request_begin(command);
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, number);
    return builder;
}

char *duet_guest_status_request(gint64 pid)
{
    g_autoptr(JsonBuilder) builder = request_begin_of("guest-exec-status", "pid", pid);
    return request_end(builder);
}

char *duet_guest_set_time_request(gint64 ns)
{
    g_autoptr(JsonBuilder) builder = request_begin_of("guest-set-time", "time", ns);
    return request_end(builder);
}

char *duet_guest_file_open_request(const char *path, const char *mode)
{
    g_autoptr(JsonBuilder) builder = request_begin("guest-file-open");
    json_builder_set_member_name(builder, "path");
    json_builder_add_string_value(builder, path);
    json_builder_set_member_name(builder, "mode");
    json_builder_add_string_value(builder, mode);
    return request_end(builder);
}

char *duet_guest_file_close_request(gint64 handle)
{
    g_autoptr(JsonBuilder) builder = request_begin_of("guest-file-close", "handle", handle);
    return request_end(builder);
}

char *duet_guest_file_write_request(gint64 handle, const guint8 *bytes, gsize length)
{
    g_autoptr(JsonBuilder) builder = request_begin_of("guest-file-write", "handle", handle);
    g_autofree char *encoded = g_base64_encode(bytes, length);
    json_builder_set_member_name(builder, "buf-b64");
    json_builder_add_string_value(builder, encoded);
    return request_end(builder);
}

char *duet_guest_file_read_request(gint64 handle, gsize most)
{
    g_autoptr(JsonBuilder) builder = request_begin_of("guest-file-read", "handle", handle);
    json_builder_set_member_name(builder, "count");
    json_builder_add_int_value(builder, (gint64)most);
    return request_end(builder);
}

static void set_nonsense(GError **error)
{
    g_set_error_literal(
        error, DUET_ERROR, DUET_ERROR_BROKEN, "the guest agent answered what no guest agent does");
}

/* Returns: (nullable): "return" of an answer, which belongs to @parser. */
static JsonNode *read_answer(JsonParser *parser, const char *reply)
{
    JsonNode *root = NULL;
    if (!duet_json_hazard(reply, strlen(reply)) &&
        json_parser_load_from_data(parser, reply, -1, NULL))
        root = json_parser_get_root(parser);
    return root && JSON_NODE_HOLDS_OBJECT(root)
        ? json_object_get_member(json_node_get_object(root), "return")
        : NULL;
}

/* The same, if it is an object. */
static JsonObject *read_return(JsonParser *parser, const char *reply, GError **error)
{
    JsonNode *node = read_answer(parser, reply);
    if (node && JSON_NODE_HOLDS_OBJECT(node))
        return json_node_get_object(node);
    set_nonsense(error);
    return NULL;
}

/* Members of another type are taken for missing. */
static JsonNode *value_of(JsonObject *object, const char *name, GType type)
{
    JsonNode *node = json_object_get_member(object, name);
    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type ? node
                                                                                         : NULL;
}

static gint64 number_of(JsonObject *object, const char *name, gint64 otherwise)
{
    JsonNode *node = value_of(object, name, G_TYPE_INT64);
    return node ? json_node_get_int(node) : otherwise;
}

/* Only 0 is a success, so what is beyond an exit code's or signal's bounds is the highest. */
static guint bounded_of(JsonObject *object, const char *name, guint most)
{
    gint64 number = number_of(object, name, 0);
    return number < 0 || number > most ? most : (guint)number;
}

static gboolean truth_of(JsonObject *object, const char *name)
{
    JsonNode *node = value_of(object, name, G_TYPE_BOOLEAN);
    return node && json_node_get_boolean(node);
}

static GByteArray *bytes_of(JsonObject *object, const char *name)
{
    JsonNode *node = value_of(object, name, G_TYPE_STRING);
    gsize length = 0;
    guint8 *bytes = node ? g_base64_decode(json_node_get_string(node), &length) : NULL;
    return g_byte_array_new_take(bytes, length);
}

gboolean duet_guest_exec_pid(const char *reply, gint64 *out_pid, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *answer = read_return(parser, reply, error);
    gint64 pid = answer ? number_of(answer, "pid", 0) : 0;
    if (pid > 0)
        *out_pid = pid;
    else if (answer)
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "the guest agent did not tell the number of the process");
    return pid > 0;
}

gboolean duet_guest_status_read(const char *reply, DuetGuestStatus *out_status, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *answer = read_return(parser, reply, error);
    *out_status = (DuetGuestStatus){ 0 };
    if (!answer)
        return FALSE;
    /* Else it would be asked for ever. */
    if (!value_of(answer, "exited", G_TYPE_BOOLEAN)) {
        set_nonsense(error);
        return FALSE;
    }
    out_status->exited = truth_of(answer, "exited");
    if (!out_status->exited)
        return TRUE;
    out_status->signal_number = bounded_of(answer, "signal", 64);
    out_status->exit_code = out_status->signal_number ? 128 + out_status->signal_number
                                                      : bounded_of(answer, "exitcode", 255);
    out_status->out[0] = bytes_of(answer, "out-data");
    out_status->out[1] = bytes_of(answer, "err-data");
    out_status->truncated[0] = truth_of(answer, "out-truncated");
    out_status->truncated[1] = truth_of(answer, "err-truncated");
    return TRUE;
}

void duet_guest_status_clear(DuetGuestStatus *status)
{
    for (guint i = 0; i < G_N_ELEMENTS(status->out); i++)
        g_clear_pointer(&status->out[i], g_byte_array_unref);
}

char *duet_guest_said(const GByteArray *out, gsize most)
{
    /* Of none there is no address, and of that g_strndup() makes NULL. */
    return out->len ? g_strndup((const char *)out->data, MIN(out->len, most)) : g_strdup("");
}

gboolean duet_guest_file_opened(const char *reply, gint64 *out_handle, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *node = read_answer(parser, reply);
    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64) {
        set_nonsense(error);
        return FALSE;
    }
    *out_handle = json_node_get_int(node);
    return TRUE;
}

gboolean duet_guest_file_written(const char *reply, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *answer = read_return(parser, reply, error);
    if (answer && number_of(answer, "count", -1) == (gint64)length)
        return TRUE;
    if (answer)
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED,
            "the guest agent wrote less than it was given: is the guest's disk full?");
    return FALSE;
}

GByteArray *duet_guest_file_bytes(const char *reply, gsize most, gboolean *out_eof, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *answer = read_return(parser, reply, error);
    g_autoptr(GByteArray) bytes = answer ? bytes_of(answer, "buf-b64") : NULL;
    gboolean eof = answer && truth_of(answer, "eof");
    if (!bytes)
        return NULL;
    /* Nothing, and no end, would be asked for ever. */
    if (bytes->len > most || (bytes->len == 0 && !eof)) {
        set_nonsense(error);
        return NULL;
    }
    *out_eof = eof;
    return g_steal_pointer(&bytes);
}

static gboolean is_reachable(const char *text)
{
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(text);
    return address && !g_inet_address_get_is_loopback(address) &&
        !g_inet_address_get_is_link_local(address) && !g_inet_address_get_is_any(address) &&
        !g_inet_address_get_is_multicast(address);
}

static void add_addresses(GStrvBuilder *found, JsonNode *interface)
{
    JsonNode *list = interface && JSON_NODE_HOLDS_OBJECT(interface)
        ? json_object_get_member(json_node_get_object(interface), "ip-addresses")
        : NULL;
    JsonArray *rows = list && JSON_NODE_HOLDS_ARRAY(list) ? json_node_get_array(list) : NULL;
    for (guint i = 0; rows && i < json_array_get_length(rows); i++) {
        JsonNode *row = json_array_get_element(rows, i);
        JsonNode *text = row && JSON_NODE_HOLDS_OBJECT(row)
            ? value_of(json_node_get_object(row), "ip-address", G_TYPE_STRING)
            : NULL;
        if (text && is_reachable(json_node_get_string(text)))
            g_strv_builder_add(found, json_node_get_string(text));
    }
}

char **duet_guest_addresses(const char *reply)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    JsonNode *node = read_answer(parser, reply);
    JsonArray *rows = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    for (guint i = 0; rows && i < json_array_get_length(rows); i++)
        add_addresses(found, json_array_get_element(rows, i));
    return g_strv_builder_end(found);
}

int duet_guest_vcpus(const char *reply, GArray **out_off, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GArray) off = g_array_new(FALSE, FALSE, sizeof(gint64));
    JsonNode *node = read_answer(parser, reply);
    JsonArray *rows = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    int on = 0;
    if (!rows || json_array_get_length(rows) > DUET_VM_VCPUS_MAX) {
        set_nonsense(error);
        return -1;
    }
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonNode *row = json_array_get_element(rows, i);
        JsonObject *vcpu = JSON_NODE_HOLDS_OBJECT(row) ? json_node_get_object(row) : NULL;
        gint64 id = vcpu ? number_of(vcpu, "logical-id", -1) : -1;
        gboolean is_on = vcpu && truth_of(vcpu, "online");
        on += is_on;
        if (id >= 0 && !is_on)
            g_array_append_val(off, id);
    }
    *out_off = g_steal_pointer(&off);
    return on;
}

char *duet_guest_switch_on_request(const GArray *vcpus)
{
    g_autoptr(JsonBuilder) builder = request_begin("guest-set-vcpus");
    json_builder_set_member_name(builder, "vcpus");
    json_builder_begin_array(builder);
    for (guint i = 0; i < vcpus->len; i++) {
        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "logical-id");
        json_builder_add_int_value(builder, g_array_index(vcpus, gint64, i));
        json_builder_set_member_name(builder, "online");
        json_builder_add_boolean_value(builder, TRUE);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    return request_end(builder);
}
