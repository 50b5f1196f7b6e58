/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which events are wanted. What is asked of an instance is asked as of those that are listed. */
#include "core/events.h"
#include "core/filter.h"

#include <duet/error.h>

#include <string.h>

/* Keys that mean the same to a list of instances; there it may have another name. */
static const struct {
    const char *key, *listed;
} keys[] = {
    { "event", NULL },
    { "container", NULL },
    { "name", "name" },
    { "id", "id" },
    { "image", "ancestor" },
    { "kind", "kind" },
    { "label", "label" },
};

/*
 * @types: bits; 0: all
 * @instances: name, or the beginning of an id; any
 */
struct _DuetEventFilter {
    guint types;
    GPtrArray *instances;
    DuetFilter *listed;
};

void duet_event_filter_free(DuetEventFilter *filter)
{
    if (!filter)
        return;
    g_ptr_array_unref(filter->instances);
    duet_filter_free(filter->listed);
    g_free(filter);
}

static gboolean refuse_key(const char *text, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        g_string_append_printf(list, "%s%s", i ? ", " : "", keys[i].key);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--filter '%s': use KEY=VALUE with one of the keys %s", text, list->str);
    return FALSE;
}

static gboolean add_type(DuetEventFilter *filter, const char *text, GError **error)
{
    DuetEventType type;
    if (duet_event_from_string(strchr(text, '=') + 1, &type)) {
        filter->types |= 1u << type;
        return TRUE;
    }
    g_autoptr(GString) list = g_string_new(NULL);
    for (int i = 0; i < DUET_EVENT_COUNT; i++)
        g_string_append_printf(list, "%s%s", i ? ", " : "", duet_event_to_string((DuetEventType)i));
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--filter '%s': there is no such event: use %s", text, list->str);
    return FALSE;
}

/* @listed: gets what is asked of an instance. */
static gboolean add(DuetEventFilter *filter, const char *text, GStrvBuilder *listed, GError **error)
{
    const char *equals = strchr(text, '=');
    for (guint i = 0; equals && i < G_N_ELEMENTS(keys); i++) {
        gsize length = strlen(keys[i].key);
        if (length != (gsize)(equals - text) || strncmp(text, keys[i].key, length) != 0)
            continue;
        if (keys[i].listed) {
            g_autofree char *as_listed = g_strconcat(keys[i].listed, equals, NULL);
            g_strv_builder_add(listed, as_listed);
            return TRUE;
        }
        if (g_str_equal(keys[i].key, "event"))
            return add_type(filter, text, error);
        if (equals[1]) {
            g_ptr_array_add(filter->instances, g_strdup(equals + 1));
            return TRUE;
        }
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "--filter '%s': it has no value", text);
        return FALSE;
    }
    return refuse_key(text, error);
}

DuetEventFilter *duet_event_filter_new(char *const *texts, GError **error)
{
    g_autoptr(DuetEventFilter) filter = g_new0(DuetEventFilter, 1);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    filter->instances = g_ptr_array_new_with_free_func(g_free);
    for (; texts && *texts; texts++)
        if (!add(filter, *texts, builder, error))
            return NULL;
    g_auto(GStrv) listed = g_strv_builder_end(builder);
    filter->listed = duet_filter_new(listed, NULL, NULL, error);
    return filter->listed ? g_steal_pointer(&filter) : NULL;
}

static gboolean match_instance(const DuetEventFilter *filter, const DuetSpec *spec)
{
    for (guint i = 0; i < filter->instances->len; i++) {
        const char *wanted = filter->instances->pdata[i];
        if (g_str_equal(wanted, spec->name) || g_str_has_prefix(spec->id, wanted))
            return TRUE;
    }
    return filter->instances->len == 0;
}

gboolean duet_event_filter_match(const DuetEventFilter *filter, const DuetEvent *event)
{
    const DuetInfo info = { .spec = event->spec };
    return (!filter->types || (filter->types >> event->type & 1)) &&
        match_instance(filter, event->spec) && duet_filter_match(filter->listed, &info, 0);
}
