/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The words of reports, in the language of who reads them: po/ has the translations. N_() marks
 * what is a constant and translated where it is shown. */
#define GETTEXT_PACKAGE "duet"
#include <glib/gi18n-lib.h>
