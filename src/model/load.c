/*
 * load.c - see load.h: the two kinds of memory, and which reads faster.
 */
#define _GNU_SOURCE
#include "noodle/load.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "noodle/clock.h"
#include "room.h"

static const char *const names[] = { "auto", "map", "copy" };

const char *ndl_load_name(ndl_load l)
{
    return names[l];
}

bool ndl_load_parse(const char *name, ndl_load *out)
{
    for (int i = NDL_LOAD_AUTO; i <= NDL_LOAD_COPY; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (ndl_load)i;
            return true;
        }
    return false;
}

/* Pages of a file in memory, in the shared mapping that a weights file gets
 * too: the same page size, the same way through the page tables.  Anonymous
 * memory would not do, since the system may give it huge pages by itself. */
static ndl_status take_file_pages(ndl_load_memory *out, size_t bytes)
{
    const int fd = memfd_create("weights", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0) {
        const int err = errno;
        if (fd >= 0) close(fd);
        return NDL_FAIL(NDL_EOS,
                        "weights: no file in memory of %zu bytes: %s: raise "
                        "the limit (ulimit)",
                        bytes, strerror(err));
    }
    const ndl_room_fill fill = { .fd = fd, .writable = true };
    const ndl_status st = ndl_room_take(out, bytes, &fill);
    close(fd);
    /* Where the system gives even such files huge pages, it shall not. */
    if (st == NDL_OK) madvise(out->at, bytes, MADV_NOHUGEPAGE);
    return st;
}

ndl_status ndl_load_memory_take(ndl_load_memory *out, size_t bytes,
                                ndl_load kind)
{
    NDL_ASSERT(kind == NDL_LOAD_MAP || kind == NDL_LOAD_COPY);
    if (bytes > INT64_MAX / 2)
        return NDL_FAIL(NDL_EOS,
                        "weights: %zu bytes are more than there can "
                        "be: check the model",
                        bytes);
    if (kind == NDL_LOAD_MAP && bytes > 0) return take_file_pages(out, bytes);
    NDL_TRY(ndl_room_take(out, bytes,
                          &(ndl_room_fill){ .fd = -1, .writable = true }));
    if (bytes > 0) madvise(out->at, bytes, MADV_HUGEPAGE);
    return NDL_OK;
}

void ndl_load_memory_free(ndl_load_memory *m)
{
    if (m->room) munmap(m->room, m->room_bytes);
    *m = (ndl_load_memory){ 0 };
}

/* Each kind is read in turns, and the best turn counts: the others were
 * disturbed.  Tasks are small enough for the threads to end together. */
enum {
    MEASURED_BYTES = NDL_LOAD_MEASURE_BYTES / 2,
    TASK_BYTES = 1 << 20,
    TURNS = 4
};

typedef struct reading {
    const ndl_load_memory *memory;
    /* Volatile, or a compiler may leave the reading out. */
    volatile uint64_t sums[MEASURED_BYTES / TASK_BYTES];
} reading;

static void read_task(void *arg, int task, int thread)
{
    reading *r = arg;
    const uint64_t *p = (const uint64_t *)r->memory->at +
                        (size_t)task * (TASK_BYTES / sizeof *p);
    uint64_t sum = 0;
    (void)thread;
    for (size_t i = 0; i < TASK_BYTES / sizeof *p; i++) sum += p[i];
    r->sums[task] = sum;
}

static void fill_task(void *arg, int task, int thread)
{
    const reading *r = arg;
    (void)thread;
    memset((uint8_t *)r->memory->at + (size_t)task * TASK_BYTES, task + 1,
           TASK_BYTES);
}

static void run_tasks(ndl_pool *pool, ndl_pool_fn fn, reading *r)
{
    const int n = MEASURED_BYTES / TASK_BYTES;
    if (pool) {
        ndl_pool_run(pool, n, fn, r);
        return;
    }
    for (int i = 0; i < n; i++) fn(r, i, 0);
}

/* Bytes a second of one turn, if that is better than `best`. */
static double read_turn(ndl_pool *pool, reading *r, double best)
{
    const double begin = ndl_clock_sec();
    run_tasks(pool, read_task, r);
    const double sec = ndl_clock_sec() - begin;
    const double found = MEASURED_BYTES / (sec > 1e-9 ? sec : 1e-9);
    return found > best ? found : best;
}

ndl_status ndl_load_measure(ndl_load_facts *out, ndl_pool *pool)
{
    ndl_load_memory map = { 0 }, copy = { 0 };
    ndl_load_facts facts = { 0 };
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st,
                 ndl_load_memory_take(&map, MEASURED_BYTES, NDL_LOAD_MAP));
    NDL_TRY_GOTO(done, st,
                 ndl_load_memory_take(&copy, MEASURED_BYTES, NDL_LOAD_COPY));
    reading from_map = { .memory = &map }, from_copy = { .memory = &copy };
    run_tasks(pool, fill_task, &from_map);
    run_tasks(pool, fill_task, &from_copy);
    for (int i = 0; i < TURNS; i++) {
        facts.map_bytes_per_sec =
            read_turn(pool, &from_map, facts.map_bytes_per_sec);
        facts.copy_bytes_per_sec =
            read_turn(pool, &from_copy, facts.copy_bytes_per_sec);
    }
    *out = facts;
done:
    ndl_load_memory_free(&copy);
    ndl_load_memory_free(&map);
    return st;
}

ndl_load ndl_load_choose(const ndl_load_facts *f)
{
    const double gain = f->copy_bytes_per_sec / f->map_bytes_per_sec;
    return gain >= 1.05 ? NDL_LOAD_COPY : NDL_LOAD_MAP; /* NaN: map */
}
