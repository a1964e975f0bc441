/*
 * pack.h - write a weights file from any source of tensors.
 *
 * Knows the layout of weights.h; the source (a checkpoint, a random
 * generator) only gives rows of named roles, so no format is known here.
 */
#ifndef NOODLE_PACK_H
#define NOODLE_PACK_H

#include "noodle/layout.h"
#include "noodle/model.h"
#include "noodle/progress.h"
#include "noodle/status.h"
#include "noodle/store.h"

/* Where a role's tensor comes from. */
typedef struct ndl_origin {
    const char *name;  /* source tensor, borrowed until the next call */
    const char *dtype; /* "F32", "F16", "BF16"                        */
    bool transposed;   /* stored [K][N]                               */
} ndl_origin;

/* A source of tensors.  Layer is 0 for roles outside the blocks. */
typedef struct ndl_source {
    void *arg;
    /** Rows first .. first + n - 1 of the logical (N, K) matrix, widened to
     * f32 (vectors: one row of n elements, first = 0, n = 1). */
    ndl_status (*rows)(void *arg, ndl_role role, int layer, int first, int n,
                       float *dst);
    void (*origin)(void *arg, ndl_role role, int layer, ndl_origin *out);
} ndl_source;

/* What else goes into the root of the file; texts may be NULL. */
typedef struct ndl_pack_meta {
    const char *source;       /* path or shape name               */
    const char *config;       /* JSON text, required              */
    const char *generation;   /* generation_config.json           */
    ndl_progress_fn progress; /* may be NULL */
    void *progress_arg;
} ndl_pack_meta;

/**
 * Write all tensors of `model` into an open store, panel by panel, with their
 * attributes and checksums.  Memory: a few MiB, and of what is
 * quantised at least 16 rows of f32 a thread.  Where matrices behind a norm
 * are quantised, they are asked for twice: a part of the norm's gains may go
 * to them, which leaves their products as they are.
 * The caller has made the store and commits it (so that it can add the
 * tokenizer).  "created" honours SOURCE_DATE_EPOCH.
 * What is quantised, is so by as many threads as there are processors; which
 * one does what changes no bit.
 * @return NDL_OK; what the source returned; NDL_EIO; NDL_EOS.
 */
ndl_status ndl_pack(ndl_store *s, const ndl_model *model, ndl_mix mix,
                    const ndl_source *source, const ndl_pack_meta *meta);

#endif /* NOODLE_PACK_H */
