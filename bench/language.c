/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "language.h"

#include <locale.h>

#include <duet/error.h>

#include "core/module.h"
#include "words.h"

static const char *const languages[] = { "en", "ko", NULL };

/* gettext() speaks LANGUAGE in every locale but "C", and few hosts have those of other countries.
 */
static const char *const locales[] = { "C.UTF-8", "en_US.UTF-8", "ko_KR.UTF-8" };

static const char *current(void)
{
    /* Translators: the code of your language, as in the name of this file. */
    const char *code = _("en");

    for (guint i = 0; languages[i]; i++) {
        if (g_str_equal(languages[i], code))
            return languages[i];
    }
    return languages[0];
}

static const char *speak(const char *wanted)
{
    g_setenv("LANGUAGE", wanted, TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(locales); i++) {
        /* with the letters for it */
        setlocale(LC_CTYPE, locales[i]);
        if (setlocale(LC_MESSAGES, locales[i]) && g_str_equal(current(), wanted))
            return current();
    }
    return NULL;
}

const char *duet_language(const char *wanted, GError **error)
{
    bindtextdomain(
        GETTEXT_PACKAGE, duet_module_in_build() ? DUET_BUILD_DIR "/po" : DUET_LOCALE_DIR);
    bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
    if (!wanted) {
        setlocale(LC_CTYPE, "");
        setlocale(LC_MESSAGES, "");
        return current();
    }
    if (!g_strv_contains(languages, wanted)) {
        g_autofree char *known = g_strjoinv(", ", (char **)languages);
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "there are no reports in '%s': choose from %s", wanted, known);
        return NULL;
    }
    const char *spoken = speak(wanted);
    if (!spoken)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "the words of '%s' can't be found; is all of duet installed, and a locale but C?",
            wanted);
    return spoken;
}
