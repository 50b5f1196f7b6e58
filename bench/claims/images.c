/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Claims on images: shared, unchanged, the same everywhere. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <duet/error.h>
#include <duet/image.h>

#include "bench/instance/instance-sampler.h"
#include "bench/words.h"
#include "core/module.h"
#include "core/util.h"
#include "judge.h"
#include "live.h"
#include "tree.h"

#define WRITERS 2
#define MANY_CONTAINERS 4
#define MANY_VMS 2

/* The files that all instances of an image share: its layers, and the disk of its VMs. */
static char **shared_files(const DuetClaimsRequest *request)
{
    g_autoptr(GStrvBuilder) files = g_strv_builder_new();

    g_strv_builder_addv(files, (const char **)request->container->layers);
    if (request->vm)
        g_strv_builder_add(files, request->vm->root_disk);
    return g_strv_builder_end(files);
}

/* New, longer, gone, and another mode: what an upper layer has to take. */
static const char write_script[] =
    "echo written >/duet-claim && echo more >>/etc/group && rm -f /etc/passwd && chmod 700 /bin && "
    "cat /duet-claim";
static const char clean_script[] = "[ ! -e /duet-claim ] && [ -e /etc/passwd ] && echo clean";

static gboolean asked(
    DuetLive *live, guint index, const char *script, const char *wanted, GError **error)
{
    g_autofree char *answer = duet_live_ask(live, index, script, error);

    if (!answer)
        return FALSE;
    if (g_str_equal(g_strstrip(answer), wanted))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "an instance answered '%s', not '%s'", answer,
        wanted);
    return FALSE;
}

static gboolean write_in_all(DuetLive *live, const DuetClaimsRequest *request, GError **error)
{
    guint n = WRITERS + (request->vm ? 1 : 0);

    for (guint i = 0; i < n; i++) {
        const DuetSpec *base = i < WRITERS ? request->container : request->vm;
        guint index;
        if (!duet_live_start(live, base, NULL, NULL, &index, error) ||
            !asked(live, index, write_script, "written", error))
            return FALSE;
    }
    return TRUE;
}

static gboolean write_and_look(DuetClaimTrial *trial, GError **error)
{
    DuetLive live;
    guint index;

    duet_live_begin(&live, trial, trial->request->context);
    gboolean wrote = write_in_all(&live, trial->request, error) &&
        duet_live_start(&live, trial->request->container, NULL, NULL, &index, error) &&
        asked(&live, index, clean_script, "clean", error);
    return duet_live_end(&live, error) && wrote;
}

gboolean duet_claim_unchanged(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    const DuetClaimsRequest *request = trial->request;
    const char *store = duet_context_store_dir(request->context);
    g_auto(GStrv) files = shared_files(request);
    g_autofree char *before = duet_tree_digest(files, error);

    if (!before || !write_and_look(trial, error))
        return FALSE;
    g_autofree char *after = duet_tree_digest(files, error);
    g_autoptr(DuetImage) image =
        after ? duet_image_lookup(store, request->container->image_digest, error) : NULL;
    if (!image)
        return FALSE;
    gboolean same =
        g_str_equal(before, after) && g_str_equal(image->digest, request->container->image_digest);
    duet_finding_set(finding, same ? DUET_FINDING_HOLDS : DUET_FINDING_FAILS,
        "%u containers%s wrote to, added, changed and removed files; those of the image %s",
        WRITERS, request->vm ? _(" and a VM") : "",
        same ? _("are the same, byte for byte, and a new container saw no change")
             : _("are not the same as before"));
    return TRUE;
}

static gboolean sizes(
    const DuetClaimsRequest *request, double *out_root, double *out_store, GError **error)
{
    const char *store = duet_context_store_dir(request->context);
    g_autofree char *root = g_path_get_dirname(store);
    char *root_paths[] = { root, NULL }, *store_paths[] = { (char *)store, NULL };
    guint64 root_bytes, store_bytes;

    if (!duet_tree_disk_use(root_paths, &root_bytes, error) ||
        !duet_tree_disk_use(store_paths, &store_bytes, error))
        return FALSE;
    *out_root = root_bytes;
    *out_store = store_bytes;
    return TRUE;
}

static gboolean start_many(DuetLive *live, const DuetSpec *base, guint n, GError **error)
{
    for (guint i = 0; i < n; i++)
        if (!duet_live_start(live, base, NULL, NULL, NULL, error))
            return FALSE;
    return TRUE;
}

static gboolean see_disk(DuetLive *live, DuetDiskSeen *seen, GError **error)
{
    const DuetClaimsRequest *request = live->trial->request;
    double root, store, root_after, store_after;
    guint64 copy;

    if (!duet_tree_disk_use(request->container->layers, &copy, error) ||
        !sizes(request, &root, &store, error) ||
        !start_many(live, request->container, MANY_CONTAINERS, error) ||
        !sizes(request, &root_after, &store_after, error))
        return FALSE;
    seen->copy_bytes = copy;
    seen->containers = MANY_CONTAINERS;
    seen->root_bytes = root_after - root;
    seen->vms = request->vm ? MANY_VMS : 0;
    if (!start_many(live, request->vm, seen->vms, error) ||
        !sizes(request, &root_after, &store_after, error))
        return FALSE;
    seen->store_bytes = store_after - store;
    return TRUE;
}

gboolean duet_claim_layers(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    DuetDiskSeen seen = { 0 };
    DuetLive live;

    duet_live_begin(&live, trial, trial->request->context);
    gboolean saw = see_disk(&live, &seen, error);
    if (!duet_live_end(&live, error) || !saw)
        return FALSE;
    duet_judge_layers(&seen, finding);
    return TRUE;
}

/* What both kinds must say the same of one image. */
static const char look_script[] =
    "ls -1 /bin && cat /etc/passwd && pwd && id -u && sha256sum /bin/sh";

/* Returns: (transfer full): what an instance of each kind says, which is the same; or NULL. */
static char *look(
    DuetClaimTrial *trial, DuetContext *context, const DuetSpec *const *specs, GError **error)
{
    g_autofree char *first = NULL;
    DuetLive live;
    gboolean good = TRUE;

    duet_live_begin(&live, trial, context);
    for (guint i = 0; good && i < 2; i++) {
        guint index;
        g_autofree char *answer = duet_live_start(&live, specs[i], NULL, NULL, &index, error)
            ? duet_live_ask(&live, index, look_script, error)
            : NULL;
        good = answer != NULL;
        if (good && !first)
            first = g_steal_pointer(&answer);
        else if (good && !g_str_equal(first, answer)) {
            g_set_error_literal(
                error, DUET_ERROR, DUET_ERROR_BROKEN, "the two kinds see different files");
            good = FALSE;
        }
    }
    return duet_live_end(&live, error) && good ? g_steal_pointer(&first) : NULL;
}

static DuetSpec *elsewhere(const DuetSpec *base, const DuetImage *image, const char *store,
    const DuetImagesOps *images, GError **error)
{
    g_autoptr(DuetSpec) spec = duet_bench_spec_copy(base, error);

    if (!spec)
        return NULL;
    g_strfreev(spec->layers);
    spec->layers = g_strdupv(image->layer_dirs);
    g_free(spec->image_digest);
    spec->image_digest = g_strdup(image->digest);
    if (spec->kind == DUET_KIND_VM) {
        g_free(spec->root_disk);
        spec->root_disk = images->root_disk(store, image, error);
        if (!spec->root_disk)
            return NULL;
    }
    return g_steal_pointer(&spec);
}

/* Exports the image, imports it below the new root @folder, and looks there. */
static char *look_elsewhere(DuetClaimTrial *trial, const char *folder, GError **error)
{
    const DuetClaimsRequest *request = trial->request;
    const char *digest = request->container->image_digest;
    g_autofree char *archive = g_build_filename(folder, "image.tar", NULL);
    g_autofree char *root = g_build_filename(folder, "root", NULL);
    const DuetImagesOps *images = duet_module_symbol("duet-images", "duet_images", error);
    g_autoptr(DuetContext) context =
        images ? duet_context_new(root, duet_context_drivers(request->context), error) : NULL;

    if (!context)
        return NULL;
    const char *store = duet_context_store_dir(context);
    g_autoptr(GPtrArray) added = images->export(duet_context_store_dir(request->context), digest,
                                     NULL, DUET_ARCHIVE_OCI, archive, error)
        ? images->import(store, archive, NULL, error)
        : NULL;
    if (!added || added->len == 0)
        return NULL;
    const DuetImage *image = g_ptr_array_index(added, 0);
    if (!g_str_equal(image->digest, digest)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "the image imported again is %s, not %s",
            image->digest, digest);
        return NULL;
    }
    g_autoptr(DuetSpec) container = elsewhere(request->container, image, store, images, error);
    g_autoptr(DuetSpec) vm = container ? elsewhere(request->vm, image, store, images, error) : NULL;
    const DuetSpec *const specs[] = { container, vm };
    return vm ? look(trial, context, specs, error) : NULL;
}

static char *look_in_temporary(DuetClaimTrial *trial, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *folder = g_dir_make_tmp("duet-claims-XXXXXX", &failure);

    if (!folder) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, failure->message);
        return NULL;
    }
    char *seen = NULL;
    /* QEMU is another user and must reach its disk in there. */
    if (chmod(folder, 0711) == 0)
        seen = look_elsewhere(trial, folder, error);
    else
        duet_error_set_errno(error, errno, "cannot let QEMU into '%s'", folder);
    if (!duet_remove_tree(AT_FDCWD, folder, seen ? error : NULL))
        g_clear_pointer(&seen, g_free);
    return seen;
}

gboolean duet_claim_portable(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    const DuetClaimsRequest *request = trial->request;
    const DuetSpec *const specs[] = { request->container, request->vm };
    g_autoptr(GError) failure = NULL;
    g_autofree char *here = look(trial, request->context, specs, &failure);
    g_autofree char *there = here ? look_in_temporary(trial, &failure) : NULL;

    if (failure && !g_error_matches(failure, DUET_ERROR, DUET_ERROR_BROKEN)) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    if (failure)
        duet_finding_set(finding, DUET_FINDING_FAILS, "%s", failure->message);
    else if (!g_str_equal(here, there))
        duet_finding_set(
            finding, DUET_FINDING_FAILS, "after export and import instances see different files");
    else
        duet_finding_set(finding, DUET_FINDING_HOLDS,
            "a container and a VM, here and below another root, saw the same files; the digest is "
            "the same");
    return TRUE;
}
