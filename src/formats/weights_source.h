/*
 * weights_source.h - a weights file as a source of tensors: what pack.h wrote
 * is read by role and row again, so that it can be packed in another way.
 */
#ifndef NOODLE_FORMATS_WEIGHTS_SOURCE_H
#define NOODLE_FORMATS_WEIGHTS_SOURCE_H

#include "noodle/mix.h"
#include "noodle/model.h"
#include "noodle/pack.h"
#include "noodle/status.h"
#include "noodle/store.h"

typedef struct ndl_weights_source ndl_weights_source;

/**
 * Open a file and check every dataset of it against its model.
 * @return NDL_OK; NDL_ENOINPUT; NDL_EDATA naming dataset and cause; NDL_EOS.
 */
ndl_status ndl_weights_source_open(ndl_weights_source **out, const char *path);

/** Free; NULL is allowed, *w becomes NULL. */
void ndl_weights_source_close(ndl_weights_source **w);

/** The tensors' rows, widened to f32, and where they came from before they were
 * in the file.  Borrowed until close; for one thread. */
void ndl_weights_source_get(ndl_weights_source *w, ndl_source *out);

/** All borrowed until close. */
ndl_store *ndl_weights_source_store(const ndl_weights_source *w);
const ndl_model *ndl_weights_source_model(const ndl_weights_source *w);
ndl_mix ndl_weights_source_mix(const ndl_weights_source *w);

#endif /* NOODLE_FORMATS_WEIGHTS_SOURCE_H */
