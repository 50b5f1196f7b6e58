/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "core/text.h"
#include "core/util.h"

#include <duet/error.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *store_dir(DuetCli *cli, GError **error)
{
    DuetContext *context = duet_cli_context(cli, error);
    return context ? duet_context_store_dir(context) : NULL;
}

static void tell_warnings(const DuetImage *image)
{
    for (char **warning = image->warnings; warning && *warning; warning++) {
        g_autofree char *text =
            g_strdup_printf("warning: %s: %s", image->ref ? image->ref : image->digest, *warning);
        duet_cli_say(text);
    }
}

static int image_import(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *name = NULL;
    g_autofree char *disk_format = NULL;
    const GOptionEntry entries[] = {
        { "disk-format", 0, 0, G_OPTION_ARG_STRING, &disk_format,
            "it is a disk: raw, qcow2, vmdk or vdi", "FORMAT" },
        { "name", 0, 0, G_OPTION_ARG_FILENAME, &name, "name in the store", "REF" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("image", argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc != 2)
        return duet_cli_usage("image import", "give one archive, OCI layout directory or disk");
    const char *store = store_dir(cli, &error);
    const DuetImagesOps *images = store ? duet_cli_images(&error) : NULL;
    g_autoptr(GPtrArray) added = NULL;
    if (images && disk_format)
        added = images->import_disk(store, argv[1], name, disk_format, &error);
    else if (images)
        added = images->import(store, argv[1], name, &error);
    if (!added)
        return duet_cli_fail(error);
    for (guint i = 0; i < added->len; i++) {
        const DuetImage *image = added->pdata[i];
        printf("%s\n", image->ref ? image->ref : image->digest);
        tell_warnings(image);
    }
    return 0;
}

static gboolean archive_from_string(const char *text, DuetArchive *out_archive)
{
    static const struct {
        const char *text;
        DuetArchive archive;
    } rows[] = { { "oci-archive", DUET_ARCHIVE_OCI }, { "oci", DUET_ARCHIVE_OCI },
        { "docker-archive", DUET_ARCHIVE_DOCKER }, { "docker", DUET_ARCHIVE_DOCKER },
        { "qcow2", DUET_ARCHIVE_QCOW2 }, { "raw", DUET_ARCHIVE_RAW } };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (g_str_equal(rows[i].text, text)) {
            *out_archive = rows[i].archive;
            return TRUE;
        }
    }
    return FALSE;
}

static int image_export(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL;
    g_autofree char *output = NULL;
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format,
            "oci-archive (default), docker-archive; of a disk: qcow2, raw", "FORMAT" },
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
            "the file to write; - and none: standard output", "FILE" },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("image", argv[0], entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    DuetArchive archive = DUET_ARCHIVE_OCI;
    if (format && !archive_from_string(format, &archive))
        return duet_cli_usage("image export",
            "'%s' is no format: use oci-archive or docker-archive; of a disk: qcow2, raw", format);
    if (!output && argc == 3)
        output = g_strdup(argv[2]);
    else if (argc != 2)
        return duet_cli_usage("image export", "give one image and, with -o, the file to write");
    if (!output && isatty(STDOUT_FILENO))
        return duet_cli_usage("image export", "no file to write: use -o FILE, or > FILE");
    if (!output)
        output = g_strdup("-");
    const char *store = store_dir(cli, &error);
    const DuetImagesOps *images = store ? duet_cli_images(&error) : NULL;
    if (!images || !images->export(store, argv[1], NULL, archive, output, &error))
        return duet_cli_fail(error);
    return 0;
}

/* An image that can't be used may be without a config: then it goes by its manifest. */
static const char *id_of(const DuetImage *image)
{
    return g_str_has_suffix(image->config_digest, ":") ? image->digest : image->config_digest;
}

static char *short_id(const DuetImage *image)
{
    return g_strndup(strchr(id_of(image), ':') + 1, 12);
}

/* An image that can't be used is of neither. */
static const char *type_of(const DuetImage *image)
{
    if (image->disk)
        return "disk";
    return image->layer_dirs[0] ? "files" : "";
}

static GVariant *describe_image(const DuetImage *image)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(&dict, "name", "ms", image->ref);
    g_variant_dict_insert(&dict, "digest", "s", image->digest);
    g_variant_dict_insert(&dict, "id", "s", id_of(image));
    g_variant_dict_insert(&dict, "size_bytes", "x", (gint64)image->size_bytes);
    g_variant_dict_insert(&dict, "created", "ms", image->created);
    g_variant_dict_insert(&dict, "type", "s", type_of(image));
    g_variant_dict_insert(&dict, "layers", "x", (gint64)g_strv_length(image->layer_dirs));
    g_auto(GVariantBuilder) warnings = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("as"));
    for (char **warning = image->warnings; warning && *warning; warning++) {
        g_autofree char *line = duet_text_line(*warning);
        g_variant_builder_add(&warnings, "s", line);
    }
    g_variant_dict_insert(&dict, "warnings", "as", &warnings);
    return g_variant_dict_end(&dict);
}

static void print_table(GPtrArray *list)
{
    static const char *const titles[] = { "NAME", "ID", "TYPE", "LAYERS", "SIZE", "CREATED", NULL };
    DuetTable *table = duet_table_new(titles);
    for (guint i = 0; i < list->len; i++) {
        const DuetImage *image = list->pdata[i];
        char **cells = g_new0(char *, 7);
        cells[0] = g_strdup(image->ref ? image->ref : "<none>");
        cells[1] = short_id(image);
        cells[2] = g_strdup(type_of(image));
        cells[3] = g_strdup_printf("%u", g_strv_length(image->layer_dirs));
        cells[4] = duet_format_bytes(image->size_bytes);
        cells[5] = g_strdup(image->created ? image->created : "");
        duet_table_add(table, cells);
    }
    duet_table_print(table);
    /* Why it can't be used; what a kind can't keep was told by the import. */
    for (guint i = 0; i < list->len; i++) {
        const DuetImage *image = list->pdata[i];
        if (!image->layer_dirs[0] && !image->disk)
            tell_warnings(image);
    }
}

static int image_ls(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL;
    gboolean quiet = FALSE, json;
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "json or table", "FORMAT" },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "ids only", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("image", argv[0], entries, &argc, &argv, &error) ||
        !duet_cli_format_is_json(format, &json, &error))
        return duet_cli_fail(error);
    if (argc > 1)
        return duet_cli_usage("image ls", "'%s' is one argument too many", argv[1]);
    const char *store = store_dir(cli, &error);
    const DuetImagesOps *images = store ? duet_cli_images(&error) : NULL;
    g_autoptr(GPtrArray) list = images ? images->list(store, &error) : NULL;
    if (!list)
        return duet_cli_fail(error);
    if (!json && !quiet)
        print_table(list);
    g_auto(GVariantBuilder) array = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < list->len; i++) {
        const DuetImage *image = list->pdata[i];
        g_autofree char *id = NULL;
        if (json)
            g_variant_builder_add_value(&array, describe_image(image));
        else if (quiet)
            printf("%s\n", (id = short_id(image)));
    }
    if (json && !duet_cli_print_json(g_variant_builder_end(&array), &error))
        return duet_cli_fail(error);
    return 0;
}

static int image_inspect(DuetCli *cli, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("image", argv[0], NULL, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc < 2)
        return duet_cli_usage("image inspect", "no image given");
    const char *store = store_dir(cli, &error);
    const DuetImagesOps *images = store ? duet_cli_images(&error) : NULL;
    if (!images)
        return duet_cli_fail(error);
    g_autoptr(GString) text = g_string_new("[");
    for (int i = 1; i < argc; i++) {
        g_autofree char *object = images->inspect(store, argv[i], &error);
        if (!object)
            return duet_cli_fail(error);
        g_string_append_printf(text, "%s\n%s", i > 1 ? "," : "", g_strchomp(object));
    }
    printf("%s\n]\n", text->str);
    return 0;
}

/* The layers and disks that any instance, running or not, stands on. */
static char **layers_in_use(gpointer data, GError **error)
{
    DuetCli *cli = data;
    g_autoptr(GPtrArray) instances = duet_instance_list(cli->context, error);
    if (!instances)
        return NULL;
    GPtrArray *dirs = g_ptr_array_new();
    for (guint i = 0; i < instances->len; i++) {
        const DuetSpec *spec = duet_instance_spec(instances->pdata[i]);
        for (char **dir = spec->layers; *dir; dir++)
            g_ptr_array_add(dirs, g_strdup(*dir));
        if (spec->disk_image)
            g_ptr_array_add(dirs, g_strdup(spec->disk_image));
    }
    g_ptr_array_add(dirs, NULL);
    return (char **)g_ptr_array_free(dirs, FALSE);
}

static int image_rm(DuetCli *cli, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options_of("image", argv[0], NULL, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc < 2)
        return duet_cli_usage("image rm", "no image given");
    const char *store = store_dir(cli, &error);
    const DuetImagesOps *images = store ? duet_cli_images(&error) : NULL;
    if (!images)
        return duet_cli_fail(error);
    int code = 0;
    for (int i = 1; i < argc; i++) {
        g_autoptr(GError) failure = NULL;
        if (images->remove(store, argv[i], layers_in_use, cli, &failure))
            printf("%s\n", argv[i]);
        else
            code = duet_cli_fail(failure);
    }
    return code;
}

const DuetCommand duet_image_commands[] = {
    { "import", "[OPTION...] ARCHIVE|DIR|DISK", "add an image from an archive, OCI layout or disk",
        image_import },
    { "export", "[--format FORMAT] [-o FILE] IMAGE", "write an image to an archive", image_export },
    { "ls", "[--format FORMAT] [-q]", "list images", image_ls },
    { "inspect", "IMAGE...", "show all that is known of images, as JSON", image_inspect },
    { "rm", "IMAGE...", "remove images", image_rm },
    { NULL, NULL, NULL, NULL },
};
