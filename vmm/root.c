/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/root.h"
#include "vmm/apparmor.h"
#include "vmm/cache.h"
#include "vmm/virt-error.h"
#include "core/rootless.h"
#include "core/stray.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libvirt-glib/libvirt-glib.h>
#include <pwd.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* What libvirt makes in its root, our link into the shared cache, and that to its pid file. */
static const char *const root_entries[] = { "cache", "etc", "lib", "log", "run", "libvirt.log",
    DUET_STRAY_LOCK };

/* Which of them is a choice of whoever built libvirt: Debian's is the first, Fedora's and SUSE's
 * the second. */
const char *duet_vm_user_find(GError **error)
{
    static const char *const names[] = { "libvirt-qemu", "qemu" };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (getpwnam(names[i]))
            return names[i];
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "there is neither a user 'libvirt-qemu' nor 'qemu', and libvirt's QEMU driver does not "
        "start without its own; install the package libvirt-daemon-system");
    return NULL;
}

/*
 * A debugging option of libvirt's: without this capability it asks for a CPU's unavailable features
 * by one query in place of some 400, which are 0.6 to 0.8 s of a start under TCG. The switch is for
 * the day when a libvirt dislikes it.
 */
static const char *capability_filters(void)
{
    return g_getenv("DUET_LIBVIRT_FULL_CPU_QUERY")
        ? ""
        : "capability_filters = [ \"cpu-unavailable-features\" ]\n";
}

/* Whom root's QEMU becomes; an ordinary user's stays who it is. */
static char *identity_lines(const DuetPlace *place)
{
    if (duet_is_rootless())
        return g_strdup("");
    g_autofree char *group =
        getgrnam("kvm") ? g_strdup("kvm") : g_strdup_printf("+%u", place->id_base);
    return g_strdup_printf("user = \"+%u\"\ngroup = \"%s\"\n", place->id_base, group);
}

static gboolean config_write(const DuetPlace *place, GError **error)
{
    g_autofree char *dir = g_build_filename(place->run_dir, "etc", NULL);
    g_autofree char *path = g_build_filename(dir, "qemu.conf", NULL);
    g_autofree char *identity = identity_lines(place);
    /*
     * Without dynamic_ownership = 0 libvirt chowns kernel, initramfs and root disk to one VM's
     * user; with cgroup controllers it moves QEMU to cgroups of its own. The security driver
     * stays the host's default. The worker has a /dev of its own already (mounts.h).
     */
    g_autofree char *text = g_strdup_printf("stdio_handler = \"file\"\n"
                                            "cgroup_controllers = [ ]\n"
                                            "dynamic_ownership = 0\n"
                                            "remember_owner = 0\n"
                                            "namespaces = [ ]\n"
                                            "%s%s",
        identity, capability_filters());
    return duet_mkdir_p(dir, 0755, error) &&
        duet_file_replace(AT_FDCWD, path, text, strlen(text), error);
}

/*
 * libvirt gives the directories in its cache to QEMU's user, and each start to another one. No
 * QEMU may write what other VMs' libvirts read, so the way in is closed: 0700, root's.
 */
static gboolean cache_link(const DuetPlace *place, GError **error)
{
    g_autofree char *shared = duet_vm_cache_path("libvirt", NULL);
    g_autofree char *link = g_build_filename(place->run_dir, "cache", NULL);
    if (!duet_mkdir_p(shared, 0700, error))
        return FALSE;
    if (chmod(shared, 0700) < 0 || (symlink(shared, link) < 0 && errno != EEXIST))
        return duet_error_set_errno(error, errno, "cannot link '%s' to '%s'", link, shared);
    return TRUE;
}

/*
 * libvirt reads where to log only once, and from the environment. It must not stay there: libvirt's
 * virt-aa-helper, which takes a VM's AppArmor profile away, inherits it, may not write that file
 * by a profile of its own, and gives up.
 */
static gboolean libvirt_initialize(const DuetPlace *place, GError **error)
{
    g_autofree char *log = g_strdup_printf("3:file:%s/libvirt.log", place->run_dir);
    /* Else libvirt asks machined to make a scope, and QEMU leaves the instance's cgroup. */
    g_setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/duet-has-no-system-bus", TRUE);
    g_setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/duet-has-no-session-bus", TRUE);
    g_setenv("LIBVIRT_LOG_OUTPUTS", log, FALSE);
    gboolean ok = virInitialize() == 0;
    g_unsetenv("LIBVIRT_LOG_OUTPUTS");
    return ok || duet_virt_error_set(error, "cannot initialize libvirt");
}

static char *version_of(const char *emulator, GError **error)
{
    const char *const argv[] = { emulator, "--version", NULL };
    g_autofree char *text = duet_capture(argv, error);
    if (!text)
        return NULL;
    static const char intro[] = "QEMU emulator version ";
    const char *at = strstr(text, intro);
    gsize end = at ? strspn(at + strlen(intro), "0123456789.") : 0;
    if (end)
        return g_strndup(at + strlen(intro), end);
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "'%s --version' does not look like QEMU", emulator);
    return NULL;
}

/* Where the version of this very binary is kept once libvirt has probed it, with or without KVM. */
static char *stamp_path(const char *emulator, gboolean kvm_usable, GError **error)
{
    struct stat st;
    if (stat(emulator, &st) < 0) {
        duet_error_set_errno(error, errno, "cannot use the emulator '%s'", emulator);
        return NULL;
    }
    unsigned long libvirt = 0;
    struct utsname uts = { 0 };
    virGetVersion(&libvirt, NULL, NULL);
    /* Another kernel's KVM may offer the guests other features: libvirt asks anew. */
    uname(&uts);
    g_autofree char *identity = duet_vm_file_identity(emulator, &st);
    g_autofree char *name = kvm_usable
        ? g_strdup_printf("probed-%lu-kvm-%s-%s", libvirt, uts.release, identity)
        : g_strdup_printf("probed-%lu-tcg-%s", libvirt, identity);
    return duet_vm_cache_path("libvirt", name, NULL);
}

static virConnectPtr embed_open(const DuetPlace *place, GError **error)
{
    g_autofree char *uri = g_strconcat("qemu:///embed?root=", place->run_dir, NULL);
    virConnectPtr connection = virConnectOpen(uri);
    if (!connection)
        duet_virt_error_set(error, "cannot open '%s'", uri);
    return connection;
}

/* libvirt probes the host's default QEMUs when it opens, any other when it is first asked. */
static gboolean emulator_probe(virConnectPtr connection, const char *emulator, GError **error)
{
    char *xml = virConnectGetDomainCapabilities(connection, emulator, "x86_64", NULL, "qemu", 0);
    if (!xml)
        return duet_virt_error_set(error, "cannot use the emulator '%s'", emulator);
    free(xml);
    return TRUE;
}

/*
 * The first open on a host takes seconds. Its probes write the shared cache, not atomically: one
 * process does that while others wait; once the stamp is there nobody locks any more.
 */
static virConnectPtr probe_and_open(
    const DuetPlace *place, const char *emulator, const char *stamp, GError **error)
{
    DUET_AUTO_FD lock = duet_vm_cache_lock("libvirt", error);
    if (lock < 0)
        return NULL;
    g_autofree char *version = version_of(emulator, error);
    if (!version)
        return NULL;
    virConnectPtr connection = embed_open(place, error);
    if (connection && emulator_probe(connection, emulator, error) &&
        duet_file_replace(AT_FDCWD, stamp, version, strlen(version), error))
        return connection;
    if (connection)
        virConnectClose(connection);
    return NULL;
}

virConnectPtr duet_vm_root_open(
    const DuetPlace *place, const char *emulator, gboolean kvm_usable, GError **error)
{
    if (!config_write(place, error) || !cache_link(place, error) ||
        !libvirt_initialize(place, error))
        return NULL;
    duet_virt_error_quiet();
    g_autofree char *run_base = g_path_get_dirname(place->run_dir);
    duet_vm_apparmor_sweep(run_base);
    g_autofree char *config = g_build_filename(place->run_dir, "etc", NULL);
    duet_vm_apparmor_enable(config);
    gvir_event_register();
    g_autofree char *stamp = stamp_path(emulator, kvm_usable, error);
    if (!stamp)
        return NULL;
    if (access(stamp, R_OK) == 0)
        return embed_open(place, error);
    return probe_and_open(place, emulator, stamp, error);
}

gboolean duet_vm_root_remove(const DuetPlace *place, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(root_entries); i++) {
        g_autofree char *path = g_build_filename(place->run_dir, root_entries[i], NULL);
        if (!duet_remove_tree(AT_FDCWD, path, error))
            return FALSE;
    }
    return TRUE;
}

char *duet_vm_qemu_version(const char *emulator, GError **error)
{
    for (int kvm_usable = 0; kvm_usable < 2; kvm_usable++) {
        g_autofree char *stamp = stamp_path(emulator, kvm_usable, error);
        if (!stamp)
            return NULL;
        char *version = duet_file_read(AT_FDCWD, stamp, 64, NULL, NULL);
        if (version)
            return version;
    }
    return version_of(emulator, error);
}

char *duet_vm_qemu_find(const char *wanted, GError **error)
{
    g_autofree char *path = NULL;
    if (!wanted)
        path = g_find_program_in_path("qemu-system-x86_64");
    else if (strchr(wanted, '/'))
        path = g_canonicalize_filename(wanted, NULL);
    else
        path = g_find_program_in_path(wanted);
    if (!path) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "no '%s' in PATH; install the package qemu-system-x86",
            wanted ? wanted : "qemu-system-x86_64");
        return NULL;
    }
    struct stat st;
    if (stat(path, &st) < 0 || access(path, X_OK) < 0) {
        duet_error_set_errno(error, errno, "cannot run the emulator '%s'", path);
        return NULL;
    }
    if (S_ISREG(st.st_mode))
        return g_steal_pointer(&path);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "the emulator '%s' is no file", path);
    return NULL;
}

char *duet_vm_version_text(unsigned long version)
{
    return g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

char *duet_vm_libvirt_version(void)
{
    unsigned long version = 0;
    virGetVersion(&version, NULL, NULL);
    return duet_vm_version_text(version);
}
