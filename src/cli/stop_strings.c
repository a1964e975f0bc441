/* stop_strings.c - see stop_strings.h. */
#define _GNU_SOURCE
#include "stop_strings.h"

#include <string.h>

bool ndl_stop_strings_find(const char *text, size_t n, size_t known,
                           char *const *stops, int n_stops, size_t *at)
{
    size_t first_end = n + 1, begin = 0;
    for (int i = 0; i < n_stops; i++) {
        const size_t len = strlen(stops[i]);
        /* It may have begun in what is known, but not ended there. */
        const size_t from = known >= len ? known - len + 1 : 0;
        const char *hit = memmem(text + from, n - from, stops[i], len);
        if (!hit) continue;
        const size_t its_begin = (size_t)(hit - text);
        const size_t its_end = its_begin + len;
        if (its_end > first_end || (its_end == first_end && its_begin > begin))
            continue;
        first_end = its_end;
        begin = its_begin;
    }
    if (first_end > n) return false;
    *at = begin;
    return true;
}
