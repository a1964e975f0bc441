/*
 * entry.h - the fields of a JSON object that somebody else wrote, checked one
 * by one; private to src/plan.
 *
 * Every refusal is NDL_EDATA, "FILE: PLACE: FIELD: cause: what is allowed".
 */
#ifndef NDL_ENTRY_H
#define NDL_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/json.h"
#include "noodle/units.h"

/* An object, and how messages call it; all borrowed. */
typedef struct ndl_entry {
    const char *what;  /* the file */
    const char *where; /* "node big", "stage 3"; "": the file as a whole */
    const json_t *object;
} ndl_entry;

/* What a quantity may be. */
typedef struct ndl_quantity {
    ndl_unit unit;
    double min, max;
    const char *allowed; /* "more than 0 and at most 1 EiB, like 64 GiB" */
} ndl_quantity;

/** It must be an object whose fields are all in `known`, a list ended by
 * NULL. */
ndl_status ndl_entry_check(const ndl_entry *f, const char *const *known);

bool ndl_entry_has(const ndl_entry *f, const char *name);

/** Refuse field `name` for a reason: "cause: fix". */
ndl_status ndl_entry_fail(const ndl_entry *f, const char *name,
                          const char *reason);

/* The fields below must be there; `out` is untouched on error. */

/** Printable ASCII, shorter than `cap` bytes. */
ndl_status ndl_entry_text(const ndl_entry *f, const char *name, char *out,
                          size_t cap);
ndl_status ndl_entry_int(const ndl_entry *f, const char *name, int min, int max,
                         int *out);
ndl_status ndl_entry_count(const ndl_entry *f, const char *name, int64_t max,
                           int64_t *out);
ndl_status ndl_entry_real(const ndl_entry *f, const char *name, double min,
                          double max, double *out);
ndl_status ndl_entry_bool(const ndl_entry *f, const char *name, bool *out);

/** A number in the base unit, or a text with a unit. */
ndl_status ndl_entry_quantity(const ndl_entry *f, const char *name,
                              const ndl_quantity *q, double *out);

#endif /* NDL_ENTRY_H */
