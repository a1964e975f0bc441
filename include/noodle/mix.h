/*
 * mix.h - which dtype which matrices of a model have.
 *
 * A small value, passed by value and sent between ranks as it is.  Vectors
 * (norms, biases) are f32 always and no part of it.
 */
#ifndef NOODLE_MIX_H
#define NOODLE_MIX_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/model.h"
#include "noodle/status.h"

/* Matrices that have one dtype. */
typedef enum ndl_group {
    NDL_GROUP_EMBED, /* untied tokens; learned positions are bf16 unless the
                        embedding is f32 */
    NDL_GROUP_HEAD,  /* the head, or the tied embedding */
    NDL_GROUP_QK,
    NDL_GROUP_V,
    NDL_GROUP_OUT,
    NDL_GROUP_UP, /* and gate */
    NDL_GROUP_DOWN,
    NDL_N_GROUPS
} ndl_group;

typedef struct ndl_mix {
    uint8_t of[NDL_N_GROUPS]; /* ndl_dtype */
    uint8_t small;            /* bit g: int8 of group g is in blocks of 32 */
} ndl_mix;

enum { NDL_MIX_TEXT = 96 };

/** All matrices of one dtype, int8 in blocks of 64. */
ndl_mix ndl_mix_plain(ndl_dtype dtype);

/** Numbers that share a scale: 64 or 32 for int8, 32 for int4, else 0. */
int ndl_mix_block(ndl_mix mix, ndl_group g);

/** What `--dtype DTYPE [--keep LIST]` asks for.  int4 alone keeps head and v
 * at int8, int8 alone has head and down in blocks of 32, where it costs little
 * and helps most; with `keep`, only what it names.
 * @param dtype  "f32", "bf16", "int8", "int8:32", "int4"
 * @param keep   "head,v,down=int8": groups by name, and the dtype of those
 *               before it ("=..." absent: int8; "none": keep nothing); or NULL
 * @return NDL_OK; NDL_EUSAGE naming what is not known and what is. */
ndl_status ndl_mix_parse(ndl_mix *out, const char *dtype, const char *keep);

/** The shortest text that ndl_mix_read() takes back: "bf16",
 * "int4,head=int8,v=int8", "int8,head=int8:32". */
void ndl_mix_write(ndl_mix mix, char out[NDL_MIX_TEXT]);

/** @return NDL_OK; NDL_EDATA. */
ndl_status ndl_mix_read(ndl_mix *out, const char *text);

bool ndl_mix_equal(ndl_mix a, ndl_mix b);

/** Does it name dtypes and a block that there are?  Asked of what came from
 * another rank. */
bool ndl_mix_is_valid(ndl_mix mix);

/** Is any matrix in blocks with scales? */
bool ndl_mix_is_quantised(ndl_mix mix);

/** Is v part of one matrix with q and k? */
bool ndl_mix_joins_v(ndl_mix mix);

/** The dtype that the KV cache has unless somebody says otherwise: f32 if all
 * weights are, else bf16. */
ndl_dtype ndl_mix_kv_dtype(ndl_mix mix);

/** "head", "v", ... */
const char *ndl_group_name(ndl_group g);

#endif /* NOODLE_MIX_H */
