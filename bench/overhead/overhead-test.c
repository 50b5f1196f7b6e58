/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-test.h"

#include <string.h>

#include <duet/error.h>

#include "overhead-parse.h"

/* Words of the tools in no language but theirs, and all of a test on one CPU: a VM has one unless
 * told otherwise, and where two processes take turns it matters whether they share one. */
#define BEGIN                                                                                      \
    "export LC_ALL=C; cpus=$(taskset -cp $$) && cpus=${cpus##* } && "                              \
    "taskset -cp \"${cpus%%[,-]*}\" $$ >/dev/null || exit; "

/* In native instances the loopback is the host's: no port that somebody may have. The server may
 * not listen yet when the client comes; iperf3 then says so in its JSON and exits with 0. */
#define ON_LOOPBACK(server, client)                                                                \
    "port=$((20000 + $$ % 10000)); " server " >/dev/null 2>&1 & "                                  \
    "server=$!; tries=0; until out=$(" client ") && "                                              \
    "case $out in *'\"error\":'*) false ;; esac; do "                                              \
    "tries=$((tries + 1)); [ $tries -lt 100 ] || { printf '%s\\n' \"$out\"; exit 1; }; "           \
    "sleep 0.1; done; kill $server 2>/dev/null; printf '%s\\n' \"$out\""

/* Of a file that is filled first: reads from holes and first writes to them are another matter.
 * Where the file system knows no direct I/O, fio says so in its output. */
#define FIO(rw)                                                                                    \
    "fio='fio --name=duet --filename=/var/tmp/duet-bench.fio --size=64m --overwrite=1 --rw=" rw    \
    " --bs=4k --ioengine=psync --time_based --output-format=json --runtime='$1; "                  \
    "out=$($fio --direct=1 2>/dev/null) || out=$($fio --direct=0) || exit; printf '%s\\n' "        \
    "\"$out\""

/* Larger than the caches of most hosts, and as much as a VM of the usual size has room for: a block
 * that a cache holds would tell the cache's bandwidth. */
#define SYSBENCH_MEMORY(operation)                                                                 \
    "exec sysbench memory --threads=1 --time=$1 --memory-block-size=128M "                         \
    "--memory-total-size=1000T --memory-oper=" operation " run"

/* It tells no rate if all of its time was less than some seconds, and filling its arrays is none of
 * it: how long that takes shows only then. */
#define STREAM                                                                                     \
    "t=$1; [ $t -ge 6 ] || t=6; while "                                                            \
    "out=$(stress-ng --stream 1 --stream-l3-size $2k --timeout ${t}s --metrics-brief --yaml "      \
    "/dev/stdout 2>&1) || { printf '%s\\n' \"$out\"; exit 1; }; case $out in "                     \
    "*memory-read-rate*) false ;; esac && [ $t -lt 48 ]; do t=$((2 * t)); done; "                  \
    "printf '%s\\n' \"$out\"; echo \"cache of the host: $3\""

#define MIB (1 / (1024.0 * 1024))

static const DuetOverheadTest tests[] = {
    {
        .name = "cpu",
        .summary = "sysbench cpu: primes below 10000, one thread",
        .script = BEGIN "exec sysbench cpu --threads=1 --time=$1 --cpu-max-prime=10000 run",
        .parse = duet_parse_sysbench_cpu,
        .values = { { "events_per_s", "1/s", "searches for primes", "events/s", 1, TRUE } },
    },
    {
        .name = "syscall",
        .summary = "dd bs=1 from /dev/zero to /dev/null: a read and a write for each byte",
        .script = BEGIN
        "timeout -s INT $1 env --default-signal=INT "
        "dd if=/dev/zero of=/dev/null bs=1 2>&1; [ $? = 124 ] && dd --version | head -n 1",
        .parse = duet_parse_dd,
        .values = { { "call_ns", "ns", "read or write of a byte", "ns", 1, FALSE } },
    },
    {
        .name = "switch",
        .summary = "stress-ng --switch: two processes, a pipe between them",
        .script = BEGIN "exec stress-ng --switch 1 --switch-method pipe --timeout ${1}s "
                        "--metrics-brief --yaml /dev/stdout",
        .parse = duet_parse_stress_switch,
        .values = { { "switch_ns", "ns", "context switch", "ns", 1, FALSE } },
    },
    {
        .name = "memory-read",
        .summary = "sysbench memory: reads in blocks of 128 MiB",
        .script = BEGIN SYSBENCH_MEMORY("read"),
        .parse = duet_parse_sysbench_memory,
        .values = { { "bytes_per_s", "bytes/s", "reading memory", "MiB/s", MIB, TRUE } },
    },
    {
        .name = "memory-write",
        .summary = "sysbench memory: writes in blocks of 128 MiB",
        .script = BEGIN SYSBENCH_MEMORY("write"),
        .parse = duet_parse_sysbench_memory,
        .values = { { "bytes_per_s", "bytes/s", "writing memory", "MiB/s", MIB, TRUE } },
    },
    {
        .name = "memory-stream",
        .summary = "stress-ng --stream: copy, scale, add and triad over three arrays",
        .script = BEGIN STREAM,
        .sized_by_cache = TRUE,
        .parse = duet_parse_stress_stream,
        .values = { { "bytes_per_s", "bytes/s", "read and written by STREAM's kernels", "MiB/s",
            MIB, TRUE } },
    },
    {
        .name = "disk-read",
        .summary = "fio: random reads of 4 KiB from 64 MiB of the writable layer",
        .script = BEGIN FIO("randread"),
        .parse = duet_parse_fio,
        .values = { { "operations_per_s", "1/s", "random reads of 4 KiB", "IOPS", 1, TRUE },
            { "latency_mean_ns", "ns", "their mean latency", "us", 1e-3, FALSE } },
    },
    {
        .name = "disk-write",
        .summary = "fio: random writes of 4 KiB to 64 MiB of the writable layer",
        .script = BEGIN FIO("randwrite"),
        .parse = duet_parse_fio,
        .values = { { "operations_per_s", "1/s", "random writes of 4 KiB", "IOPS", 1, TRUE },
            { "latency_mean_ns", "ns", "their mean latency", "us", 1e-3, FALSE } },
    },
    {
        .name = "network-loopback",
        .summary = "iperf3: one TCP stream over the instance's loopback",
        .script = BEGIN ON_LOOPBACK(
            "iperf3 -s -1 -B 127.0.0.1 -p $port", "iperf3 -c 127.0.0.1 -p $port -t $1 -J"),
        .parse = duet_parse_iperf,
        .values = { { "bytes_per_s", "bytes/s", "TCP over loopback", "MiB/s", MIB, TRUE } },
    },
    {
        .name = "network-loopback-latency",
        .summary = "sockperf ping-pong: TCP over the instance's loopback",
        .script = BEGIN ON_LOOPBACK("sockperf server --tcp -i 127.0.0.1 -p $port",
            "sockperf ping-pong --tcp -i 127.0.0.1 -p $port -t $1 --full-rtt"),
        .parse = duet_parse_sockperf,
        .values = { { "round_trip_ns", "ns", "request and response, mean", "us", 1e-3, FALSE } },
    },
    {
        .name = "process",
        .summary = "sh: makes a process that executes coreutils' true, and waits for it",
        .script = BEGIN "n=0 stop=; trap stop=1 USR1; { sleep $1; kill -USR1 $$; } & "
                        "from=$(date +%s%N); while :; do /bin/true; n=$((n + 1)); "
                        "[ ! \"$stop\" ] || break; done; to=$(date +%s%N); echo \"programs: $n\"; "
                        "echo \"nanoseconds: $((to - from))\"; /bin/true --version | head -n 1",
        .parse = duet_parse_programs,
        .values = { { "programs_per_s", "1/s", "programs run to their end", "programs/s", 1,
            TRUE } },
    },
    { .name = NULL },
};

const DuetOverheadTest *duet_overhead_tests(void)
{
    return tests;
}

const DuetOverheadTest *duet_overhead_test_find(const char *name)
{
    for (const DuetOverheadTest *test = tests; test->name; test++) {
        if (g_str_equal(test->name, name))
            return test;
    }
    return NULL;
}

/* "disk" names "disk-read". */
static gboolean names(const char *word, const DuetOverheadTest *test)
{
    gsize length = strlen(word);

    return length > 0 && g_str_has_prefix(test->name, word) &&
        (test->name[length] == '\0' || test->name[length] == '-');
}

static gboolean is_known(const char *word)
{
    for (const DuetOverheadTest *test = tests; test->name; test++) {
        if (names(word, test))
            return TRUE;
    }
    return FALSE;
}

static gboolean is_chosen(char **words, const DuetOverheadTest *test)
{
    for (char **word = words; word && *word; word++) {
        if (names(*word, test))
            return TRUE;
    }
    return !words;
}

GPtrArray *duet_overhead_tests_choose(const char *list, GError **error)
{
    g_auto(GStrv) words = list ? g_strsplit(list, ",", -1) : NULL;
    g_autoptr(GPtrArray) chosen = g_ptr_array_new();

    for (char **word = words; word && *word; word++) {
        if (is_known(g_strstrip(*word)))
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no test: choose from cpu, syscall, switch, memory, disk, network and process",
            *word);
        return NULL;
    }
    for (const DuetOverheadTest *test = tests; test->name; test++) {
        if (is_chosen(words, test))
            g_ptr_array_add(chosen, (gpointer)test);
    }
    if (chosen->len > 0)
        return g_steal_pointer(&chosen);
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--tests names none: choose from cpu, syscall, switch, memory, disk, network and process");
    return NULL;
}

char **duet_overhead_test_argv(
    const DuetOverheadTest *test, guint duration_s, guint64 stream_bytes, guint64 cache_bytes)
{
    char **argv = g_new0(char *, 8);

    argv[0] = g_strdup("sh");
    argv[1] = g_strdup("-c");
    argv[2] = g_strdup(test->script);
    argv[3] = g_strdup("sh");
    argv[4] = g_strdup_printf("%u", duration_s);
    if (test->sized_by_cache) {
        argv[5] = g_strdup_printf("%" G_GUINT64_FORMAT, stream_bytes / 1024);
        argv[6] = cache_bytes > 0 ? g_strdup_printf("%" G_GUINT64_FORMAT "K", cache_bytes / 1024)
                                  : g_strdup("unknown");
    }
    return argv;
}
