/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `events`: what happened to instances, and what happens. */
#include "cli/cli.h"
#include "cli/describe.h"
#include "core/duration.h"
#include "core/events.h"
#include "core/module.h"
#include "core/text.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define NS_PER_SEC G_GINT64_CONSTANT(1000000000)

typedef struct {
    char *since, *until, *format, *stream;
    char **filters;
    gboolean once;
} EventsArguments;

static void events_arguments_clear(EventsArguments *arguments)
{
    g_free(arguments->since);
    g_free(arguments->until);
    g_free(arguments->format);
    g_free(arguments->stream);
    g_strfreev(arguments->filters);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EventsArguments, events_arguments_clear)

/*
 * @to_json: NULL: as text
 * @error: why it ended before its time; none: nobody reads on
 */
typedef struct {
    DuetEventFilter *filter;
    gint64 since_us, until_us;
    char *(*to_json)(GVariant *value);
    GError *error;
} Show;

static void show_clear(Show *show)
{
    duet_event_filter_free(show->filter);
    g_clear_error(&show->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Show, show_clear)

/* JSON: RFC 3339; else as podman, in the caller's zone. */
static char *time_text(gint64 ns, gboolean json)
{
    gint64 s = ns / NS_PER_SEC;
    g_autoptr(GDateTime) time =
        json ? g_date_time_new_from_unix_utc(s) : g_date_time_new_from_unix_local(s);
    if (!time || ns < 0)
        return g_strdup("?");
    g_autofree char *second =
        g_date_time_format(time, json ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S");
    g_autofree char *zone = g_date_time_format(time, json ? "Z" : " %z %Z");
    return g_strdup_printf("%s.%09d%s", second, (int)(ns % NS_PER_SEC), zone);
}

static GVariant *valid_text(const char *text)
{
    return g_variant_new_take_string(g_utf8_make_valid(text ? text : "", -1));
}

static GVariant *describe(const DuetEvent *event)
{
    const DuetSpec *spec = event->spec;
    g_auto(GVariantBuilder) object = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(
        &object, "{sv}", "time", g_variant_new_take_string(time_text(event->time_ns, TRUE)));
    g_variant_builder_add(&object, "{sv}", "time_ns", g_variant_new_int64(event->time_ns));
    g_variant_builder_add(
        &object, "{sv}", "event", g_variant_new_string(duet_event_to_string(event->type)));
    g_variant_builder_add(
        &object, "{sv}", "kind", g_variant_new_string(duet_kind_to_string(spec->kind)));
    g_variant_builder_add(&object, "{sv}", "id", valid_text(spec->id));
    g_variant_builder_add(&object, "{sv}", "name", valid_text(spec->name));
    g_variant_builder_add(&object, "{sv}", "image", valid_text(spec->image_ref));
    g_variant_builder_add(&object, "{sv}", "labels", duet_describe_labels(spec->labels));
    g_variant_builder_add(&object, "{sv}", "attributes", event->attributes);
    return g_variant_builder_end(&object);
}

static char *json_line(const Show *show, const DuetEvent *event)
{
    g_autoptr(GVariant) object = g_variant_ref_sink(describe(event));
    g_autofree char *json = show->to_json(object);
    return g_strconcat(json, "\n", NULL);
}

/* As podman: what anybody named comes last, and can't end the line. */
static char *text_line(const DuetEvent *event)
{
    const DuetSpec *spec = event->spec;
    GVariantIter iter;
    const char *key;
    GVariant *value;
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree char *when = time_text(event->time_ns, FALSE);
    g_string_append_printf(line, "%s %s %s %s (image=%s, name=%s", when,
        duet_kind_to_string(spec->kind), duet_event_to_string(event->type), spec->id,
        spec->image_ref ? spec->image_ref : "", spec->name);
    g_variant_iter_init(&iter, event->attributes);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
        g_autofree char *text = g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)
            ? g_variant_dup_string(value, NULL)
            : g_variant_print(value, FALSE);
        g_string_append_printf(line, ", %s=%s", key, text);
    }
    for (char **label = spec->labels; label && *label; label++)
        g_string_append_printf(line, ", %s", *label);
    g_string_append_c(line, ')');
    g_autofree char *printable = duet_text_line(line->str);
    return g_strconcat(printable, "\n", NULL);
}

static gboolean show_event(const DuetEvent *event, gpointer data)
{
    Show *show = data;
    gint64 us = event->time_ns / 1000;
    if (us < show->since_us || (show->until_us && us > show->until_us) ||
        !duet_event_filter_match(show->filter, event))
        return TRUE;
    g_autofree char *line = show->to_json ? json_line(show, event) : text_line(event);
    if (duet_write_all(STDOUT_FILENO, line, strlen(line)))
        return TRUE;
    if (errno != EPIPE)
        duet_error_set_errno(&show->error, errno, "cannot write to standard output");
    return FALSE;
}

static gboolean find_json(Show *show, GError **error)
{
    char *(*const *to_json)(GVariant *) = duet_module_symbol("duet-tools", "duet_json_line", error);
    if (to_json)
        show->to_json = *to_json;
    return to_json != NULL;
}

/* @out_follow: whether what is to come is wanted, too */
static gboolean apply(
    const EventsArguments *arguments, Show *show, gboolean *out_follow, GError **error)
{
    const char *format = arguments->format, *stream = arguments->stream;
    gint64 now_us = g_get_real_time();
    if (stream && !g_str_equal(stream, "true") && !g_str_equal(stream, "false"))
        return duet_cli_invalid(error, "is no value of --stream: use true or false", stream);
    if (format && !g_str_equal(format, "json") && !g_str_equal(format, "text"))
        return duet_cli_invalid(error,
            "is no format: use --format json (jq picks out of that) or --format text", format);
    *out_follow = !arguments->once && g_strcmp0(stream, "false") != 0;
    show->filter = duet_event_filter_new(arguments->filters, error);
    if (!show->filter ||
        (arguments->since && !duet_parse_time(arguments->since, now_us, &show->since_us, error)) ||
        (arguments->until && !duet_parse_time(arguments->until, now_us, &show->until_us, error)))
        return FALSE;
    /* 0 is no bound: 1970 is one. */
    if (arguments->until && !show->until_us)
        show->until_us = 1;
    return g_strcmp0(format, "json") != 0 || find_json(show, error);
}

/* SIGINT ends it between two lines, and well. */
static gboolean follow(DuetContext *context, gboolean from_start, Show *show, GError **error)
{
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, NULL);
    DUET_AUTO_FD signal_fd = signalfd(-1, &interrupt, SFD_CLOEXEC);
    if (signal_fd < 0)
        return duet_error_set_errno(error, errno, "cannot watch for signals");
    return duet_event_follow(
        context, from_start, show->until_us, signal_fd, STDOUT_FILENO, show_event, show, error);
}

int duet_cmd_events(DuetCli *cli, int argc, char **argv)
{
    g_auto(EventsArguments) arguments = { 0 };
    g_auto(Show) show = { 0 };
    gboolean follows = FALSE;
    const GOptionEntry entries[] = {
        { "filter", 'f', 0, G_OPTION_ARG_FILENAME_ARRAY, &arguments.filters,
            "those that match: event, container, name, id, image, kind, label", "KEY=VALUE" },
        { "since", 0, 0, G_OPTION_ARG_FILENAME, &arguments.since,
            "events from then on: 2026-11-27T12:00:00Z, seconds since 1970, or how long ago: 10m",
            "TIME" },
        { "until", 0, 0, G_OPTION_ARG_FILENAME, &arguments.until, "events up to then", "TIME" },
        { "no-stream", 0, 0, G_OPTION_ARG_NONE, &arguments.once, "those that were, not what comes",
            NULL },
        { "stream", 0, 0, G_OPTION_ARG_FILENAME, &arguments.stream,
            "wait for what comes (true), or not", "true|false" },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &arguments.format, "json or text", "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error) ||
        !apply(&arguments, &show, &follows, &error))
        return duet_cli_fail(error);
    if (argc != 1)
        return duet_cli_usage("events", "it takes no words: use --filter name=NAME");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    /* As podman: without a bound what was is of no interest to who waits. */
    gboolean from_start = arguments.since || arguments.until;
    if (!follows)
        duet_event_history(cli->context, show_event, &show);
    else if (!follow(cli->context, from_start, &show, &error))
        return duet_cli_fail(error);
    return show.error ? duet_cli_fail(show.error) : 0;
}
