/*
 * topology.h - what a node is made of, as hwloc and the kernel see it.
 */
#ifndef NOODLE_TOPOLOGY_H
#define NOODLE_TOPOLOGY_H

#include <stdint.h>

#include "noodle/status.h"

enum { NDL_TOPOLOGY_TEXT = 64, NDL_TOPOLOGY_NUMA = 64, NDL_TOPOLOGY_GPUS = 16 };

/* Fixed widths and no pointers: it travels as bytes. */
typedef struct ndl_topology {
    char cpu_model[NDL_TOPOLOGY_TEXT];
    int32_t n_packages, n_cores, n_pus;     /* of the node */
    int32_t n_cores_allowed, n_pus_allowed; /* of this process */
    int32_t n_numa, n_numa_allowed;
    int32_t n_gpus;
    uint64_t numa_bytes[NDL_TOPOLOGY_NUMA]; /* (n_numa, at most 64) */
    uint64_t l1d_bytes, l2_bytes, l3_bytes; /* of one; 0: none */
    int32_t l2_sharing, l3_sharing;         /* processors that share one */
    uint64_t memory_bytes;                  /* installed               */
    uint64_t cgroup_bytes;                  /* limit; 0: none          */
    struct {
        char name[NDL_TOPOLOGY_TEXT];
        uint64_t memory_bytes; /* 0: unknown */
    } gpus[NDL_TOPOLOGY_GPUS];
} ndl_topology;

/** Read this node's.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_topology_read(ndl_topology *out);

/** "hwloc 2.9.0", static. */
const char *ndl_topology_library(void);

#endif /* NOODLE_TOPOLOGY_H */
