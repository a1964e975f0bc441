/* requantise.h - a weights file in another dtype. */
#ifndef NOODLE_REQUANTISE_H
#define NOODLE_REQUANTISE_H

#include "noodle/mix.h"
#include "noodle/progress.h"
#include "noodle/status.h"

/**
 * Write the weights of a file in other dtypes: matrices are read as f32 and
 * packed anew, everything else is kept (config, tokenizer, chat template, what
 * is known of the sources).  Memory: as ndl_pack().
 *
 * @param in   f32, bf16 or int8; where int4 is, too much is lost already.
 * @param out  another file than `in`.
 * @return NDL_OK; NDL_EUSAGE (in and out are one file); NDL_ENOINPUT; NDL_EDATA
 *         (not a weights file, damaged, or int4); NDL_ECREATE; NDL_EIO;
 * NDL_EOS; what progress returned.  No partial file is left behind.
 */
ndl_status ndl_requantise(const char *in, const char *out, ndl_mix mix,
                          ndl_progress_fn progress, void *arg);

#endif /* NOODLE_REQUANTISE_H */
