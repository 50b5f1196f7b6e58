/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The serial console's log, and QEMU's own. QEMU writes both through descriptors that libvirt
 * opened, so the files are root's. The guest's root may write there without end: what is old is
 * given back to the disk.
 */
#include "vmm/disk-guest/guest-proxy.h"
#include "vmm/vm.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* A boot that failed is explained by its last lines. */
#define TAIL_BYTES 4096
#define TAIL_LINES 20
/* When the log takes more of the disk than this, all but its end is dropped. */
#define LOG_MAX_BYTES (4 << 20)
#define LOG_KEEP_BYTES (64 << 10)

gboolean duet_vm_console_make(const DuetVm *vm, GError **error)
{
    DUET_AUTO_FD fd =
        open(vm->console_log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 || duet_error_set_errno(error, errno, "cannot create '%s'", vm->console_log);
}

/* QEMU's own words, in the run directory of an embedded libvirt. A guest's root can make it say the
 * same for ever. */
static char *emulator_log(const DuetVm *vm)
{
    return g_strdup_printf("%s/log/qemu/%s.log", vm->place->run_dir, vm->domain_id);
}

/* A hole, not a shorter file: QEMU and those who read the end keep their offsets. */
static void trim(const char *path)
{
    DUET_AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || (gint64)st.st_blocks * 512 <= LOG_MAX_BYTES)
        return;
    off_t end = (st.st_size - LOG_KEEP_BYTES) & ~(off_t)4095;
    if (end > 0)
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, end);
}

void duet_vm_console_trim(const DuetVm *vm)
{
    g_autofree char *emulator = emulator_log(vm);
    trim(vm->console_log);
    trim(emulator);
}

static gboolean on_console(int fd, GIOCondition condition, gpointer data)
{
    char events[1024];
    (void)condition;
    while (read(fd, events, sizeof events) > 0)
        ;
    duet_vm_console_trim(data);
    return G_SOURCE_CONTINUE;
}

void duet_vm_console_watch(DuetVm *vm)
{
    g_autofree char *emulator = emulator_log(vm);
    vm->console_watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (vm->console_watch_fd < 0)
        return;
    /* A daemon keeps the first itself, and a disk guest has not the second. */
    int emulators = inotify_add_watch(vm->console_watch_fd, emulator, IN_MODIFY);
    int consoles = inotify_add_watch(vm->console_watch_fd, vm->console_log, IN_MODIFY);
    if (emulators >= 0 || consoles >= 0)
        vm->console_source = g_unix_fd_add(vm->console_watch_fd, G_IO_IN, on_console, vm);
}

void duet_vm_console_unwatch(DuetVm *vm)
{
    if (vm->console_source)
        g_source_remove(vm->console_source);
    vm->console_source = 0;
    duet_fd_clear(&vm->console_watch_fd);
}

/* The last lines; of a panic the first ones, which say why. Cuts @lines. */
static char *lines_choose(char **lines)
{
    guint n = g_strv_length(lines);
    guint from = n > TAIL_LINES ? n - TAIL_LINES : 0;
    for (guint i = 0; i < n; i++)
        if (strstr(lines[i], "Kernel panic"))
            from = i;
    if (n - from > TAIL_LINES)
        g_clear_pointer(&lines[from + TAIL_LINES], g_free);
    return g_strjoinv("\n", lines + from);
}

/* Printable lines only: a console brings carriage returns and terminal sequences of the firmware.
 */
static char *tail_clean(const char *bytes, gsize length)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (gsize i = 0; i < length; i++) {
        if (bytes[i] == '\033') {
            while (i + 1 < length && !g_ascii_isalpha(bytes[i]))
                i++;
            continue;
        }
        if (bytes[i] == '\n' || bytes[i] == '\t' || (guchar)bytes[i] >= ' ')
            g_string_append_c(text, bytes[i]);
    }
    g_autofree char *valid = g_utf8_make_valid(text->str, (gssize)text->len);
    g_auto(GStrv) lines = g_strsplit(g_strstrip(valid), "\n", -1);
    return lines_choose(lines);
}

/* The last lines of a file, or NULL. */
static char *file_tail(const char *path)
{
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    off_t end = lseek(fd, 0, SEEK_END);
    char bytes[TAIL_BYTES];
    ssize_t n = pread(fd, bytes, sizeof bytes, MAX(end - TAIL_BYTES, 0));
    g_autofree char *text = n > 0 ? tail_clean(bytes, (gsize)n) : NULL;
    return text && *text ? g_steal_pointer(&text) : NULL;
}

/*
 * What QEMU said itself. Its log, which the embedded libvirt keeps in the run directory, begins
 * with the command line, an option on each line, and remarks about what our domain asks for.
 */
static char *emulator_tail(const DuetVm *vm)
{
    g_autofree char *path = emulator_log(vm);
    g_autofree char *log = file_tail(path);
    g_auto(GStrv) lines = g_strsplit(log ? log : "", "\n", -1);
    g_autoptr(GString) words = g_string_new(NULL);
    for (char **line = lines; *line; line++)
        if (**line && !g_str_has_suffix(*line, "\\") && !strstr(*line, " is tainted: ") &&
            !g_str_has_prefix(*line, "-msg "))
            g_string_append_printf(words, "%s%s", words->len ? "\n" : "", *line);
    return words->len ? g_string_free(g_steal_pointer(&words), FALSE) : NULL;
}

/* A disk guest's console is in the instance's log; whoever reads it there knows the end. */
static char *console_tail(const DuetVm *vm)
{
    const GByteArray *past = vm->proxy ? duet_guest_proxy_console(vm->proxy) : NULL;
    if (!vm->spec->disk_image)
        return file_tail(vm->console_log);
    return past && past->len ? tail_clean((const char *)past->data, past->len) : NULL;
}

char *duet_vm_console_tail(DuetRuntime *runtime)
{
    const DuetVm *vm = (const DuetVm *)runtime;
    g_autofree char *console = console_tail(vm);
    g_autofree char *emulator = emulator_tail(vm);
    if (!console)
        return emulator ? g_strconcat("(none)\nQEMU's log:\n", emulator, NULL) : NULL;
    return emulator ? g_strconcat(console, "\nQEMU's log:\n", emulator, NULL)
                    : g_steal_pointer(&console);
}
