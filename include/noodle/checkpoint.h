/* checkpoint.h - from a Hugging Face directory, or from nothing, to weights.h5.
 */
#ifndef NOODLE_CHECKPOINT_H
#define NOODLE_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/progress.h"
#include "noodle/status.h"

/**
 * Import a Hugging Face directory: config.json, model.safetensors or shards
 * with an index, tokenizer.json, generation_config.json if there.
 *
 * @param mix  NULL: as the source (bf16 stays, f32 and f16 become f32).
 * @return NDL_OK; NDL_ENOINPUT (no config.json, no safetensors: names the
 *         fix), NDL_EDATA (hostile or unknown content, by name), NDL_ECREATE,
 *         NDL_EIO.  No partial file is left behind.
 */
ndl_status ndl_checkpoint_import(const char *dir, const char *out,
                                 const ndl_mix *mix, ndl_progress_fn progress,
                                 void *arg);

/**
 * Write random weights of a named shape.
 * @param tokenizer  tokenizer.json to include, or NULL: plain bytes.
 * @param seed       equal seeds give equal files.
 */
ndl_status ndl_checkpoint_synth(const char *shape, const char *out, ndl_mix mix,
                                const char *tokenizer, uint64_t seed,
                                ndl_progress_fn progress, void *arg);

/**
 * Write a weights file back as a Hugging Face directory: config.json,
 * generation_config.json if there was one, tokenizer.json, and
 * model.safetensors, in shards of at most 5 GB with an index.  Tensors have
 * their source's names, order and dtype, to the bit for F32, BF16 and F16
 * (f16 was widened at import; narrowing it again is exact).
 *
 * @param dir  made if it is missing; files in it are replaced atomically.
 * @return NDL_OK; NDL_ENOINPUT, NDL_EDATA, NDL_ECREATE, NDL_EIO.
 */
ndl_status ndl_checkpoint_export(const char *weights, const char *dir,
                                 ndl_progress_fn progress, void *arg);

/** Name of shape i ("gpt2-124m" ...), NULL past the last. */
const char *ndl_checkpoint_shape_name(int i);

/** config.json text of a named shape, or NULL; static. */
const char *ndl_checkpoint_shape_config(const char *name);

#endif /* NOODLE_CHECKPOINT_H */
