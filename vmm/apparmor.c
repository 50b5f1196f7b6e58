/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/apparmor.h"
#include "vmm/domain-xml.h"
#include "core/util.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PROFILE_DIR "/etc/apparmor.d/libvirt"
#define RULES_MAX_BYTES (1u << 20)
#define LOADED_LIST "/sys/kernel/security/apparmor/profiles"
#define LOADED_MAX_BYTES (8u << 20)

/* The list has lines like "libvirtd (enforce)"; libvirt looks for such a start anywhere in it. */
static gboolean is_loaded(const char *loaded, const char *name)
{
    g_autofree char *start = g_strconcat(name, " ", NULL);
    return strstr(loaded, start) != NULL;
}

char *duet_vm_apparmor_profile_for(const char *loaded, const char *program)
{
    static const char plain[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-";
    if (!is_loaded(loaded, "libvirtd") && !is_loaded(loaded, "virtqemud"))
        return NULL;
    if (is_loaded(loaded, program) || program[strspn(program, plain)] != '\0')
        return NULL;
    /* Without a path it attaches to no program. */
    return g_strdup_printf("profile \"%s\" flags=(unconfined) {\n}\n", program);
}

static const char *parser_find(void)
{
    static const char *const paths[] = { "/usr/sbin/apparmor_parser", "/sbin/apparmor_parser" };
    for (guint i = 0; i < G_N_ELEMENTS(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

static char *loaded_list(void)
{
    return duet_file_read(AT_FDCWD, LOADED_LIST, LOADED_MAX_BYTES, NULL, NULL);
}

/* Returns: (transfer full) (nullable): this executable, as libvirt looks for its profile. */
static char *this_program(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    return self ? g_path_get_basename(self) : NULL;
}

gboolean duet_vm_apparmor_confines(const char *loaded, const char *program, gboolean can_load,
    const char **out_detail, const char **out_advice)
{
    *out_advice = NULL;
    if (!loaded) {
        *out_detail = "not in use here: QEMU has its user's rights";
        return FALSE;
    }
    if (!is_loaded(loaded, "libvirtd") && !is_loaded(loaded, "virtqemud")) {
        *out_detail = "is on, but libvirt's profiles are not loaded: QEMU is not confined";
        *out_advice = "install libvirt-daemon-system and apparmor, then restart apparmor";
        return FALSE;
    }
    if (!is_loaded(loaded, program) && !can_load) {
        *out_detail = "is on, but newer libvirt confines no QEMU of ours without a profile that "
                      "duet cannot load";
        *out_advice = "install the package apparmor, for its apparmor_parser";
        return FALSE;
    }
    *out_detail = "libvirt confines each QEMU by a profile of its own";
    return TRUE;
}

gboolean duet_vm_apparmor_check(const char **out_detail, const char **out_advice)
{
    g_autofree char *loaded = loaded_list();
    g_autofree char *program = this_program();
    return duet_vm_apparmor_confines(
        loaded, program ? program : "", parser_find() != NULL, out_detail, out_advice);
}

void duet_vm_apparmor_enable(const char *dir)
{
    g_autofree char *loaded = loaded_list();
    g_autofree char *program = loaded ? this_program() : NULL;
    g_autofree char *profile = program ? duet_vm_apparmor_profile_for(loaded, program) : NULL;
    const char *parser = profile ? parser_find() : NULL;
    g_autofree char *path = g_build_filename(dir, "apparmor-profile", NULL);
    if (!parser || !duet_file_replace(AT_FDCWD, path, profile, strlen(profile), NULL))
        return;
    const char *const argv[] = { parser, "--replace", "--skip-cache", path, NULL };
    g_free(duet_capture(argv, NULL));
}

/* libvirt's own tool takes a profile out of the kernel, and the rules that it wrote with it. */
static void unload(const char *profile)
{
    static const char *const tools[] = { "/usr/lib/libvirt/virt-aa-helper",
        "/usr/libexec/virt-aa-helper", "/usr/libexec/libvirt/virt-aa-helper" };
    for (guint i = 0; i < G_N_ELEMENTS(tools); i++) {
        if (access(tools[i], X_OK) < 0)
            continue;
        const char *const argv[] = { tools[i], "-D", "-u", profile, NULL };
        g_free(duet_capture(argv, NULL));
        return;
    }
}

void duet_vm_apparmor_forget(const char *id)
{
    g_autofree char *uuid = duet_vm_uuid(id);
    g_autofree char *profile = g_strconcat("libvirt-", uuid, NULL);
    g_autofree char *path = g_build_filename(PROFILE_DIR, profile, NULL);
    g_autofree char *rules = g_strconcat(path, ".files", NULL);
    /* The rules are there as long as nobody has unloaded the profile. */
    if (access(rules, F_OK) == 0)
        unload(profile);
    unlink(rules);
    unlink(path);
}

/* Returns: (nullable): whose rules these are, if it is an instance below @run_base that has ended.
 */
static char *dead_owner(int dir_fd, const char *name, const char *run_base)
{
    g_autofree char *rules = duet_file_read(dir_fd, name, RULES_MAX_BYTES, NULL, NULL);
    g_autofree char *start = g_strconcat("\"", run_base, "/", NULL);
    const char *at = rules ? strstr(rules, start) : NULL;
    if (!at)
        return NULL;
    at += strlen(start);
    g_autofree char *id = g_strndup(at, strspn(at, "0123456789abcdef"));
    g_autofree char *run_dir = g_build_filename(run_base, id, NULL);
    return access(run_dir, F_OK) < 0 ? g_steal_pointer(&id) : NULL;
}

void duet_vm_apparmor_sweep(const char *run_base)
{
    g_autoptr(GDir) dir = g_dir_open(PROFILE_DIR, 0, NULL);
    DUET_AUTO_FD dir_fd = open(PROFILE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *name;
    while (dir && dir_fd >= 0 && (name = g_dir_read_name(dir))) {
        g_autofree char *id =
            g_str_has_suffix(name, ".files") ? dead_owner(dir_fd, name, run_base) : NULL;
        if (id)
            duet_vm_apparmor_forget(id);
    }
}
