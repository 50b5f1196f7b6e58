/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The language of --filter. */
#include "core/filter.h"
#include "core/state.h"

#include <duet/error.h>

static DuetInfo *sample(void)
{
    static const char *const labels[] = { "tier=web", "bare=", "odd key=a=b", NULL };
    DuetSpec *spec = duet_spec_new();
    g_free(spec->id);
    spec->id = g_strdup("0123456789ab");
    spec->name = g_strdup("web-1.main");
    spec->kind = DUET_KIND_VM;
    spec->image_ref = g_strdup("busybox:latest");
    spec->image_digest = g_strdup("sha256:feedbeef0000");
    spec->labels = g_strdupv((char **)labels);
    DuetMount *mount = duet_mount_new("/srv/data", "/data", FALSE);
    mount->volume = g_strdup("state");
    g_ptr_array_add(spec->mounts, mount);
    DuetInfo *info = duet_info_new(spec);
    info->exit_code = 3;
    return info;
}

static char *known_image(const char *ref, gpointer data)
{
    (void)data;
    return g_str_equal(ref, "other-name") ? g_strdup("sha256:feedbeef0000") : NULL;
}

/* @words: filters with a blank between. Returns: whether an exited VM matches all of them. */
static gboolean matches(const char *words)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) texts = *words ? g_strsplit(words, " ", -1) : NULL;
    g_autoptr(DuetFilter) filter = duet_filter_new(texts, known_image, NULL, &error);
    g_autoptr(DuetInfo) info = sample();
    g_assert_no_error(error);
    return duet_filter_match(filter, info, 7);
}

static void test_keys(void)
{
    static const char *const yes[] = { "", "id=0123", "id=0123456789AB", "id=9ab$", "name=web",
        "name=^web-[0-9]\\.main$", "name=nosuch|web", "label=tier", "label=tier=web", "label=bare",
        "label=tier=", "label!=tiers", "label!=tier=db", "status=exited", "status=stopped",
        "exited=3", "ancestor=busybox", "ancestor=busybox:latest", "ancestor=feedbeef",
        "ancestor=sha256:feed", "ancestor=other-name", "volume=/srv/data", "volume=/data",
        "volume=state", "kind=vm" };
    static const char *const no[] = { "id=123", "id=^9ab", "name=WEB", "name=^eb", "label=tie",
        "label=tier=we", "label=bare=x", "label!=tier", "label!=bare", "label!=tier=web",
        "status=running", "status=created", "exited=0", "ancestor=busy", "ancestor=busybox:1.36",
        "ancestor=fee", "ancestor=nosuch", "volume=/srv", "volume=stat", "kind=container" };
    for (guint i = 0; i < G_N_ELEMENTS(yes); i++)
        if (!matches(yes[i]))
            g_error("'%s' does not match", yes[i]);
    for (guint i = 0; i < G_N_ELEMENTS(no); i++)
        if (matches(no[i]))
            g_error("'%s' matches", no[i]);
}

/* Of one key any, of several keys all; of labels all. */
static void test_together(void)
{
    g_assert_true(matches("name=nosuch name=web"));
    g_assert_true(matches("status=running status=exited kind=vm"));
    g_assert_false(matches("name=web kind=container"));
    g_assert_false(matches("name=nosuch status=exited"));
    g_assert_true(matches("label=tier label=bare"));
    g_assert_false(matches("label=tier label=nosuch"));
    g_assert_false(matches("label!=nosuch label!=bare"));
}

/* An exit code that is not there yet is none; a state that goes on has none. */
static void test_exited_only(void)
{
    static char *const codes[] = { (char *)"exited=3", NULL };
    g_autoptr(DuetFilter) filter = duet_filter_new(codes, NULL, NULL, NULL);
    g_autoptr(DuetInfo) info = sample();
    info->state = DUET_STATE_RUNNING;
    g_assert_false(duet_filter_match(filter, info, 0));
    g_assert_true(duet_filter_wants_all(filter));
}

static void test_refused(void)
{
    static const char *const bad[] = { "", "name", "nosuch=1", "=x", "name=", "name=(", "id=(x",
        "label==x", "exited=-1", "exited=256", "exited=x", "status=nosuch", "kind=native",
        "kind=pod", "labels=x", "Name=x" };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        char *const texts[] = { (char *)"name=web", (char *)bad[i], NULL };
        g_assert_null(duet_filter_new(texts, NULL, NULL, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, bad[i]));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/filter/keys", test_keys);
    g_test_add_func("/filter/together", test_together);
    g_test_add_func("/filter/exited-only", test_exited_only);
    g_test_add_func("/filter/refused", test_refused);
    return g_test_run();
}
