/*
 * hardware.h - what a rank's machine has, and who of a node may use it.
 */
#ifndef NOODLE_HARDWARE_H
#define NOODLE_HARDWARE_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/status.h"

enum { NDL_HARDWARE_CPUS = 1024, NDL_HARDWARE_HOST = 64 };

typedef struct ndl_hardware {
    char host[NDL_HARDWARE_HOST];
    int node;   /* ranks with equal numbers share memory; set by the caller */
    int n_cpus; /* online on the node                                       */
    uint64_t cpus[NDL_HARDWARE_CPUS / 64]; /* this process may run on         */
    uint64_t free_bytes; /* min(MemAvailable, what the cgroup leaves)         */
} ndl_hardware;

/** Read this process's own.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_hardware_read(ndl_hardware *out);

/** Processors in the set. */
int ndl_hardware_n_cpus(const ndl_hardware *h);

/**
 * Threads for every rank: processors that several ranks of a node may use are
 * divided among those that host a stage, at least one each; others get 0.
 *
 * @param[in]  hosts    (n) does rank i host a stage?
 * @param[out] threads  (n)
 * @return true if some processors have more threads than they are.
 */
bool ndl_hardware_threads(const ndl_hardware *all, int n, const bool *hosts,
                          int *threads);

/** Free memory of the node divided by its ranks that host, less 5 %. */
uint64_t ndl_hardware_share(const ndl_hardware *all, int n, const bool *hosts,
                            int rank);

#endif /* NOODLE_HARDWARE_H */
