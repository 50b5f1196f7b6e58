/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/ps-template.h"
#include "cli/describe.h"
#include "core/module.h"
#include "core/text.h"

#include <duet/error.h>

#include <string.h>

#define COMMAND_COLUMNS 24

char *duet_ps_command(const DuetInfo *info, gboolean whole)
{
    g_autofree char *words = duet_describe_words(info->spec->argv);
    g_autofree char *command = duet_text_line(g_strdelimit(words, "\n\t", ' '));
    if (whole || g_utf8_strlen(command, -1) <= COMMAND_COLUMNS)
        return g_steal_pointer(&command);
    g_autofree char *begin = g_utf8_substring(command, 0, COMMAND_COLUMNS - 3);
    return g_strconcat(begin, "...", NULL);
}

/* As podman names them; the kind is ours. */
typedef enum {
    FIELD_AUTO_REMOVE,
    FIELD_COMMAND,
    FIELD_CREATED_AT,
    FIELD_EXIT_CODE,
    FIELD_ID,
    FIELD_IMAGE,
    FIELD_KIND,
    FIELD_LABELS,
    FIELD_NAMES,
    FIELD_PID,
    FIELD_RESTARTS,
    FIELD_STATE,
    FIELD_STATUS,
    FIELD_COUNT,
    PART_TEXT,
    PART_JSON,
} What;

static const char *const fields[FIELD_COUNT] = { "AutoRemove", "Command", "CreatedAt", "ExitCode",
    "ID", "Image", "Kind", "Labels", "Names", "Pid", "Restarts", "State", "Status" };

static char *number(gint64 value)
{
    return g_strdup_printf("%" G_GINT64_FORMAT, value);
}

/* Returns: (transfer full) (nullable) */
static char *field_text(What field, const DuetInfo *info, gboolean whole)
{
    const DuetSpec *spec = info->spec;
    switch (field) {
    case FIELD_AUTO_REMOVE:
        return g_strdup(spec->remove_at_exit ? "true" : "false");
    case FIELD_COMMAND:
        return duet_ps_command(info, whole);
    case FIELD_CREATED_AT:
        return duet_describe_time(info->created_us);
    case FIELD_EXIT_CODE:
        return number(MAX(info->exit_code, 0));
    case FIELD_ID:
        return g_strdup(spec->id);
    case FIELD_IMAGE:
        return g_strdup(spec->image_ref);
    case FIELD_KIND:
        return g_strdup(duet_kind_to_string(spec->kind));
    case FIELD_LABELS:
        return spec->labels ? g_strjoinv(",", spec->labels) : NULL;
    case FIELD_NAMES:
        return g_strdup(spec->name);
    case FIELD_PID:
        return number(info->pid);
    case FIELD_RESTARTS:
        return number(info->restarts);
    case FIELD_STATE:
        return g_strdup(duet_state_to_string(info->state));
    case FIELD_STATUS:
        return duet_describe_status(info);
    default:
        g_assert_not_reached();
    }
}

/**
 * Part: of a template
 * @text: of a PART_TEXT
 */
typedef struct {
    What what;
    char *text;
} Part;

struct _DuetPsTemplate {
    GArray *parts;
    char *(*to_json)(GVariant *value);
};

static void part_clear(gpointer data)
{
    g_free(((Part *)data)->text);
}

void duet_ps_template_free(DuetPsTemplate *template)
{
    if (!template)
        return;
    g_array_unref(template->parts);
    g_free(template);
}

gboolean duet_ps_template_is(const char *format)
{
    return format && strstr(format, "{{") != NULL;
}

static void add(DuetPsTemplate *template, What what, char *text)
{
    const Part part = { what, text };
    g_array_append_val(template->parts, part);
}

static char *unescaped(const char *text, gsize length)
{
    g_autofree char *copy = g_strndup(text, length);
    g_autoptr(GString) plain = g_string_new(copy);
    g_string_replace(plain, "\\t", "\t", 0);
    g_string_replace(plain, "\\n", "\n", 0);
    return g_strdup(plain->str);
}

static gboolean unknown(const char *inner, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (guint i = 0; i < FIELD_COUNT; i++)
        g_string_append_printf(known, "%s.%s", i ? ", " : "", fields[i]);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'{{%s}}' is nothing that ps --format can show: use {{json .}}, or {{.FIELD}} with one of "
        "%s",
        inner, known->str);
    return FALSE;
}

/* @inner: what is between the braces */
static gboolean add_field(DuetPsTemplate *template, const char *inner, GError **error)
{
    g_autofree char *word = g_strstrip(g_strdup(inner));
    for (guint i = 0; i < FIELD_COUNT; i++)
        if (word[0] == '.' && g_str_equal(word + 1, fields[i])) {
            add(template, i, NULL);
            return TRUE;
        }
    if (!g_str_equal(word, "json ."))
        return unknown(inner, error);
    char *(*const *to_json)(GVariant *) = duet_module_symbol("duet-tools", "duet_json_line", error);
    if (!to_json)
        return FALSE;
    template->to_json = *to_json;
    add(template, PART_JSON, NULL);
    return TRUE;
}

DuetPsTemplate *duet_ps_template_new(const char *format, GError **error)
{
    /* As text it would be in each line. */
    if (g_str_has_prefix(format, "table ")) {
        duet_cli_invalid(error,
            "is no format: a table has columns of its own; leave 'table' out, or give it alone",
            format);
        return NULL;
    }
    g_autoptr(DuetPsTemplate) template = g_new0(DuetPsTemplate, 1);
    const char *at = format, *open;
    template->parts = g_array_new(FALSE, FALSE, sizeof(Part));
    g_array_set_clear_func(template->parts, part_clear);
    for (; (open = strstr(at, "{{")); at = strstr(open, "}}") + 2) {
        const char *close = strstr(open, "}}");
        g_autofree char *inner = close ? g_strndup(open + 2, (gsize)(close - open - 2)) : NULL;
        add(template, PART_TEXT, unescaped(at, (gsize)(open - at)));
        if (!close) {
            duet_cli_invalid(error, "is no format: a '{{' is not closed by '}}'", format);
            return NULL;
        }
        if (!add_field(template, inner, error))
            return NULL;
    }
    add(template, PART_TEXT, unescaped(at, strlen(at)));
    return g_steal_pointer(&template);
}

static char *part_text(const DuetPsTemplate *template, const Part *part, DuetContext *context,
    const DuetInfo *info, gboolean whole)
{
    if (part->what == PART_TEXT)
        return g_strdup(part->text);
    if (part->what == PART_JSON) {
        g_autoptr(GVariant) object = g_variant_ref_sink(duet_describe(context, info));
        return template->to_json(object);
    }
    g_autofree char *text = field_text(part->what, info, whole);
    return duet_text_line(text ? text : "");
}

char *duet_ps_template_line(
    const DuetPsTemplate *template, DuetContext *context, const DuetInfo *info, gboolean whole)
{
    g_autoptr(GString) line = g_string_new(NULL);
    for (guint i = 0; i < template->parts->len; i++) {
        const Part *part = &g_array_index(template->parts, Part, i);
        g_autofree char *value = part_text(template, part, context, info, whole);
        g_string_append(line, value);
    }
    return g_strdup(line->str);
}
