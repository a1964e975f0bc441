/*
 * stage_head.h - what only the last stage does: logits, their file, sampling.
 * Private to src/run.
 */
#ifndef NDL_STAGE_HEAD_H
#define NDL_STAGE_HEAD_H

#include "noodle/forward.h"
#include "noodle/wire_setup.h"

typedef struct ndl_stage_head ndl_stage_head;

/** @param forward, model, kernels, job  borrowed for the object's life.
 *  @return NDL_OK; NDL_EOS; what npy.h returns. */
ndl_status ndl_stage_head_create(ndl_stage_head **out, ndl_forward *forward,
                                 const ndl_model *model,
                                 const ndl_kernels *kernels,
                                 const ndl_wire_job *job);
void ndl_stage_head_destroy(ndl_stage_head **h);

/**
 * Sample where the table says so and write logits where it says so.
 * @param[in]  b    a valid batch
 * @param[in]  x    its rows after the last block (n_rows, D)
 * @param[out] out  the TOKENS message, room for 64 + 16 * n_seqs bytes
 * @return NDL_OK; NDL_EIO if the logits cannot be written.
 */
ndl_status ndl_stage_head_run(ndl_stage_head *h, ndl_wire_batch *b,
                              const float *x, void *out, size_t *len);

/** The stream has ended: the logits file is complete. */
ndl_status ndl_stage_head_finish(ndl_stage_head *h);

#endif /* NDL_STAGE_HEAD_H */
