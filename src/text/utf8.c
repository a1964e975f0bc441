/* utf8.c - see utf8.h. */
#include "utf8.h"

#include <utf8proc.h>

/* Length that a lead byte promises, 0 if it is none, and the range of the
 * second byte, which is where overlong forms, surrogates and numbers past
 * U+10FFFF show. */
static int lead(uint8_t b, uint8_t *lo, uint8_t *hi)
{
    *lo = 0x80;
    *hi = 0xbf;
    if (b < 0x80) return 1;
    if (b < 0xc2 || b > 0xf4) return 0;
    if (b < 0xe0) return 2;
    if (b == 0xe0) *lo = 0xa0;
    if (b == 0xed) *hi = 0x9f;
    if (b < 0xf0) return 3;
    if (b == 0xf0) *lo = 0x90;
    if (b == 0xf4) *hi = 0x8f;
    return 4;
}

int ndl_utf8_decode(const uint8_t *s, size_t n, uint32_t *cp)
{
    uint8_t lo, hi;
    if (n == 0) return 0;
    const int len = lead(s[0], &lo, &hi);
    if (len == 0) return -1;
    uint32_t v = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        if ((size_t)i >= n) return 0;
        if (s[i] < lo || s[i] > hi) return -i;
        v = v << 6 | (s[i] & 0x3f);
        lo = 0x80;
        hi = 0xbf;
    }
    if (cp) *cp = v;
    return len;
}

size_t ndl_utf8_check(const uint8_t *s, size_t n)
{
    size_t at = 0;
    while (at < n) {
        const int len = ndl_utf8_decode(s + at, n - at, NULL);
        if (len <= 0) break;
        at += (size_t)len;
    }
    return at;
}

int ndl_utf8_encode(uint32_t cp, uint8_t out[4])
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    const int len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (int i = len - 1; i > 0; i--, cp >>= 6)
        out[i] = (uint8_t)(0x80 | (cp & 0x3f));
    out[0] = (uint8_t)(0xf00u >> len | cp);
    return len;
}

int ndl_utf8_last(const uint8_t *s, size_t n, uint32_t *cp)
{
    size_t len = 1;
    while (len < n && len < 4 && (s[n - len] & 0xc0) == 0x80) len++;
    return ndl_utf8_decode(s + n - len, len, cp);
}

bool ndl_utf8_is_space(uint32_t cp)
{
    if (cp < 0x80) return cp == ' ' || (cp >= '\t' && cp <= '\r');
    if (cp == 0x85) return true;
    const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL ||
           c == UTF8PROC_CATEGORY_ZP;
}

bool ndl_utf8_is_word(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return cp == 0x200c || cp == 0x200d; /* the joiners */
    }
}
