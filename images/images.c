/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/catalog.h"

/* The one symbol that the executable looks up. */
__attribute__((visibility("default"))) const DuetImagesOps duet_images = {
    .import = duet_images_import,
    .import_disk = duet_images_import_disk,
    .export = duet_images_export,
    .list = duet_images_list,
    .inspect = duet_images_inspect,
    .remove = duet_images_remove,
    .refresh = duet_images_refresh,
    .root_disk = duet_images_root_disk,
    .copy_dir = duet_images_copy_dir,
};
