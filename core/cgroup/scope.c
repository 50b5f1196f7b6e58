/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scope.h"
#include "core/module.h"
#include "core/rootless.h"

#include <dlfcn.h>
#include <unistd.h>

#define SYSTEM_SLICE "machine.slice"
#define USER_SLICE "app.slice"

struct _DuetScopeManager {
    gpointer module;
    const DuetScopeOps *ops;
    DuetScopeBus *bus;
    uid_t uid;
    char *root;
    char *slice;
};

/* As sd_booted(3) defines it. */
gboolean duet_scope_booted(void)
{
    return access("/run/systemd/system/", F_OK) == 0;
}

static const char *slice_unit(const DuetScopeManager *manager)
{
    return manager->uid != 0 ? USER_SLICE : SYSTEM_SLICE;
}

DuetScopeManager *duet_scope_manager_open(GError **error)
{
    g_autoptr(DuetScopeManager) manager = g_new0(DuetScopeManager, 1);
    gpointer ops = NULL;
    manager->module = duet_module_open("duet-systemd", "duet_scope_ops", &ops, error);
    if (!manager->module)
        return NULL;
    manager->ops = ops;
    manager->uid = duet_rootless_uid();
    g_autofree char *root = NULL;
    manager->bus = manager->ops->connect(manager->uid, &root, error);
    if (!manager->bus)
        return NULL;
    manager->root = g_strdup(root + (root[0] == '/'));
    manager->slice =
        g_strconcat(manager->root, manager->root[0] ? "/" : "", slice_unit(manager), NULL);
    return g_steal_pointer(&manager);
}

void duet_scope_manager_close(DuetScopeManager *manager)
{
    if (!manager)
        return;
    if (manager->bus)
        manager->ops->disconnect(manager->bus);
    if (manager->module)
        dlclose(manager->module);
    g_free(manager->root);
    g_free(manager->slice);
    g_free(manager);
}

uid_t duet_scope_manager_uid(const DuetScopeManager *manager)
{
    return manager->uid;
}

const char *duet_scope_manager_root(const DuetScopeManager *manager)
{
    return manager->root;
}

const char *duet_scope_manager_slice(const DuetScopeManager *manager)
{
    return manager->slice;
}

gboolean duet_scope_start(DuetScopeManager *manager, const char *unit, const char *description,
    const DuetScopeShares *shares, GError **error)
{
    DuetScopeRequest request = {
        .unit = unit,
        .slice = slice_unit(manager),
        .description = description,
        .pid = getpid(),
        .shares = *shares,
    };
    return manager->ops->start(manager->bus, &request, error);
}

gboolean duet_scope_share(
    DuetScopeManager *manager, const char *unit, const DuetScopeShares *shares, GError **error)
{
    return manager->ops->share(manager->bus, unit, shares, error);
}

gboolean duet_scope_stop(DuetScopeManager *manager, const char *unit, GError **error)
{
    return manager->ops->stop(manager->bus, unit, error);
}
