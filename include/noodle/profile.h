/*
 * profile.h - what was measured of a set of ranks, kept in a file.
 *
 * A profile is made by a probe (probe.h) and holds, for every rank, its
 * samples, and for every pair of ranks the link.  Its signature says what it
 * was measured for; a profile whose signature differs is refused, with what
 * differs.
 *
 *   profile.h5   attributes: noodle_format="profile", format_version, writer,
 *                created, signature (JSON text), took_usec
 *   /ranks       one row a rank        /samples  one row a measurement
 *   /links       one row a pair
 */
#ifndef NOODLE_PROFILE_H
#define NOODLE_PROFILE_H

#include <stdint.h>
#include <stdio.h>

#include "noodle/costmodel.h"
#include "noodle/json.h"
#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/status.h"

enum { NDL_PROFILE_SAMPLES = 64, NDL_PROFILE_HOST = 64 };

/* Of a message of n bytes: latency + n / bandwidth. */
typedef struct ndl_link {
    double latency_sec, bytes_per_sec; /* one way; bandwidth 0: not measured */
    int32_t same_node;
    int32_t reserved;
} ndl_link;

/* What one rank measured; fixed widths, travels as bytes. */
typedef struct ndl_profile_rank {
    char host[NDL_PROFILE_HOST];
    int32_t rank, node;
    int32_t n_threads;     /* 0: hosts no stage, has no samples */
    int32_t load;          /* ndl_load that it would use: map or copy */
    uint64_t memory_bytes; /* its share of the node's free memory */
    double speed;          /* 1; less: emulated */
    double map_bytes_per_sec, copy_bytes_per_sec; /* reads, all its threads */
    int32_t n_samples;
    int32_t reserved;
    ndl_sample samples[NDL_PROFILE_SAMPLES];
} ndl_profile_rank;

typedef struct ndl_profile {
    json_t *signature; /* object of texts; owned */
    double took_sec;   /* the probe */
    int n_ranks;
    ndl_profile_rank *ranks; /* (n_ranks); owned */
    ndl_link *links;         /* (n_ranks, n_ranks): from, to; owned */
} ndl_profile;

/* What a profile is valid for. */
typedef struct ndl_profile_facts {
    const ndl_model *model;
    ndl_mix mix;
    ndl_kv_types kv_types;
    unsigned cpu_flags;  /* that all ranks use */
    const char *kernels; /* name of the kernel set */
    int n_ranks;
    const ndl_profile_rank *ranks; /* host, threads, speed are looked at */
    const char *load;              /* "auto", "map", "copy": as asked for */
} ndl_profile_facts;

/** The signature of facts: program version, hosts in rank order, CPU flags,
 * kernels, shape, dtypes, threads, speeds, load.  NULL: out of memory. */
json_t *ndl_profile_signature(const ndl_profile_facts *facts);

/**
 * @return NDL_OK; NDL_ECONFIG with the names of what differs, what the profile
 *         says and what is true now, and how to measure again.
 */
ndl_status ndl_profile_match(const ndl_profile *p, const json_t *signature,
                             const char *path);

/** @return NDL_OK; NDL_ECREATE, NDL_EIO.  Replaces the file atomically. */
ndl_status ndl_profile_save(const ndl_profile *p, const char *path);

/** Everything is checked: counts, ranges, finite positive times.
 * @return NDL_OK; NDL_ENOINPUT; NDL_EDATA naming the field. */
ndl_status ndl_profile_load(ndl_profile *out, const char *path);
void ndl_profile_fini(ndl_profile *p);

/** A table for people: per rank and kind of layer the times, the fit's error,
 * the links. */
ndl_status ndl_profile_print(const ndl_profile *p, FILE *out);

/** The same as JSON; NULL: out of memory. */
json_t *ndl_profile_json(const ndl_profile *p);

#endif /* NOODLE_PROFILE_H */
