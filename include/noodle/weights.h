/*
 * weights.h - the weights file, and the part of it that a stage loads.
 *
 * weights.h5 is the memory image: a stage finds the offset of every matrix
 * with HDF5 and maps the file or copies its part; nothing is repacked.
 *
 *   /                attributes: noodle_format="weights", format_version
 *                    int[2], writer, created, source, arch, dtype
 *                    (mix.h's text: "bf16", "int4,head=int8,v=int8"),
 *                    config (JSON text), generation_config (if there was one)
 *   /tokenizer/...   tokenizer.h
 *   /embed/tokens    tied or quantised: panels; else rows   (V, D)
 *   /embed/positions rows (learned positions only)       (context, D)
 *   /layers/0000/    norm1 norm1_bias qkv qkv_bias out out_bias
 *                    norm2 norm2_bias gate_up|up gate_up_bias|up_bias
 *                    down down_bias; if v has another dtype or block than q
 *                    and k, qk and v instead of qkv (not of qkv_bias)
 *   /head/           norm norm_bias matrix (absent if tied)
 *
 * A matrix (N, K) in panels is [ceil(N/16)][K][16] f32 or
 * [ceil(N/16)][ceil(K/2)][16][2] bf16: a 64-byte line holds 16 output rows by
 * 4 bytes of consecutive k; rows past N and k past K are zero.  Vectors are
 * f32 [n].
 *
 * A quantised matrix is two datasets, by blocks of B consecutive k, with kp = K
 * rounded up to whole blocks and nb = kp / B; kernels.h says what the bytes
 * mean:
 *   NAME        u8  int8 [ceil(N/16)][kp/4][16][4], B = 64 or 32
 *                   int4 [ceil(N/16)][nb][4][16][4], B = 32
 *   NAME_scale  u16, the bits of f16 [ceil(N/16)][nb][16]
 * Where matrices behind norm1 or norm2 are quantised, each channel of the norm
 * and of its bias is divided by a power of two, by which the columns of q, k
 * and v, or gate and up, are multiplied: the products are those of `sources`,
 * the factors are not.
 *
 * Learned positions are f32 if the tokens' group is, else bf16: never
 * quantised.
 *
 * Each dataset has the attributes
 *   layout   "panels" | "rows" | "vector" | "scales"
 *   rows, cols   the logical shape (N, K); of scales that of their matrix
 *   dtype    "f32" | "bf16" | "int8" | "int4"; of scales that of their matrix
 *   block    B (quantised matrices and their scales only)
 *   order    "natural"  panel row r is row r of `sources` joined end to end
 *            "rope16"   each source that is a q or k matrix has the rows of a
 *                       head permuted: panel 2j holds rows 16j..16j+15 of the
 *                       first half, panel 2j+1 the same of the second half
 *            "alternate16"  panels of two sources (gate, up) in turn
 *   sources  JSON list of the source tensors' names
 *   source_dtype  "F32" | "F16" | "BF16"; where they differ, one for each of
 *            `sources`, separated by commas
 *   transposed    1 if the source is stored [K][N] (GPT-2's Conv1D)
 *   xxh3_64  checksum of the dataset's bytes
 */
#ifndef NOODLE_WEIGHTS_H
#define NOODLE_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/load.h"
#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/pool.h"
#include "noodle/progress.h"
#include "noodle/status.h"
#include "noodle/store.h"

enum {
    NDL_WEIGHTS_VERSION_MAJOR = 1, /* a higher one is refused */
    NDL_WEIGHTS_VERSION_MINOR = 1, /* a higher one is tolerated; written: 1
                                      with quantised matrices, else 0 */
    NDL_PANEL = 16
};

/* One matrix in memory: borrowed from the mapping. */
typedef struct ndl_matrix {
    const void *data;       /* panels or rows; 64-byte aligned; NULL: absent */
    const uint16_t *scales; /* f16, of int8 and int4; else NULL */
    int rows, cols;         /* N, K */
    ndl_dtype dtype;
    int block; /* k that share a scale: 64 or 32; else 0 */
    bool panels;
} ndl_matrix;

typedef struct ndl_layer {
    const float *norm1, *norm1_bias; /* (D); bias NULL for RMS            */
    ndl_matrix qkv;                  /* ((H + 2K) * hd, D)                */
    const float *qkv_bias;           /* ((H + 2K) * hd) or NULL, in panel
                                        order like the rows of qkv        */
    ndl_matrix v;   /* (K * hd, D) if v has a dtype of its own: then qkv is
                       ((H + K) * hd, D), and the bias still that of all    */
    ndl_matrix out; /* (D, H * hd): columns in the natural
                       order of v                        */
    const float *out_bias; /* (D) or NULL                       */
    const float *norm2, *norm2_bias;
    ndl_matrix up;        /* GELU: (F, D); SWIGLU: gate and up in alternate
                             panels, rows = 2 * 16 * ceil(F/16)           */
    const float *up_bias; /* as the rows of up, or NULL                   */
    ndl_matrix down;      /* (D, F)                                       */
    const float *down_bias;
} ndl_layer;

typedef struct ndl_weights ndl_weights;

/* Which part of the model a stage hosts. */
typedef struct ndl_part {
    int first_layer, n_layers;
    bool embed, head;
} ndl_part;

/**
 * Check the root of an open weights file and read the model's shape.
 * @return NDL_OK; NDL_EDATA: not a weights file, wrong version, bad config.
 */
ndl_status ndl_weights_read_model(ndl_store *s, ndl_model *model, ndl_mix *mix);

/** Minor version of a file that is written with these dtypes. */
int ndl_weights_minor(ndl_mix mix);

/* How a part gets into memory. */
typedef struct ndl_weights_how {
    ndl_load load;        /* auto: measured (load.h); needs the pool */
    ndl_pool *pool;       /* copies in parallel; NULL: this thread alone */
    uint64_t free_bytes;  /* memory that this rank may take: auto copies only
                             if the part and 5 % fit; 0: not known, and
                             auto maps */
    const char *stage_in; /* folder on this node: copy the part of the file
                             there first and read it from there; or NULL */
    ndl_progress_fn progress; /* bytes done and in all, at most ten times a
                                 second; or NULL */
    void *arg;
} ndl_weights_how;

/**
 * Load the part of a weights file that a stage hosts.
 *
 * Every dataset's shape, dtype, layout, alignment and place in the file are
 * checked against the model before a byte is read.  The pages are made
 * present, so that the first token does not pay for them.  Nothing but the
 * part's datasets and the file's own index is read.
 *
 * @param[out] out  the caller owns it.
 * @param[in]  how  NULL: map, without progress.
 * @return NDL_OK; NDL_ENOINPUT; NDL_EDATA naming dataset and cause; NDL_EOS;
 *         NDL_EUNAVAIL (a copy is asked for and does not fit); NDL_ECREATE,
 *         NDL_EPERM, NDL_EIO (stage-in).
 * Not collective.
 */
ndl_status ndl_weights_open(ndl_weights **out, const char *path,
                            const ndl_part *part, const ndl_weights_how *how);

/** Weights of a shape without a file, for measuring: small finite numbers.
 * @param load  the kind of memory: map or copy. */
ndl_status ndl_weights_blank(ndl_weights **out, const ndl_model *m, ndl_mix mix,
                             const ndl_part *part, ndl_load load);

/** How they were loaded: map or copy. */
ndl_load ndl_weights_load(const ndl_weights *w);
void ndl_weights_destroy(ndl_weights **w);

const ndl_model *ndl_weights_model(const ndl_weights *w);
ndl_mix ndl_weights_mix(const ndl_weights *w);

/** Layer i of the model; asserts that the part has it. */
const ndl_layer *ndl_weights_layer(const ndl_weights *w, int i);

/* Embedding and head; matrices of absent parts have data NULL. */
typedef struct ndl_ends {
    ndl_matrix tokens;    /* (V, D): panels if tied or quantised, else rows */
    ndl_matrix positions; /* (context, D) rows, or NULL        */
    const float *norm, *norm_bias;
    ndl_matrix head; /* (V, D) panels; tied: the same memory as tokens */
} ndl_ends;
const ndl_ends *ndl_weights_ends(const ndl_weights *w);

/** Bytes in the file of a part: what a rank needs for its weights. */
ndl_status ndl_weights_bytes(ndl_store *s, const ndl_part *part,
                             uint64_t *bytes);

/**
 * Read every dataset and compare its checksum; scales must be finite.
 * @param[in] progress  as above.
 * @return NDL_OK; NDL_EDATA naming the first dataset that differs or has a
 *         scale that is infinite or none.
 */
ndl_status ndl_weights_check(const char *path, ndl_progress_fn progress,
                             void *arg);

#endif /* NOODLE_WEIGHTS_H */
