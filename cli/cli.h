/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/confine.h>
#include <duet/driver.h>
#include <duet/image.h>
#include <duet/instance.h>
#include <duet/report.h>

G_BEGIN_DECLS

/**
 * DuetCli: what the verbs share.
 * @root: (nullable): `--root`
 * @context: made by duet_cli_context() when a verb needs it
 */
typedef struct {
    char *root;
    DuetContext *context;
} DuetCli;

/**
 * DuetCommand: a row of the one table (commands.c); help, completion and the list in the man page
 * come from it.
 * @name: the verb
 * @arguments: as shown in the usage line
 * @summary: one line, no full stop
 * @run: gets argv[0] = @name; Returns: the exit code
 */
typedef struct {
    const char *name;
    const char *arguments;
    const char *summary;
    int (*run)(DuetCli *cli, int argc, char **argv);
} DuetCommand;

extern const DuetCommand duet_commands[];
extern const DuetCommand duet_image_commands[];
extern const DuetCommand duet_volume_commands[];
extern const DuetCommand duet_bench_commands[];
extern const DuetCommand duet_healthcheck_commands[];
extern const DuetCommand duet_snapshot_commands[];
extern const DuetCommand duet_disk_commands[];
extern const DuetDriverEntry duet_drivers[];

/** duet_command_find: Returns: the row, or NULL after saying so, with the nearest name. */
const DuetCommand *duet_command_find(const DuetCommand *table, const char *what, const char *name);
/** duet_command_row: Returns: (nullable): the row of a command such as "run" or "image ls". */
const DuetCommand *duet_command_row(const char *words);
/** duet_command_below: #DuetCommand.run of a verb with commands of its own. */
int duet_command_below(DuetCli *cli, int argc, char **argv);
/** duet_cli_help: prints all verbs. */
void duet_cli_help(void);
/**
 * duet_help_wrap: Returns: (transfer full): @text with descriptions of options that would end
 * behind the 80th column continued in the next line, below their beginning.
 */
char *duet_help_wrap(const char *text);
/** duet_help_print_below: prints the list of a command's own commands. */
void duet_help_print_below(const DuetCommand *table);

/** duet_cli_context: Returns: (transfer none): the context, swept, or NULL with @error. */
DuetContext *duet_cli_context(DuetCli *cli, GError **error);

/** duet_cli_say: prints "duet: <text>" on standard error, and nothing that a terminal obeys: images
 * and guests may have written it. */
void duet_cli_say(const char *text);
/** DuetCliAct: what a verb does to one instance. */
typedef gboolean (*DuetCliAct)(DuetInstance *instance, gconstpointer data, GError **error);
/**
 * DuetEachFlags:
 * @DUET_EACH_NAMES: the name of each that it was done to is printed
 * @DUET_EACH_MISSING_OK: one that is not there is no failure
 */
typedef enum {
    DUET_EACH_NAMES = 1,
    DUET_EACH_MISSING_OK = 2,
} DuetEachFlags;
/**
 * duet_cli_each: does it to each that is named behind argv[0]. Goes on after a failure and tells
 * each. Returns: the exit code of the last failure, as podman.
 */
int duet_cli_each(
    DuetCli *cli, int argc, char **argv, DuetCliAct act, gconstpointer data, DuetEachFlags flags);

/** duet_cli_fail: prints "duet: <message>". Returns: the exit code that stands for @error. */
int duet_cli_fail(const GError *error);
/** duet_cli_print: Returns: @code, or that of the error if @text could not be written. */
int duet_cli_print(const char *text, int code);
/** duet_cli_usage: prints a usage error. Returns: 125. */
int duet_cli_usage(const char *verb, const char *format, ...) G_GNUC_PRINTF(2, 3);

/**
 * duet_cli_options: parses a verb's options, which may stand before, between and after words that
 * are none.
 * @entries: texts are G_OPTION_ARG_FILENAME: bytes as they come, whatever the locale
 * Returns: %FALSE with @error; prints help and exits on --help.
 */
gboolean duet_cli_options(
    const char *verb, const GOptionEntry *entries, int *argc, char ***argv, GError **error);
/** duet_cli_options_of: the same of a verb below another: "image ls" in usage lines and errors. */
gboolean duet_cli_options_of(const char *group, const char *verb, const GOptionEntry *entries,
    int *argc, char ***argv, GError **error);
/** duet_cli_options_first: duet_cli_options(), but stops at the first word: a command line follows.
 */
gboolean duet_cli_options_first(
    const char *verb, const GOptionEntry *entries, int *argc, char ***argv, GError **error);
/**
 * duet_cli_words: duet_cli_options() for a verb of few words.
 * @out_words: gets the first @room words, out of @argv
 * Returns: how many of these there are (with @room of them there may be more), or -1 with @error.
 */
int duet_cli_words(const char *verb, const GOptionEntry *entries, int argc, char **argv,
    const char **out_words, int room, GError **error);

/** duet_cli_images: Returns: (transfer none): the heavy half of the store. */
const DuetImagesOps *duet_cli_images(GError **error);
/** duet_cli_confine: Returns: (transfer none): names of capabilities, and profiles of system calls.
 */
const DuetConfineOps *duet_cli_confine(GError **error);
/** duet_cli_image: like duet_image_lookup(), refreshing derived files where needed. */
DuetImage *duet_cli_image(DuetCli *cli, const char *ref, GError **error);
/** duet_cli_image_of_files: the same, but a disk is refused: what compares kinds can't use one. */
DuetImage *duet_cli_image_of_files(DuetCli *cli, const char *ref, GError **error);

/**
 * duet_cli_resolve_image: makes the spec of a kind from an image's config: layers, env, working
 * directory, user, stop signal, and the root disk for a VM (made on first use).
 * @command: (nullable): replaces the image's Cmd
 * @entrypoint: (nullable): replaces the image's Entrypoint, and drops its Cmd
 */
DuetSpec *duet_cli_resolve_image(DuetCli *cli, const char *ref, DuetKind kind,
    const char *entrypoint, char **command, GError **error);

/** What a payload is given beside its image and its limits: attribute-options.c. */
typedef struct {
    char **ulimits;
    char **groups;
    char **sysctls;
    char *shm_size;
    char *oom_score_adj;
    char *stop_signal;
    char *stop_timeout;
    char **env_files;
    char **devices;
    char *monotonic;
    char *boottime;
} DuetAttributes;

/** duet_cli_attribute_options: Returns: (transfer container): rows that write into @attributes. */
GArray *duet_cli_attribute_options(DuetAttributes *attributes);
void duet_cli_attributes_clear(DuetAttributes *attributes);
/** duet_cli_attributes_keep: forgets, and does not free, what @kind can't be given. */
void duet_cli_attributes_keep(DuetAttributes *attributes, DuetKind kind);
/** duet_cli_attribute_words: adds them as one would type them. */
void duet_cli_attribute_words(GStrvBuilder *words, const DuetAttributes *attributes);
/** duet_cli_apply_attributes: before `--env`, which goes over a file's variables. */
gboolean duet_cli_apply_attributes(
    DuetSpec *spec, const DuetAttributes *attributes, GError **error);
/** duet_cli_with_env: sets NAME=VALUE in @env (transfer full), or for a NAME the caller's value if
 * there is one. Returns: (transfer full) */
char **duet_cli_with_env(char **env, const char *text);
/** duet_cli_env_file: the same for each line of a file. */
gboolean duet_cli_env_file(char ***env, const char *path, GError **error);

/** What an instance may use, as it was typed; NULL: not given. */
typedef struct {
    char *memory;
    char *memory_swap;
    char *memory_reservation;
    char *cpus;
    char *cpu_shares;
    char *cpu_quota;
    char *cpu_period;
    char *cpuset_cpus;
    char *cpuset_mems;
    char *pids_limit;
    char *blkio_weight;
    char **devices[DUET_IO_KINDS];
    char **hugetlb;
} DuetLimitOptions;

/** duet_cli_limit_options: appends rows that write into @options to @entries. */
void duet_cli_limit_options(DuetLimitOptions *options, GArray *entries);
void duet_cli_limit_options_clear(DuetLimitOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetLimitOptions, duet_cli_limit_options_clear)
/** duet_cli_limit_options_given: Returns: whether there is any. */
gboolean duet_cli_limit_options_given(const DuetLimitOptions *options);
/** duet_cli_limit_words: appends them as words of a command line. */
void duet_cli_limit_words(const DuetLimitOptions *options, GStrvBuilder *words);
/** duet_cli_apply_limits: changes those of @spec that were given, and checks them all. */
gboolean duet_cli_apply_limits(DuetSpec *spec, const DuetLimitOptions *options, GError **error);

/** Options that `run`, `create`, `compare` and `bench` share. */
typedef struct {
    DuetLimitOptions limits;
    char **env;
    char *workdir;
    char *user;
    char *hostname;
    char **volumes;
    char *entrypoint;
    char *network;
    char *accel;
    char *qemu;
    char *kernel;
    char *disk_size;
    char *connect;
    char **cap_add;
    char **cap_drop;
    char **security;
    gboolean readonly;
    char **tmpfs;
    char **mounts;
    DuetAttributes attributes;
} DuetRunOptions;

/**
 * duet_cli_run_options: rows that write into @options.
 * Returns: (transfer container): entries, ended by a row of NULL.
 */
GArray *duet_cli_run_options(DuetRunOptions *options);
void duet_cli_run_options_clear(DuetRunOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetRunOptions, duet_cli_run_options_clear)
/** duet_cli_apply_mounts: `--volume` and `--mount`. */
gboolean duet_cli_apply_mounts(
    DuetCli *cli, DuetSpec *spec, const DuetRunOptions *options, GError **error);
/** duet_cli_add_tmpfs: @text: "DIR[:OPTION,...]" */
gboolean duet_cli_add_tmpfs(DuetSpec *spec, const char *text, GError **error);
/** duet_cli_apply_walls: those that keep an instance in; its volumes are there already. */
gboolean duet_cli_apply_walls(DuetSpec *spec, const DuetRunOptions *options, GError **error);
/** Not given. */
#define DUET_RETRIES_NONE G_MININT64
/** Options of `run` and `create` alone: what the monitor does by itself. */
typedef struct {
    char *restart;
    char *log_driver;
    char **log_options;
    char *health_cmd;
    char *health_interval;
    char *health_timeout;
    char *health_start_period;
    char *health_start_interval;
    char *health_on_failure;
    gint64 health_retries; /* or DUET_RETRIES_NONE */
    gboolean no_health;
} DuetSuperviseOptions;

/** duet_cli_supervise_options: appends rows that write into @options to @entries. */
void duet_cli_supervise_options(DuetSuperviseOptions *options, GArray *entries);
void duet_cli_supervise_options_clear(DuetSuperviseOptions *options);
/** duet_cli_apply_supervise: @spec is whole but for that. */
gboolean duet_cli_apply_supervise(
    DuetSpec *spec, const DuetSuperviseOptions *options, GError **error);
/** duet_cli_apply_health: a part of that: what @spec has of its image is overridden. */
gboolean duet_cli_apply_health(DuetSpec *spec, const DuetSuperviseOptions *options, GError **error);
/** duet_cli_image_health: takes the check of @image. */
void duet_cli_image_health(DuetSpec *spec, const DuetImage *image);
/** duet_cli_lines: Returns: (transfer full): the lines of a file, but for empty ones and those that
 * begin with "#", without blanks before them and "\r" at their end; or NULL with @error. */
char **duet_cli_lines(const char *option, const char *path, gsize most_bytes, GError **error);
/** duet_cli_invalid: Returns: %FALSE, with "'@text' @why". */
gboolean duet_cli_invalid(GError **error, const char *why, const char *text);
/** duet_cli_spec: resolves the image and applies the options. */
DuetSpec *duet_cli_spec(DuetCli *cli, const DuetRunOptions *options, DuetKind kind, const char *ref,
    char **command, GError **error);
/** Options of `run` and `create`: the hardware of a VM. */
typedef struct {
    char *machine;
    char *cpu_model;
    char *vcpus;
    char **disks;
    gboolean rng;
    char *xml_patch;
} DuetMachineOptions;

/** duet_cli_machine_options: appends rows that write into @options to @entries. */
void duet_cli_machine_options(DuetMachineOptions *options, GArray *entries);
void duet_cli_machine_options_clear(DuetMachineOptions *options);
/** duet_cli_apply_machine: after all else but the name, before there is an instance: asks the VM
 * driver whether this host has what was asked for. */
gboolean duet_cli_apply_machine(DuetSpec *spec, const DuetMachineOptions *options, GError **error);
/**
 * duet_cli_check_disk: whether the VM @of may have the further disk @text, as `--disk` has it.
 * Returns: (transfer full): @text with its file resolved, as it is kept
 */
char *duet_cli_check_disk(const DuetSpec *of, const char *text, GError **error);
/** Options of `run` and `create`: what a disk guest is told. */
typedef struct {
    char *firmware;
    char *user_data;
    char *network_config;
    char **ssh_keys;
    char *wait;
    char *graphics;
} DuetDiskOptions;

/** duet_cli_disk_options: appends rows that write into @options to @entries. */
void duet_cli_disk_options(DuetDiskOptions *options, GArray *entries);
void duet_cli_disk_options_clear(DuetDiskOptions *options);
/** duet_cli_apply_disk: refuses them for an image that is no disk, and for one that is a disk what
 * is nothing for it. Before duet_cli_apply_machine(). */
gboolean duet_cli_apply_disk(
    DuetSpec *spec, const DuetDiskOptions *options, const DuetRunOptions *run, GError **error);
/** Options of `run` and `create`: labels. */
typedef struct {
    char **labels;
    char **files;
} DuetLabelOptions;

/** duet_cli_label_options: appends rows that write into @options to an array of GOptionEntry. */
void duet_cli_label_options(GArray *entries, DuetLabelOptions *options);
void duet_cli_label_options_clear(DuetLabelOptions *options);
/** duet_cli_apply_labels: over those that @spec has of its image. */
gboolean duet_cli_apply_labels(DuetSpec *spec, const DuetLabelOptions *options, GError **error);
/** duet_cli_set_label: sets the label KEY or KEY=VALUE in @labels (nullable). */
gboolean duet_cli_set_label(char ***labels, const char *text, GError **error);
/** duet_cli_default_kind: $DUET_AS, else container. */
gboolean duet_cli_kind(const char *wanted, gboolean vm, DuetKind *out_kind, GError **error);

/**
 * DuetTerminalOptions: what can be asked about terminals.
 * @keys, @proxy_signals: by duet_cli_terminal_apply()
 */
typedef struct {
    gboolean tty;
    char *keys_text;
    char *proxy_text;
    DuetKeys keys;
    gboolean proxy_signals;
} DuetTerminalOptions;

typedef enum {
    DUET_TERMINAL_TTY = 1,
    DUET_TERMINAL_KEYS = 2,
    DUET_TERMINAL_PROXY = 4,
} DuetTerminalRows;

/** duet_cli_terminal_rows: adds the rows that a verb has, which write into @options. */
void duet_cli_terminal_rows(DuetTerminalOptions *options, DuetTerminalRows which, GArray *entries);
/** duet_cli_terminal_apply: reads what was given. */
gboolean duet_cli_terminal_apply(DuetTerminalOptions *options, GError **error);
void duet_cli_terminal_clear(DuetTerminalOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetTerminalOptions, duet_cli_terminal_clear)
/** duet_cli_terminal_io: ours. @options must outlive it. */
DuetIo duet_cli_terminal_io(const DuetTerminalOptions *options, gboolean tty, gboolean with_stdin);
/** duet_cli_run_attached: starts it, and stays. Returns: the exit code. */
int duet_cli_run_attached(
    DuetInstance *instance, const DuetTerminalOptions *options, gboolean with_stdin);
/** duet_cli_attach: joins it, and stays. Returns: the exit code. */
int duet_cli_attach(
    DuetInstance *instance, const DuetTerminalOptions *options, gboolean with_stdin);

/**
 * duet_cli_report: makes a report, what goes to standard output included.
 * @open: shows the written page with the desktop's browser
 */
gboolean duet_cli_report(const DuetReportRequest *request, gboolean open, GError **error);

/** duet_info_is_live: Returns: whether a monitor has it. */
gboolean duet_info_is_live(const DuetInfo *info);

/**
 * DuetSelection: instances, and what was known of each: as many of the one as of the other.
 * @instances: (element-type DuetInstance)
 * @infos: (element-type DuetInfo)
 */
typedef struct {
    GPtrArray *instances;
    GPtrArray *infos;
} DuetSelection;
void duet_selection_clear(DuetSelection *selection);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetSelection, duet_selection_clear)

/** DUET_FILTER_ROW: the option, with which a verb fills a list for duet_cli_select(). */
#define DUET_FILTER_ROW(letter, list)                                                              \
    {                                                                                              \
        "filter", letter, 0, G_OPTION_ARG_FILENAME_ARRAY, list,                                    \
            "those that match: id, name, label, status, exited, ancestor, before, since, volume, " \
            "kind",                                                                                \
            "KEY=VALUE"                                                                            \
    }
/**
 * duet_cli_select: those that match, by age.
 * @filters: (nullable): values of `--filter`
 * @all: those that do not run, too; a filter of states means them anyway
 */
gboolean duet_cli_select(
    DuetCli *cli, char *const *filters, gboolean all, DuetSelection *out_selection, GError **error);
/**
 * duet_cli_select_words:
 * @words: the verb, and nothing behind it: an error else
 * Returns: (transfer full): the verb and the names of those that match.
 */
char **duet_cli_select_words(
    DuetCli *cli, char **words, char *const *filters, gboolean all, GError **error);

/** duet_cli_print_json: prints @value (floating is sunk) through json-glib. */
gboolean duet_cli_print_json(GVariant *value, GError **error);
/** duet_cli_format: reads `--format`. */
gboolean duet_cli_format_is_json(const char *format, gboolean *out_json, GError **error);

/** DuetTable: columns as wide as they must be; cells are printed on one line, made printable. */
typedef struct _DuetTable DuetTable;
DuetTable *duet_table_new(const char *const *titles);
/** duet_table_hide_titles: prints none. */
void duet_table_hide_titles(DuetTable *table);
void duet_table_add(DuetTable *table, char **cells /* (transfer full) */);
/** duet_table_print: prints to standard output and frees the table. */
void duet_table_print(DuetTable *table);

/* Verbs: one file each. */
int duet_cmd_run(DuetCli *cli, int argc, char **argv);
int duet_cmd_save(DuetCli *cli, int argc, char **argv);
int duet_cmd_restore(DuetCli *cli, int argc, char **argv);
int duet_cmd_report(DuetCli *cli, int argc, char **argv);
int duet_cmd_create(DuetCli *cli, int argc, char **argv);
int duet_cmd_start(DuetCli *cli, int argc, char **argv);
int duet_cmd_stop(DuetCli *cli, int argc, char **argv);
int duet_cmd_restart(DuetCli *cli, int argc, char **argv);
int duet_cmd_kill(DuetCli *cli, int argc, char **argv);
int duet_cmd_pause(DuetCli *cli, int argc, char **argv);
int duet_cmd_unpause(DuetCli *cli, int argc, char **argv);
int duet_cmd_rm(DuetCli *cli, int argc, char **argv);
int duet_cmd_ps(DuetCli *cli, int argc, char **argv);
int duet_cmd_inspect(DuetCli *cli, int argc, char **argv);
int duet_cmd_logs(DuetCli *cli, int argc, char **argv);
int duet_cmd_attach(DuetCli *cli, int argc, char **argv);
int duet_cmd_view(DuetCli *cli, int argc, char **argv);
int duet_cmd_console(DuetCli *cli, int argc, char **argv);
int duet_cmd_events(DuetCli *cli, int argc, char **argv);
int duet_cmd_exec(DuetCli *cli, int argc, char **argv);
int duet_cmd_cp(DuetCli *cli, int argc, char **argv);
int duet_cmd_clone(DuetCli *cli, int argc, char **argv);
int duet_cmd_healthcheck_run(DuetCli *cli, int argc, char **argv);
int duet_cmd_wait(DuetCli *cli, int argc, char **argv);
int duet_cmd_compare(DuetCli *cli, int argc, char **argv);
int duet_cmd_check(DuetCli *cli, int argc, char **argv);
int duet_cmd_update(DuetCli *cli, int argc, char **argv);
int duet_cmd_rename(DuetCli *cli, int argc, char **argv);
int duet_cmd_help(DuetCli *cli, int argc, char **argv);
int duet_cmd_stats(DuetCli *cli, int argc, char **argv);
int duet_cmd_top(DuetCli *cli, int argc, char **argv);

G_END_DECLS
