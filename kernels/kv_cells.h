/* kv_cells.h - where a number of a key or value lies in its page (attend.h). */
#ifndef NDL_KV_CELLS_H
#define NDL_KV_CELLS_H

#include "lanes.h"

/* f32 */
static inline size_t ndl_key_cell(int hd, int j, int i)
{
    return ((size_t)(j / NDL_LANES) * hd + i) * NDL_LANES + j % NDL_LANES;
}

/* bf16, int8 */
static inline size_t ndl_key_cell_pairs(int hd, int j, int i)
{
    size_t pair = (size_t)(j / NDL_LANES) * (hd / 2) + i / 2;
    return (pair * NDL_LANES + j % NDL_LANES) * 2 + i % 2;
}

static inline size_t ndl_value_cell(int hp, int j, int i)
{
    return (size_t)j * hp + i;
}

static inline size_t ndl_value_cell_pairs(int hp, int j, int i)
{
    return ((size_t)(j / 2) * hp + i) * 2 + j % 2;
}

/* The scales behind the cells of an int8 page: width is hd, of V hp. */
static inline float *ndl_page_scales(int8_t *page, int width)
{
    return (float *)(void *)(page + (size_t)NDL_PAGE_KEYS * width);
}

/* Of a bf16 or int8 page: the whole panels that hold n keys, and the whole
 * pairs that hold n values, each in one piece from the start of the page. */
static inline size_t ndl_key_cells(int hd, int n)
{
    return (size_t)ndl_lanes_round(n) * hd;
}

static inline size_t ndl_value_cells(int hp, int n)
{
    return (size_t)(n + n % 2) * hp;
}

#endif /* NDL_KV_CELLS_H */
