/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/filter.h"

#include <duet/error.h>

#include <string.h>

/* So many digits of a digest are enough to mean one, as in the store. */
#define DIGEST_MIN_DIGITS 4

typedef struct _Row Row;

/* One KEY=VALUE, prepared. */
typedef struct {
    const Row *row;
    const char *value;
    char *text;
    GRegex *regex;
    char *digest;
    guint64 number;
    guint order;
} Term;

struct _DuetFilter {
    GPtrArray *terms;
};

/*
 * One key.
 * @all: each of its values must match, not any
 * @of_state: those that do not run are meant, too
 * @other: the value names an instance
 * @prepare: (nullable): Returns: (nullable): why the value is none; static text
 */
struct _Row {
    const char *key;
    gboolean all, of_state, other;
    const char *(*prepare)(Term *term);
    gboolean (*match)(const Term *term, const DuetInfo *info, guint order);
};

static void term_free(Term *term)
{
    g_free(term->text);
    g_free(term->digest);
    g_clear_pointer(&term->regex, g_regex_unref);
    g_free(term);
}

static const char *prepare_regex(Term *term)
{
    term->regex = g_regex_new(term->value, G_REGEX_RAW, 0, NULL);
    return term->regex ? NULL : "it is no regular expression";
}

/* podman: digits are the beginning of an id, anything else is a regular expression. */
static const char *prepare_id(Term *term)
{
    return term->value[strspn(term->value, "0123456789abcdefABCDEF")] ? prepare_regex(term) : NULL;
}

static gboolean match_id(const Term *term, const DuetInfo *info, guint order)
{
    (void)order;
    if (term->regex)
        return g_regex_match(term->regex, info->spec->id, 0, NULL);
    return g_ascii_strncasecmp(info->spec->id, term->value, strlen(term->value)) == 0;
}

static gboolean match_name(const Term *term, const DuetInfo *info, guint order)
{
    (void)order;
    return g_regex_match(term->regex, info->spec->name, 0, NULL);
}

const char *duet_label_value(char *const *labels, const char *key, gsize key_length)
{
    for (; labels && *labels; labels++)
        if (strncmp(*labels, key, key_length) == 0 && (*labels)[key_length] == '=')
            return *labels + key_length + 1;
    return NULL;
}

static const char *prepare_label(Term *term)
{
    return *term->value == '=' ? "it is no label: use KEY or KEY=VALUE" : NULL;
}

/* podman: "KEY=" asks for the key alone, as "KEY" does. */
static gboolean match_label(const Term *term, const DuetInfo *info, guint order)
{
    gsize length = strcspn(term->value, "=");
    const char *wanted = term->value[length] ? term->value + length + 1 : "";
    const char *value = duet_label_value(info->spec->labels, term->value, length);
    (void)order;
    return value && (!*wanted || g_str_equal(value, wanted));
}

static gboolean match_no_label(const Term *term, const DuetInfo *info, guint order)
{
    return !match_label(term, info, order);
}

static const char *prepare_status(Term *term)
{
    const char *wanted = g_str_equal(term->value, "stopped") ? "exited" : term->value;
    for (guint state = DUET_STATE_CREATED; state <= DUET_STATE_SAVED; state++)
        if (g_str_equal(wanted, duet_state_to_string((DuetState)state))) {
            term->number = state;
            return NULL;
        }
    return "use created, starting, running, paused, stopping, restarting, saved, exited or stopped";
}

static gboolean match_status(const Term *term, const DuetInfo *info, guint order)
{
    (void)order;
    return info->state == (DuetState)term->number;
}

static const char *prepare_exited(Term *term)
{
    gboolean ok = g_ascii_string_to_unsigned(term->value, 10, 0, 255, &term->number, NULL);
    return ok ? NULL : "use an exit code, 0 to 255";
}

static gboolean match_exited(const Term *term, const DuetInfo *info, guint order)
{
    (void)order;
    return info->state == DUET_STATE_EXITED && info->exit_code == (int)term->number;
}

/* By what it is called, or, as the name may mean another image now, by what the name meant. */
static gboolean match_ancestor(const Term *term, const DuetInfo *info, guint order)
{
    const DuetSpec *spec = info->spec;
    const char *digits = g_str_has_prefix(term->value, "sha256:") ? term->value + 7 : term->value;
    g_autofree char *latest = g_strconcat(term->value, ":latest", NULL);
    (void)order;
    if (g_strcmp0(spec->image_ref, term->value) == 0 || g_strcmp0(spec->image_ref, latest) == 0)
        return TRUE;
    if (!spec->image_digest || !g_str_has_prefix(spec->image_digest, "sha256:"))
        return FALSE;
    return g_strcmp0(spec->image_digest, term->digest) == 0 ||
        (strlen(digits) >= DIGEST_MIN_DIGITS && g_str_has_prefix(spec->image_digest + 7, digits));
}

static gboolean match_before(const Term *term, const DuetInfo *info, guint order)
{
    (void)info;
    return order < term->order;
}

static gboolean match_since(const Term *term, const DuetInfo *info, guint order)
{
    (void)info;
    return order > term->order;
}

/* Either end of one, as podman has it, or its name. */
static gboolean match_volume(const Term *term, const DuetInfo *info, guint order)
{
    (void)order;
    for (guint i = 0; i < info->spec->mounts->len; i++) {
        const DuetMount *mount = info->spec->mounts->pdata[i];
        if (g_str_equal(mount->source, term->value) || g_str_equal(mount->target, term->value) ||
            g_strcmp0(mount->volume, term->value) == 0)
            return TRUE;
    }
    return FALSE;
}

static const char *prepare_kind(Term *term)
{
    DuetKind kind;
    if (!duet_kind_from_string(term->value, &kind) || kind == DUET_KIND_NATIVE)
        return "use vm or container";
    term->number = kind;
    return NULL;
}

static gboolean match_kind(const Term *term, const DuetInfo *info, guint order)
{
    (void)order;
    return info->spec->kind == (DuetKind)term->number;
}

static const Row rows[] = {
    { .key = "id", .prepare = prepare_id, .match = match_id },
    { .key = "name", .prepare = prepare_regex, .match = match_name },
    { .key = "label", .all = TRUE, .prepare = prepare_label, .match = match_label },
    { .key = "label!", .all = TRUE, .prepare = prepare_label, .match = match_no_label },
    { .key = "status", .of_state = TRUE, .prepare = prepare_status, .match = match_status },
    { .key = "exited", .of_state = TRUE, .prepare = prepare_exited, .match = match_exited },
    { .key = "ancestor", .match = match_ancestor },
    { .key = "before", .other = TRUE, .match = match_before },
    { .key = "since", .other = TRUE, .match = match_since },
    { .key = "volume", .match = match_volume },
    { .key = "kind", .prepare = prepare_kind, .match = match_kind },
};

static const Row *row_of(const char *text, gsize key_length)
{
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strlen(rows[i].key) == key_length && strncmp(rows[i].key, text, key_length) == 0)
            return &rows[i];
    return NULL;
}

static void refuse_key(const char *text, GError **error)
{
    g_autoptr(GString) keys = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_string_append_printf(keys, "%s%s", i ? ", " : "", rows[i].key);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--filter '%s': use KEY=VALUE with one of the keys %s", text, keys->str);
}

static Term *term_new(const char *text, GError **error)
{
    gsize key_length = strcspn(text, "=");
    const Row *row = row_of(text, key_length);
    if (!row || !text[key_length]) {
        refuse_key(text, error);
        return NULL;
    }
    Term *term = g_new0(Term, 1);
    term->row = row;
    term->text = g_strdup(text);
    term->value = term->text + key_length + 1;
    const char *why = !*term->value ? "it has no value" : row->prepare ? row->prepare(term) : NULL;
    if (why) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "--filter '%s': %s", text, why);
        term_free(term);
        return NULL;
    }
    return term;
}

DuetFilter *duet_filter_new(
    char *const *texts, DuetFilterImage image, gpointer data, GError **error)
{
    g_autoptr(DuetFilter) filter = g_new0(DuetFilter, 1);
    filter->terms = g_ptr_array_new_with_free_func((GDestroyNotify)term_free);
    for (; texts && *texts; texts++) {
        Term *term = term_new(*texts, error);
        if (!term)
            return NULL;
        g_ptr_array_add(filter->terms, term);
        if (image && term->row->match == match_ancestor)
            term->digest = image(term->value, data);
    }
    return g_steal_pointer(&filter);
}

void duet_filter_free(DuetFilter *filter)
{
    if (!filter)
        return;
    g_ptr_array_unref(filter->terms);
    g_free(filter);
}

gboolean duet_filter_wants_all(const DuetFilter *filter)
{
    for (guint i = 0; i < filter->terms->len; i++)
        if (((const Term *)filter->terms->pdata[i])->row->of_state)
            return TRUE;
    return FALSE;
}

static gboolean bind_term(
    Term *term, DuetContext *context, const GPtrArray *instances, GError **error)
{
    g_autoptr(DuetInstance) other = duet_instance_open(context, term->value, error);
    for (guint i = 0; other && i < instances->len; i++)
        if (g_str_equal(
                duet_instance_spec(instances->pdata[i])->id, duet_instance_spec(other)->id)) {
            term->order = i;
            return TRUE;
        }
    if (other)
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND, "no such instance: '%s'", term->value);
    g_prefix_error(error, "--filter '%s': ", term->text);
    return FALSE;
}

gboolean duet_filter_bind(
    DuetFilter *filter, DuetContext *context, const GPtrArray *instances, GError **error)
{
    for (guint i = 0; i < filter->terms->len; i++) {
        Term *term = filter->terms->pdata[i];
        if (term->row->other && !bind_term(term, context, instances, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean match_row(
    const DuetFilter *filter, const Row *row, const DuetInfo *info, guint order)
{
    gboolean asked = FALSE;
    for (guint i = 0; i < filter->terms->len; i++) {
        const Term *term = filter->terms->pdata[i];
        if (term->row != row)
            continue;
        gboolean matches = row->match(term, info, order);
        if (matches != row->all)
            return matches;
        asked = TRUE;
    }
    return !asked || row->all;
}

gboolean duet_filter_match(const DuetFilter *filter, const DuetInfo *info, guint order)
{
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!match_row(filter, &rows[i], info, order))
            return FALSE;
    return TRUE;
}
