/* huggingface_names.h - what each family calls its tensors. */
#ifndef NOODLE_FORMATS_HUGGINGFACE_NAMES_H
#define NOODLE_FORMATS_HUGGINGFACE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "noodle/pack.h"

/* Where a role lies: its tensor, or one of the equal parts joined in it. */
typedef struct ndl_name_rule {
    ndl_role role;
    const char *name; /* behind prefix and, if layered, block and number */
    int part, n_parts;
    bool transposed; /* stored [K][N] */
} ndl_name_rule;

typedef struct ndl_name_family {
    const char *arch;
    const char *prefix; /* of all but the head; bare checkpoints lack it */
    const char *block;
    const ndl_name_rule *rules;
    size_t n_rules;
    const char *const *ignored; /* suffixes of tensors that carry no weights,
                                   up to NULL */
} ndl_name_family;

enum { NDL_NAME_CAP = 128 }; /* the longest of our own names has 50 */

/**
 * The tensor that a rule speaks of.
 * @param prefix  the family's, or "" for a bare checkpoint.
 * @param layer   of the block; -1 outside the blocks.
 */
void ndl_name_make(char name[NDL_NAME_CAP], const ndl_name_family *family,
                   const ndl_name_rule *rule, const char *prefix, int layer);

/** The table of ndl_model.arch, NULL if there is none; static. */
const ndl_name_family *ndl_name_family_of(const char *arch);

#endif /* NOODLE_FORMATS_HUGGINGFACE_NAMES_H */
