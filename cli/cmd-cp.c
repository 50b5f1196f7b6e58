/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "core/module.h"

#include <duet/copy.h>
#include <duet/error.h>

#include <string.h>
#include <unistd.h>

typedef struct {
    gboolean keep_owners, overwrite, quiet;
} Options;

/* As podman: what begins with "." or "/" is of the host, and so is what has no ":". */
static gboolean split(const char *word, char **out_instance, const char **out_path, GError **error)
{
    const char *colon = word[0] == '.' || word[0] == '/' ? NULL : strchr(word, ':');
    *out_instance = colon ? g_strndup(word, (gsize)(colon - word)) : NULL;
    *out_path = colon ? colon + 1 : word;
    if (**out_path && (!colon || colon > word))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' names no path: use INSTANCE:PATH, or a path of the host", word);
    return FALSE;
}

static const DuetTarOps *tar_ops(GError **error)
{
    return duet_module_symbol("duet-images", "duet_tar", error);
}

static gboolean is_tar(const DuetCopyPlace *place)
{
    return !place->instance && g_str_equal(place->path, "-");
}

static gboolean copy(DuetCopyRequest *request, GError **error)
{
    if (is_tar(&request->to) && isatty(STDOUT_FILENO)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "a tar archive is not for a terminal: send standard output to a file or a program");
        return FALSE;
    }
    if (is_tar(&request->to) || is_tar(&request->from)) {
        request->tar = tar_ops(error);
        if (!request->tar)
            return FALSE;
    }
    return duet_copy_run(request, error);
}

static gboolean are_same(DuetInstance *a, DuetInstance *b)
{
    return a && b && g_str_equal(duet_instance_spec(a)->id, duet_instance_spec(b)->id);
}

static int copy_words(DuetCli *cli, const char *from, const char *to, const Options *options)
{
    g_autofree char *source = NULL, *target = NULL;
    g_autoptr(DuetInstance) source_instance = NULL;
    g_autoptr(DuetInstance) target_instance = NULL;
    g_autoptr(GError) error = NULL;
    DuetCopyRequest request = { .keep_owners = options->keep_owners,
        .overwrite = options->overwrite,
        .warn = options->quiet ? NULL : duet_cli_say };
    if (!split(from, &source, &request.from.path, &error) ||
        !split(to, &target, &request.to.path, &error))
        return duet_cli_fail(error);
    if (!source && !target)
        return duet_cli_usage("cp", "neither '%s' nor '%s' is INSTANCE:PATH", from, to);
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    if ((source && !(source_instance = duet_instance_open(cli->context, source, &error))) ||
        (target && !(target_instance = duet_instance_open(cli->context, target, &error))))
        return duet_cli_fail(error);
    request.from.instance = source_instance;
    request.to.instance =
        are_same(source_instance, target_instance) ? source_instance : target_instance;
    return copy(&request, &error) ? 0 : duet_cli_fail(error);
}

/* An option that is a switch and may have a value as well, which GLib's parser does not know.
 * Returns: FALSE if it is not one of ours. */
static gboolean read_archive(const char *word, gboolean *out_archive, GError **error)
{
    const char *value = g_str_has_prefix(word, "--archive=") ? word + strlen("--archive=")
        : g_str_has_prefix(word, "-a=")                      ? word + strlen("-a=")
                                                             : NULL;
    if (!value)
        return FALSE;
    *out_archive = g_str_equal(value, "true") || g_str_equal(value, "1");
    if (!*out_archive && !g_str_equal(value, "false") && !g_str_equal(value, "0"))
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is neither true nor false: use --archive=false to keep owners", word);
    return TRUE;
}

/* Takes such words out of @argv, up to a "--". */
static gboolean take_archive(int *argc, char **argv, gboolean *out_archive, GError **error)
{
    GError *failure = NULL;
    int kept = 1;
    gboolean words = FALSE;
    for (int i = 1; i < *argc; i++) {
        words |= g_str_equal(argv[i], "--");
        if (words || failure || !read_archive(argv[i], out_archive, &failure))
            argv[kept++] = argv[i];
    }
    *argc = kept;
    argv[kept] = NULL;
    if (failure)
        g_propagate_error(error, failure);
    return failure == NULL;
}

int duet_cmd_cp(DuetCli *cli, int argc, char **argv)
{
    Options options = { 0 };
    gboolean archive = FALSE, archive_value = TRUE;
    const GOptionEntry entries[] = {
        { "archive", 'a', 0, G_OPTION_ARG_NONE, &archive,
            "files become the instance's user's, or the caller's on the host: the default; "
            "--archive=false keeps the numbers of their owners",
            NULL },
        { "overwrite", 0, 0, G_OPTION_ARG_NONE, &options.overwrite,
            "let a directory take a file's place, and a file a directory's", NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &options.quiet, "do not tell what is left out",
            NULL },
        G_OPTION_ENTRY_NULL,
    };
    const char *words[3];
    g_autoptr(GError) error = NULL;
    if (!take_archive(&argc, argv, &archive_value, &error))
        return duet_cli_fail(error);
    int found = duet_cli_words(argv[0], entries, argc, argv, words, 3, &error);
    if (found < 0)
        return duet_cli_fail(error);
    if (found != 2)
        return duet_cli_usage("cp", found < 2 ? "no source or no target given" : "too many words");
    options.keep_owners = !archive_value;
    return copy_words(cli, words[0], words[1], &options);
}
