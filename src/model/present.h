/* present.h - bring mapped pages into memory before they are needed. */
#ifndef NOODLE_MODEL_PRESENT_H
#define NOODLE_MODEL_PRESENT_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/progress.h"
#include "noodle/status.h"

/**
 * Make the pages of `n` mapped bytes present, and no others.
 * @param path      names the file in messages.
 * @param progress  counts the bytes.
 * @return NDL_OK; NDL_EIO if the file cannot be read.  Blocking.
 */
ndl_status ndl_present(const uint8_t *bytes, size_t n, const char *path,
                       ndl_progress *progress);

#endif /* NOODLE_MODEL_PRESENT_H */
