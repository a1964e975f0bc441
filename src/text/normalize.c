/* normalize.c - the normalizers: NFC, a text in front, texts replaced. */
#define _GNU_SOURCE /* memmem */
#include "normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "utf8.h"
#include "vocab.h"

/* Sorting combining marks is quadratic in their number.  No script has words
 * with this many on one letter. */
enum { MAX_MARKS = 1024 };

static bool is_ascii(const uint8_t *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 0x80) return false;
    return true;
}

static ndl_status check_marks(const uint8_t *s, size_t n)
{
    int in_a_row = 0;
    for (size_t at = 0; at < n;) {
        uint32_t cp = 0;
        const int len = ndl_utf8_decode(s + at, n - at, &cp);
        NDL_ASSERT(len > 0);
        const utf8proc_property_t *p =
            utf8proc_get_property((utf8proc_int32_t)cp);
        in_a_row = p->combining_class ? in_a_row + 1 : 0;
        if (in_a_row > MAX_MARKS)
            return NDL_FAIL(NDL_EDATA,
                            "text: more than %d combining marks in a row",
                            MAX_MARKS);
        at += (size_t)len;
    }
    return NDL_OK;
}

static ndl_status compose(const uint8_t *s, size_t n, ndl_buffer *out)
{
    utf8proc_uint8_t *composed = NULL;
    if (is_ascii(s, n)) return ndl_buffer_add(out, s, n);
    NDL_TRY(check_marks(s, n));
    const utf8proc_ssize_t len = utf8proc_map(
        s, (utf8proc_ssize_t)n, &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (len < 0)
        return NDL_FAIL(NDL_EOS, "text: NFC of %zu bytes: %s", n,
                        utf8proc_errmsg(len));
    const ndl_status st = ndl_buffer_add(out, composed, (size_t)len);
    free(composed);
    return st;
}

/* Several replacements in a row could blow a text up without end. */
static ndl_status check_growth(const ndl_buffer *out, size_t n)
{
    if (out->n / 64 <= n + 64) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "text: the normalizer makes %zu bytes of %zu: check it in "
                    "tokenizer.json",
                    out->n, n);
}

static ndl_status replace(const ndl_normalizer *z, const uint8_t *s, size_t n,
                          ndl_buffer *out)
{
    const size_t from = strlen(z->from), to = strlen(z->to);
    const uint8_t *end = s + n;
    while (s < end) {
        const uint8_t *hit = memmem(s, (size_t)(end - s), z->from, from);
        NDL_TRY(ndl_buffer_add(out, s, (size_t)((hit ? hit : end) - s)));
        if (!hit) break;
        NDL_TRY(ndl_buffer_add(out, z->to, to));
        s = hit + from;
    }
    return NDL_OK;
}

static ndl_status apply(const ndl_normalizer *z, const uint8_t *s, size_t n,
                        ndl_buffer *out)
{
    switch (z->kind) {
    case NDL_NORMALIZER_NFC: return compose(s, n, out);
    case NDL_NORMALIZER_PREPEND:
        if (n > 0) NDL_TRY(ndl_buffer_add(out, z->to, strlen(z->to)));
        return ndl_buffer_add(out, s, n);
    case NDL_NORMALIZER_REPLACE: return replace(z, s, n, out);
    }
    return NDL_OK;
}

ndl_status ndl_normalize(const ndl_tokenizer *t, const uint8_t *s, size_t n,
                         ndl_buffer *out)
{
    ndl_buffer now = { 0 }, next = { 0 };
    ndl_status st;
    NDL_TRY_GOTO(done, st, ndl_buffer_add(&now, s, n));
    for (int i = 0; i < t->n_normalizers; i++) {
        next.n = 0;
        NDL_TRY_GOTO(done, st,
                     apply(&t->normalizers[i], now.data, now.n, &next));
        NDL_TRY_GOTO(done, st, check_growth(&next, n));
        const ndl_buffer swap = now;
        now = next;
        next = swap;
    }
    st = ndl_buffer_add(out, now.data, now.n);
done:
    ndl_buffer_fini(&now);
    ndl_buffer_fini(&next);
    return st;
}
