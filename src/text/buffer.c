/* buffer.c - see buffer.h. */
#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "noodle/grow.h"

ndl_status ndl_buffer_reserve(ndl_buffer *b, size_t n)
{
    if (n <= b->cap - b->n) return NDL_OK;
    void *data =
        n > SIZE_MAX - b->n ? NULL : ndl_grow(b->data, &b->cap, b->n + n, 1);
    if (!data)
        return NDL_FAIL(NDL_EOS, "text: %zu more bytes: out of memory", n);
    b->data = data;
    return NDL_OK;
}

ndl_status ndl_buffer_add(ndl_buffer *b, const void *bytes, size_t n)
{
    if (n == 0) return NDL_OK;
    NDL_TRY(ndl_buffer_reserve(b, n));
    memcpy((uint8_t *)b->data + b->n, bytes, n);
    b->n += n;
    return NDL_OK;
}

void ndl_buffer_fini(ndl_buffer *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}
