/*
 * huggingface.h - the tensors of a Hugging Face checkpoint by role.
 *
 * Knows the names and the transposed layouts of each family; the container is
 * safetensors.h's.
 */
#ifndef NOODLE_FORMATS_HUGGINGFACE_H
#define NOODLE_FORMATS_HUGGINGFACE_H

#include "noodle/model.h"
#include "noodle/pack.h"
#include "noodle/status.h"

typedef struct ndl_huggingface ndl_huggingface;

/**
 * Open a directory's tensors and compare them with what the model needs:
 * every one there, of the exact shape and a dtype that we read, and no other.
 *
 * @param model  copied.
 * @return NDL_OK; NDL_ENOINPUT; NDL_EDATA naming the tensor; NDL_EIO; NDL_EOS.
 */
ndl_status ndl_huggingface_open(ndl_huggingface **out, const char *dir,
                                const ndl_model *model);
void ndl_huggingface_close(ndl_huggingface **h);

/** A source of the tensors, valid until close.  Memory: one transposed tensor
 * at a time, in the file's dtype; others are read by ranges. */
void ndl_huggingface_source(ndl_huggingface *h, ndl_source *out);

/** BF16 if every matrix is, else F32: the dtype that loses nothing. */
ndl_dtype ndl_huggingface_dtype(const ndl_huggingface *h);

#endif /* NOODLE_FORMATS_HUGGINGFACE_H */
