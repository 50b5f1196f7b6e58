/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A forked process gets a copy of each page of its parent's heap that it writes to, by a page fault
 * each. The monitor is on the way of every start, and glibc's allocator makes it write all over the
 * heap: what it put off in the parent (joining and sorting free pieces) is made up for by the first
 * large allocation, which would be the monitor's. So the parent does that itself, and the monitor
 * takes its copies all at once.
 */
#include "core/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Larger than all bins of small pieces, smaller than what gets a mapping of its own. */
#define LARGE_BYTES (64u * 1024)
/* A heap beyond this is not copied whole: a monitor touches a fraction of it. */
#define COPY_MAX_BYTES (1024u * 1024)

static char *heap_start;

/* Before the constructors of the libraries, which allocate already. */
static void note_start(void)
{
    heap_start = sbrk(0);
}
__attribute__((section(".preinit_array"), used)) static void (*const note)(void) = note_start;

void duet_heap_prepare(void)
{
    /* Without fast bins nothing is put off to be joined. */
    mallopt(M_MXFAST, 0);
}

void duet_heap_before_fork(void)
{
    /* To find a place for it, what was put off is sorted. */
    void *volatile large = malloc(LARGE_BYTES);
    free(large);
}

void duet_heap_after_fork(void)
{
#ifdef MADV_POPULATE_WRITE /* Linux 5.14 */
    gsize page = (gsize)sysconf(_SC_PAGESIZE);
    gsize start = ((gsize)heap_start + page - 1) / page * page;
    gsize end = (gsize)sbrk(0);
    if (heap_start && end > start && end - start <= COPY_MAX_BYTES)
        madvise((void *)start, end - start, MADV_POPULATE_WRITE);
#endif
}
