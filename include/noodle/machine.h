/*
 * machine.h - what the cores of this process can do, measured: peaks of the
 * arithmetic and read bandwidth.
 */
#ifndef NOODLE_MACHINE_H
#define NOODLE_MACHINE_H

#include <stdint.h>

#include "noodle/pool.h"
#include "noodle/status.h"
#include "noodle/topology.h"

/* Per second, all threads of the pool together; best of several tries. */
typedef struct ndl_machine {
    double f32_flop, bf16_flop, int8_op; /* multiply and add are two */
    double read_bytes; /* from memory, far larger than the caches */
    double core_f32_flop, core_read_bytes; /* one thread alone */
    char isa[64]; /* "avx2 fma avx512f avx512_bf16 avx512_vnni" */
} ndl_machine;

/**
 * Called before each thing that is measured, with the status so far, so that
 * processes that share a node begin it together.  Every process calls it
 * equally often unless it gives an error.
 * @return the status of all; an error ends the measuring.
 */
typedef ndl_status (*ndl_machine_meet_fn)(void *arg, ndl_status mine);

typedef struct ndl_machine_setup {
    ndl_pool *pool;
    uint64_t cache_bytes;     /* of a last-level cache          */
    int n_caches;             /* of those, that its threads use */
    uint64_t memory_bytes;    /* to read from, at most          */
    ndl_machine_meet_fn meet; /* or NULL */
    void *meet_arg;
} ndl_machine_setup;

/** Set cache_bytes and n_caches: the last-level caches under so many threads
 * that lie close together. */
void ndl_machine_count_caches(ndl_machine_setup *setup, const ndl_topology *t,
                              int n_threads);

/**
 * Measure, in about a quarter of a second.  The bf16 and int8 peaks are those
 * of the best instructions that the processor has, whether or not there are
 * kernels for them yet.
 * @return NDL_OK; NDL_EOS (no memory for the bandwidth buffer); what meet gave.
 */
ndl_status ndl_machine_measure(ndl_machine *out,
                               const ndl_machine_setup *setup);

#endif /* NOODLE_MACHINE_H */
