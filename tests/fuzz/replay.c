/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stands in for libFuzzer: runs a target once for each file of the directories named as arguments.
 */

#include <glib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        g_autoptr(GDir) dir = g_dir_open(argv[i], 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
            g_autofree char *path = g_build_filename(argv[i], name, NULL), *bytes = NULL;
            gsize length;

            if (!g_file_get_contents(path, &bytes, &length, NULL))
                continue;
            LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
            count++;
        }
    }
    g_print("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
