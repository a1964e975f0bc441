/* present.h - bring mapped pages into memory before they are needed. */
#ifndef NOODLE_MODEL_PRESENT_H
#define NOODLE_MODEL_PRESENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "noodle/progress.h"
#include "noodle/status.h"

/* Bytes of a file, and where they are mapped. */
typedef struct ndl_present_range {
    const char *path; /* names the file in messages */
    int fd;
    uint64_t offset;
    const uint8_t *bytes;
    size_t n;
} ndl_present_range;

/**
 * Make the pages of a range present, and no others.
 * @param progress  counts the bytes.
 * @return NDL_OK; NDL_EIO if the file cannot be read.  Blocking.
 */
ndl_status ndl_present(const ndl_present_range *r, ndl_progress *progress);

/** Tell the system that neighbours of a mapping's pages are not wanted:
 * before pages are made present; and that they may be, afterwards. */
void ndl_present_alone(void *mapping, size_t n, bool alone);

#endif /* NOODLE_MODEL_PRESENT_H */
