/* stage_in_ranges.h - which bytes of a weights file a part needs. */
#ifndef NDL_MODEL_STAGE_IN_RANGES_H
#define NDL_MODEL_STAGE_IN_RANGES_H

#include "noodle/weights.h"
#include "pieces.h"

/* Ranges in order, none touching the next. */
typedef struct ndl_ranges {
    ndl_range *at;
    int n;
    uint64_t bytes; /* in all */
} ndl_ranges;

/**
 * All of a weights file but the datasets that the part does not have.
 * @param file_bytes  its size.
 * @param[out] out    the caller frees `at`.
 * @return NDL_OK; as ndl_store_open and ndl_layout_list.
 */
ndl_status ndl_stage_in_ranges(ndl_ranges *out, const char *path,
                               const ndl_part *part, uint64_t file_bytes);

#endif /* NDL_MODEL_STAGE_IN_RANGES_H */
