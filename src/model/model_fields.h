/*
 * model_fields.h - typed, bounded reads of one JSON object.
 *
 * Owns the checks that every field of a configuration needs (there, of the
 * right type, in range) and the words of their messages; what a field means
 * is model_config.c's.  A field that is null counts as absent, because that
 * is how transformers writes "not set".
 */
#ifndef NOODLE_MODEL_FIELDS_H
#define NOODLE_MODEL_FIELDS_H

#include <stdbool.h>

#include "noodle/json.h"
#include "noodle/status.h"

typedef struct ndl_fields {
    const json_t *object; /* borrowed */
    const char *what;     /* names the text in messages */
} ndl_fields;

/* As a fallback: the field must be there. */
enum { NDL_FIELD_REQUIRED = -1 };

/** The value, borrowed from the object; NULL if absent or null. */
const json_t *ndl_fields_get(const ndl_fields *f, const char *name);

/**
 * A whole number from 1 to `max`; 10000.0 and 1e4 are whole too.
 * @param fallback  taken if absent, or NDL_FIELD_REQUIRED.
 */
ndl_status ndl_fields_count(const ndl_fields *f, const char *name, int max,
                            int fallback, int *out);

/** A positive number; the fallback may be NDL_FIELD_REQUIRED. */
ndl_status ndl_fields_real(const ndl_fields *f, const char *name,
                           double fallback, double *out);

ndl_status ndl_fields_bool(const ndl_fields *f, const char *name, bool fallback,
                           bool *out);

/**
 * A text, borrowed from the object.
 * @param fallback  taken if absent; NULL: the field must be there.
 */
ndl_status ndl_fields_text(const ndl_fields *f, const char *name,
                           const char *fallback, const char **out);

/** A token id below `n_ids`; -1 is none.  `v` is a value of field `name`. */
ndl_status ndl_fields_token(const ndl_fields *f, const char *name,
                            const json_t *v, int n_ids, int *out);

#endif /* NOODLE_MODEL_FIELDS_H */
