/* assemble.h - the last steps that import and synth share: a weights file
 * from a source of tensors and a tokenizer. */
#ifndef NOODLE_FORMATS_ASSEMBLE_H
#define NOODLE_FORMATS_ASSEMBLE_H

#include "noodle/model.h"
#include "noodle/pack.h"
#include "noodle/status.h"
#include "noodle/tokenizer.h"

/* Everything is borrowed for the call. */
typedef struct ndl_assembly {
    const ndl_model *model;
    ndl_mix mix;
    const ndl_source *source;
    const ndl_pack_meta *meta;
    const ndl_tokenizer *tokenizer;
    const char *chat_template; /* NULL: none */
} ndl_assembly;

/** Write a weights file whole, or leave nothing behind.
 * @return NDL_OK; what source or store return. */
ndl_status ndl_assemble(const char *out, const ndl_assembly *a);

/**
 * Read a tokenizer.json that must fit a vocabulary.
 * @param vocab  ids of the model; a tokenizer with more is NDL_EDATA.
 */
ndl_status ndl_assemble_tokenizer(ndl_tokenizer **out, const char *path,
                                  int vocab);

#endif /* NOODLE_FORMATS_ASSEMBLE_H */
