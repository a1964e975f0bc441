/* shares.h - how work is cut into even parts. */
#ifndef NDL_SHARES_H
#define NDL_SHARES_H

#include <stdint.h>

/* Where part i of n begins when `total` things are shared evenly. */
static inline int ndl_even_begin(int total, int n, int i)
{
    return (int)((int64_t)total * i / n);
}

/* Parts of at most `most` that total makes; none of nothing. */
static inline int ndl_parts(int total, int most)
{
    return (total + most - 1) / most;
}

static inline int ndl_smaller(int a, int b)
{
    return a < b ? a : b;
}

/* As ndl_even_begin, but parts are whole groups of `size`: tiles of rows, of
 * which only the last may then be smaller. */
static inline int ndl_even_groups_begin(int total, int size, int n, int i)
{
    const int groups = ndl_parts(total, size);
    return ndl_smaller(ndl_even_begin(groups, n, i) * size, total);
}

#endif /* NDL_SHARES_H */
