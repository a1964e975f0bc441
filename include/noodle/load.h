/*
 * load.h - how weights get into memory, and the memory itself.
 *
 *   map    the file's pages as they are: nothing is copied, ranks of a node
 *          share them; small pages
 *   copy   read into huge pages of this process: faster to read afterwards
 *          (fewer TLB misses), and independent of the file system
 *   auto   whichever reads faster here, by measuring; copy only if it gains
 *          5 % or more
 */
#ifndef NOODLE_LOAD_H
#define NOODLE_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "noodle/pool.h"
#include "noodle/status.h"

typedef enum ndl_load { NDL_LOAD_AUTO, NDL_LOAD_MAP, NDL_LOAD_COPY } ndl_load;

/** "auto", "map", "copy". */
const char *ndl_load_name(ndl_load l);
bool ndl_load_parse(const char *name, ndl_load *out);

/* Read bandwidth of both kinds of memory, all threads of the pool. */
typedef struct ndl_load_facts {
    double map_bytes_per_sec, copy_bytes_per_sec;
} ndl_load_facts;

enum { NDL_LOAD_MEASURE_BYTES = 128 << 20 }; /* that measuring takes */

/** Measure both, in some 50 ms, with 64 MiB each.
 * @param pool  NULL: this thread alone.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_load_measure(ndl_load_facts *out, ndl_pool *pool);

/** What auto means, given facts. */
ndl_load ndl_load_choose(const ndl_load_facts *f);

/* Memory of either kind, zeroed; of pages like those of a mapped file, or
 * huge ones where the system gives them. */
typedef struct ndl_load_memory {
    void *at; /* 2 MiB-aligned */
    size_t bytes;
    void *room; /* what to give back */
    size_t room_bytes;
} ndl_load_memory;

ndl_status ndl_load_memory_take(ndl_load_memory *out, size_t bytes,
                                ndl_load kind);
void ndl_load_memory_free(ndl_load_memory *m);

#endif /* NOODLE_LOAD_H */
