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

void duet_bench_cli_add_options(GStrvBuilder *words, const DuetRunOptions *run, gboolean vm)
{
    add(words, "--memory", run->memory);
    add_number(words, "--cpus", run->cpus);
    add_number(words, "--pids-limit", (double)run->pids_limit);
    add_list(words, "--env", run->env);
    add(words, "--workdir", run->workdir);
    add(words, "--user", run->user);
    add(words, "--hostname", run->hostname);
    add_list(words, "--volume", run->volumes);
    add(words, "--network", run->network);
    if (!vm)
        return;
    add(words, "--accel", run->accel);
    add(words, "--qemu", run->qemu);
    add(words, "--kernel", run->kernel);
    add(words, "--disk-size", run->disk_size);
    add(words, "--connect", run->connect);
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
    duet_bench_cli_add_options(words, &run, spec->kind == DUET_KIND_VM);
    /* What the image and the options made of the payload is typed out. */
    add(words, "--entrypoint", "");
    g_strv_builder_add(words, options->image);
    g_strv_builder_addv(words, (const char **)spec->argv);
    return g_strv_builder_end(words);
}
