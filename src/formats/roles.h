/* roles.h - which tensors a model has, and their logical shapes. */
#ifndef NOODLE_FORMATS_ROLES_H
#define NOODLE_FORMATS_ROLES_H

#include <stdbool.h>

#include "noodle/model.h"
#include "noodle/pack.h"

typedef struct ndl_role_shape {
    int rows, cols; /* (N, K); a vector is one row */
    bool vector;
    bool layered; /* one in each block */
} ndl_role_shape;

/** False if a model of this kind has no such tensor; `out` untouched. */
bool ndl_role_shape_of(const ndl_model *m, ndl_role role, ndl_role_shape *out);

#endif /* NOODLE_FORMATS_ROLES_H */
