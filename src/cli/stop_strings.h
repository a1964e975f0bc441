/* stop_strings.h - where a text that grows has to end.  Pure. */
#ifndef NDL_STOP_STRINGS_H
#define NDL_STOP_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Find the stop string that is complete first; of two that end at one place
 * the longer.  It depends on the bytes alone, not on the pieces in which they
 * came.
 * @param text   (n)
 * @param known  of these the first bytes have been looked through before.
 * @param stops  (n_stops), none empty
 * @param[out] at  where it begins.
 */
bool ndl_stop_strings_find(const char *text, size_t n, size_t known,
                           char *const *stops, int n_stops, size_t *at);

#endif /* NDL_STOP_STRINGS_H */
