/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `--vcpus` and `--disk` mean. */
#include "core/disk-list.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

static void test_topology(void)
{
    static const struct {
        const char *text;
        DuetTopology topology;
    } rows[] = {
        { "1", { 1, 0, 0, 0 } },
        { "255", { 255, 0, 0, 0 } },
        { "vcpus=3", { 3, 0, 0, 0 } },
        { "4,sockets=2,cores=2,threads=1", { 4, 2, 2, 1 } },
        { "4,threads=1,sockets=1,cores=4", { 4, 1, 4, 1 } },
        { "4,cores=2", { 4, 2, 2, 1 } },
        { "4,threads=2", { 4, 2, 1, 2 } },
        { "4,sockets=2", { 4, 2, 2, 1 } },
        { "8,sockets=2,threads=2", { 8, 2, 2, 2 } },
        { "sockets=2,cores=3", { 6, 2, 3, 1 } },
        { "threads=2", { 2, 1, 1, 2 } },
        { "2,maxvcpus=4", { 2, 0, 0, 0, 4 } },
        { "maxvcpus=4", { 0, 0, 0, 0, 4 } },
        { "2,maxvcpus=4,cores=2", { 2, 2, 2, 1, 4 } },
        { "maxvcpus=4,sockets=4", { 0, 4, 1, 1, 4 } },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        DuetTopology topology = { 0 };
        g_assert_true(duet_topology_parse(rows[i].text, &topology, &error));
        g_assert_no_error(error);
        g_assert_cmpmem(&topology, sizeof topology, &rows[i].topology, sizeof rows[i].topology);
    }
}

static void test_topology_refused(void)
{
    static const char *const texts[] = { "", "0", "-1", "256", "1.5", "two", "4,", ",4", "4,4",
        "4,cores", "4,cores=", "4,cores=0", "4,cores=3", "4,sockets=2,cores=2,threads=2",
        "4,maxvcpus=2", "4,maxvcpus=0", "2,maxvcpus=4,cores=3", "4,cores=2,cores=2", "4,vcpus=4",
        "cores=2,4", "sockets=255,cores=255", "sockets=255,cores=255,threads=255", "4 ,cores=2",
        "0x4", "99999999999999999999" };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        DuetTopology topology = { 7, 7, 7, 7 };
        g_assert_false(duet_topology_parse(texts[i], &topology, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_cmpint(topology.vcpus, ==, 7);
    }
}

static void test_vcpus(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    spec->cpus = 0.5;
    spec->topology = (DuetTopology){ 4, 2, 2, 1 };
    g_assert_cmpuint(duet_vm_vcpus(spec), ==, 4);
}

static void test_disk(void)
{
    static const struct {
        const char *text, *canonical;
        gboolean format_given;
    } rows[] = {
        { "/a", "/a,format=raw", FALSE },
        { "path=/a", "/a,format=raw", FALSE },
        { "/a,format=raw,bus=virtio", "/a,format=raw", TRUE },
        { "/a,format=qcow2,readonly=on", "/a,format=qcow2,readonly=on", TRUE },
        { "/a,driver.type=qcow2", "/a,format=qcow2", TRUE },
        { "/a,readonly=off,cache=none,io=native", "/a,format=raw,cache=none,io=native", FALSE },
        { "/a,cache=unsafe,cache=writeback", "/a,format=raw,cache=writeback", FALSE },
        { "/with,,comma", "/with,,comma,format=raw", FALSE },
        { "/format=qcow2", "/format=qcow2,format=raw", FALSE },
        { "/a/../b", "/b,format=raw", FALSE },
        { "/a,format=qcow2,backing_store=/x/../b,,c",
            "/a,format=qcow2,backing_store=/b,,c,backing_format=raw", TRUE },
        { "/a,backing_format=qcow2,backing_store=/b,format=qcow2,target=vdd",
            "/a,format=qcow2,target=vdd,backing_store=/b,backing_format=qcow2", TRUE },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DuetDataDisk) disk = duet_data_disk_parse(rows[i].text, &error);
        g_assert_no_error(error);
        g_autofree char *text = duet_data_disk_to_text(disk);
        g_assert_cmpstr(text, ==, rows[i].canonical);
        g_assert_cmpint(disk->format_given, ==, rows[i].format_given);
        g_autoptr(DuetDataDisk) again = duet_data_disk_parse(text, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(again->path, ==, disk->path);
        g_assert_true(again->format_given);
    }
}

static void test_disk_refused(void)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        { "", DUET_ERROR_INVALID },
        { ",format=raw", DUET_ERROR_INVALID },
        { "path=", DUET_ERROR_INVALID },
        { "/a,", DUET_ERROR_INVALID },
        { "/a,format", DUET_ERROR_INVALID },
        { "/a,format=vmdk", DUET_ERROR_INVALID },
        { "/a,readonly=maybe", DUET_ERROR_INVALID },
        { "/a,cache=big", DUET_ERROR_INVALID },
        { "/a,io=fast", DUET_ERROR_INVALID },
        { "/a,io=native", DUET_ERROR_INVALID },
        { "/a,size=10", DUET_ERROR_INVALID },
        { "/a,backing_store=/b", DUET_ERROR_INVALID },
        { "/a,format=qcow2,backing_store=", DUET_ERROR_INVALID },
        { "/a,format=qcow2,backing_format=raw", DUET_ERROR_INVALID },
        { "/a,format=qcow2,backing_store=/b,backing_format=vdi", DUET_ERROR_INVALID },
        { "/a,bus=scsi", DUET_ERROR_UNSUPPORTED },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(duet_data_disk_parse(rows[i].text, &error));
        g_assert_error(error, DUET_ERROR, rows[i].code);
    }
}

/* A later start has what was asked of the first. */
static void test_kept(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    spec->kind = DUET_KIND_VM;
    spec->name = g_strdup("kept");
    spec->image_ref = g_strdup("image");
    spec->image_digest = g_strdup("sha256:0");
    spec->machine = g_strdup("pc");
    spec->cpu_model = g_strdup("Haswell");
    spec->topology = (DuetTopology){ 4, 2, 2, 1 };
    spec->disks = g_strsplit("/a,format=raw", " ", -1);
    spec->rng = TRUE;
    spec->xml_patch = g_strdup("<domain/>");
    spec->disk_image = g_strdup("/a.qcow2");
    spec->firmware = g_strdup(DUET_FIRMWARE_UEFI);
    spec->user_data = g_strdup("#cloud-config\n");
    spec->network_config = g_strdup("version: 2\n");
    spec->ssh_keys = g_strsplit("ssh-ed25519 A", "\n", -1);
    spec->wait = g_strdup(DUET_WAIT_AGENT);
    g_autoptr(DuetSpec) copy = duet_spec_copy(spec);
    g_assert_cmpstr(copy->machine, ==, "pc");
    g_assert_cmpstr(copy->cpu_model, ==, "Haswell");
    g_assert_cmpmem(&copy->topology, sizeof copy->topology, &spec->topology, sizeof copy->topology);
    g_assert_cmpstrv(copy->disks, spec->disks);
    g_assert_true(copy->rng);
    g_assert_cmpstr(copy->xml_patch, ==, "<domain/>");
    g_assert_cmpstr(copy->disk_image, ==, "/a.qcow2");
    g_assert_cmpstr(copy->firmware, ==, DUET_FIRMWARE_UEFI);
    g_assert_cmpstr(copy->user_data, ==, "#cloud-config\n");
    g_assert_cmpstr(copy->network_config, ==, "version: 2\n");
    g_assert_cmpstrv(copy->ssh_keys, spec->ssh_keys);
    g_assert_cmpstr(copy->wait, ==, DUET_WAIT_AGENT);
}

static void test_disk_list(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_disk_list_attach(spec, "/a", &error));
    g_assert_true(duet_disk_list_attach(spec, "/b,readonly=on", &error));
    g_assert_true(duet_disk_list_attach(spec, "/c,target=vdz", &error));
    g_assert_no_error(error);
    g_assert_cmpstr(spec->disks[1], ==, "/b,format=raw,readonly=on,target=vdd");
    /* What stays keeps its name; the next one has the first that is free, and its place. */
    g_assert_true(duet_disk_list_detach(spec, "vdc", &error));
    g_assert_true(duet_disk_list_attach(spec, "/d", &error));
    static const char *const after[] = { "/d,format=raw,target=vdc",
        "/b,format=raw,readonly=on,target=vdd", "/c,format=raw,target=vdz", NULL };
    g_assert_cmpstrv(spec->disks, after);
    g_autoptr(DuetSpec) less = duet_spec_copy(spec);
    g_assert_true(duet_disk_list_detach(less, "/b", &error));
    g_auto(GStrv) gone = duet_disk_list_missing(spec, less);
    g_auto(GStrv) come = duet_disk_list_missing(less, spec);
    g_assert_cmpuint(g_strv_length(gone), ==, 1);
    g_assert_cmpstr(gone[0], ==, after[1]);
    g_assert_cmpuint(g_strv_length(come), ==, 0);
    /* The last one gone is a change, too. */
    g_assert_true(
        duet_disk_list_detach(less, "/c", &error) && duet_disk_list_detach(less, "vdc", &error));
    g_autoptr(DuetSpec) none = duet_spec_copy(less);
    g_assert_true(none->disks && !none->disks[0]);
}

static void test_disk_list_refused(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    spec->disks = g_strsplit("/a /b,target=vdc", " ", -1);
    static const struct {
        const char *attach, *detach;
        int code;
    } rows[] = {
        { "/a", NULL, DUET_ERROR_EXISTS },
        { "/c,target=vdc", NULL, DUET_ERROR_INVALID },
        { "/c,target=vda", NULL, DUET_ERROR_INVALID },
        { "/c,target=vd{", NULL, DUET_ERROR_INVALID },
        { "", NULL, DUET_ERROR_INVALID },
        { NULL, "vdz", DUET_ERROR_NOT_FOUND },
        { NULL, "/nosuch", DUET_ERROR_NOT_FOUND },
        { NULL, "", DUET_ERROR_NOT_FOUND },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(rows[i].attach ? duet_disk_list_attach(spec, rows[i].attach, &error)
                                      : duet_disk_list_detach(spec, rows[i].detach, &error));
        g_assert_error(error, DUET_ERROR, rows[i].code);
        g_assert_cmpstr(spec->disks[0], ==, "/a");
    }
    g_autoptr(GStrvBuilder) many = g_strv_builder_new();
    for (int i = 0; i <= DUET_VM_DISKS_MAX; i++)
        g_strv_builder_add(many, "/a");
    g_auto(GStrv) texts = g_strv_builder_end(many);
    g_autoptr(GError) error = NULL;
    g_assert_null(duet_disk_list_parse(texts, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
}

/* Who runs may get as many as it was told at the start. */
static void test_vcpus_max(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    spec->kind = DUET_KIND_VM;
    spec->name = g_strdup("kept");
    spec->topology = (DuetTopology){ .vcpus = 2, .max = 4 };
    g_assert_cmpuint(duet_vm_vcpus(spec), ==, 2);
    g_assert_cmpuint(duet_vm_vcpus_max(spec), ==, 4);
    spec->topology.max = 0;
    g_assert_cmpuint(duet_vm_vcpus_max(spec), ==, 2);
    spec->topology = (DuetTopology){ .max = 4 };
    spec->cpus = 1.5;
    g_assert_cmpuint(duet_vm_vcpus(spec), ==, 2);
    g_assert_cmpuint(duet_vm_vcpus_max(spec), ==, 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/topology", test_topology);
    g_test_add_func("/machine/topology-refused", test_topology_refused);
    g_test_add_func("/machine/vcpus-max", test_vcpus_max);
    g_test_add_func("/machine/disk-list", test_disk_list);
    g_test_add_func("/machine/disk-list-refused", test_disk_list_refused);
    g_test_add_func("/machine/vcpus", test_vcpus);
    g_test_add_func("/machine/disk", test_disk);
    g_test_add_func("/machine/disk-refused", test_disk_refused);
    g_test_add_func("/machine/kept", test_kept);
    return g_test_run();
}
