/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `update` and `rename`: what changes of an instance that is there. */
#include "cli/cli.h"

#include <stdio.h>

/* Opens the instance that is called @word and gives it other @limits, or another @name. */
static int change(DuetCli *cli, const char *word, const DuetLimitOptions *limits, const char *name)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, word, &error);
    if (!instance)
        return duet_cli_fail(error);
    const DuetSpec *from = duet_instance_spec(instance);
    g_autoptr(DuetSpec) to = duet_spec_copy(from);
    if (name) {
        g_free(to->name);
        to->name = g_strdup(name);
    }
    g_autofree char *notice = NULL;
    if ((limits && !duet_cli_apply_limits(to, limits, &error)) ||
        !duet_instance_update(instance, duet_spec_changes(from, to), &notice, &error))
        return duet_cli_fail(error);
    if (notice)
        duet_cli_say(notice);
    return 0;
}

int duet_cmd_update(DuetCli *cli, int argc, char **argv)
{
    g_auto(DuetLimitOptions) limits = { 0 };
    g_autoptr(GArray) entries = g_array_new(TRUE, FALSE, sizeof(GOptionEntry));
    duet_cli_limit_options(&limits, entries);
    const char *verb = argv[0], *words[2];
    g_autoptr(GError) error = NULL;
    int n = duet_cli_words(verb, (GOptionEntry *)entries->data, argc, argv, words, 2, &error);
    if (n < 0)
        return duet_cli_fail(error);
    if (n != 1)
        return duet_cli_usage(verb, n == 0 ? "no instance given" : "one instance at a time");
    if (!duet_cli_limit_options_given(&limits))
        return duet_cli_usage(verb, "nothing to change given");
    int code = change(cli, words[0], &limits, NULL);
    if (code == 0)
        printf("%s\n", words[0]);
    return code;
}

int duet_cmd_rename(DuetCli *cli, int argc, char **argv)
{
    const char *verb = argv[0], *words[3];
    g_autoptr(GError) error = NULL;
    int n = duet_cli_words(verb, NULL, argc, argv, words, 3, &error);
    if (n < 0)
        return duet_cli_fail(error);
    if (n != 2)
        return duet_cli_usage(verb, "give an instance and its new name");
    return change(cli, words[0], NULL, words[1]);
}
