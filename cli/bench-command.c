/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An arm of `bench` as the `duet run` that a user would type. */
#include "cli/bench-cli.h"

#include <errno.h>
#include <unistd.h>

#include <duet/error.h>

static void add(GStrvBuilder *words, const char *option, const char *value)
{
    if (!value)
        return;
    g_strv_builder_add(words, option);
    g_strv_builder_add(words, value);
}

static void add_number(GStrvBuilder *words, const char *option, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (value != 0)
        add(words, option, g_ascii_formatd(text, sizeof text, "%.15g", value));
}

static void add_list(GStrvBuilder *words, const char *option, char *const *values)
{
    for (; values && *values; values++)
        add(words, option, *values);
}

char *duet_bench_cli_common(const char *kinds, const char *wanted)
{
    g_auto(GStrv) names = g_strsplit(kinds, ",", -1), allowed = g_strsplit(wanted, ",", -1);
    GString *out = g_string_new(NULL);

    for (char **name = names; *name; name++) {
        if (g_strv_contains((const char *const *)allowed, g_strstrip(*name)))
            g_string_append_printf(out, "%s%s", out->len > 0 ? "," : "", *name);
    }
    return g_string_free(out, FALSE);
}

void duet_bench_cli_add_options(GStrvBuilder *words, const DuetRunOptions *run, gboolean vm)
{
    duet_cli_limit_words(&run->limits, words);
    add_list(words, "--env", run->env);
    add(words, "--workdir", run->workdir);
    add(words, "--user", run->user);
    add(words, "--hostname", run->hostname);
    add_list(words, "--volume", run->volumes);
    add_list(words, "--mount", run->mounts);
    if (run->readonly)
        g_strv_builder_add(words, "--read-only");
    add_list(words, "--tmpfs", run->tmpfs);
    add_list(words, "--cap-add", run->cap_add);
    add_list(words, "--cap-drop", run->cap_drop);
    add_list(words, "--security-opt", run->security);
    add(words, "--network", run->network);
    duet_cli_attribute_words(words, &run->attributes);
    if (!vm)
        return;
    add(words, "--accel", run->accel);
    add(words, "--qemu", run->qemu);
    add(words, "--kernel", run->kernel);
    add(words, "--disk-size", run->disk_size);
    add(words, "--connect", run->connect);
}

/* What is said to be run is all that is run, whatever the image or the options put before it. */
static gboolean has_entrypoint(const DuetBenchCli *options, const DuetSpec *spec)
{
    const char *const *typed =
        (const char *const *)(options->command ? options->command : options->default_argv);

    return options->run.entrypoint ||
        (spec->argv[0] && !spec->idle &&
            !(typed && g_strv_equal((const char *const *)spec->argv, typed)));
}

char **duet_bench_cli_words(
    const DuetBenchCli *options, const GPtrArray *specs, gboolean with_payload)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    DuetRunOptions run = options->run;

    /* These are in the result, arm by arm. */
    run.limits.memory = run.limits.cpus = run.limits.pids_limit = NULL;
    for (guint i = 0; i < specs->len; i++) {
        const DuetSpec *spec = specs->pdata[i];
        /* It may be the environment's. */
        if (spec->connect)
            run.connect = spec->connect;
    }
    duet_bench_cli_add_options(words, &run, TRUE);
    if (with_payload && has_entrypoint(options, specs->pdata[0]))
        add(words, "--entrypoint", "");
    add_list(words, "--peer", options->peer_files);
    return g_strv_builder_end(words);
}

char **duet_bench_cli_command(DuetCli *cli, const DuetBenchCli *options, const DuetSpec *spec,
    guint *out_name, GError **error)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", error);
    g_autofree char *root = g_path_get_dirname(duet_context_store_dir(cli->context));
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    const char *head[] = { self, "--root", root, "run", "--rm", "--as",
        duet_kind_to_string(spec->kind), "--name", "", NULL };

    if (!self)
        return NULL;
    g_strv_builder_addv(words, head);
    *out_name = G_N_ELEMENTS(head) - 2;
    add_number(words, "--timeout", spec->timeout_ms / 1000.0);
    DuetRunOptions run = options->run;
    run.hostname = spec->hostname;
    if (spec->kind != DUET_KIND_CONTAINER)
        run.security = NULL;
    duet_cli_attributes_keep(&run.attributes, spec->kind);
    duet_bench_cli_add_options(words, &run, spec->kind == DUET_KIND_VM);
    /* What the image and the options made of the payload is typed out. */
    add(words, "--entrypoint", "");
    g_strv_builder_add(words, options->image);
    g_strv_builder_addv(words, (const char **)spec->argv);
    return g_strv_builder_end(words);
}
