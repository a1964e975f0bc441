/* buffer.h - an array that grows: text, ids, ends of pieces. */
#ifndef NOODLE_TEXT_BUFFER_H
#define NOODLE_TEXT_BUFFER_H

#include <stddef.h>

#include "noodle/status.h"

typedef struct ndl_buffer {
    void *data;
    size_t n, cap; /* bytes */
} ndl_buffer;

/** Make room for `n` more bytes.  @return NDL_OK; NDL_EOS. */
ndl_status ndl_buffer_reserve(ndl_buffer *b, size_t n);

/** Copy `n` bytes to the end; they do not lie in the buffer itself.
 * @return NDL_OK; NDL_EOS. */
ndl_status ndl_buffer_add(ndl_buffer *b, const void *bytes, size_t n);

void ndl_buffer_fini(ndl_buffer *b);

#endif /* NOODLE_TEXT_BUFFER_H */
