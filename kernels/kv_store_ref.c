/*
 * kv_store_ref.c - the bits of a stored key or value, and int8 pages widened.
 */
#include "int8_ref.h"
#include "kv_cells.h"
#include "variants.h"

NDL_DECL_K_STORE(ndl_k_store_f32_ref, float)
{
    for (int i = 0; i < hd; i++) page[ndl_key_cell(hd, key, i)] = x[i];
}

NDL_DECL_V_STORE(ndl_v_store_f32_ref, float)
{
    int hp = ndl_lanes_round(hd);
    for (int i = 0; i < hp; i++)
        page[ndl_value_cell(hp, key, i)] = i < hd ? x[i] : 0.0f;
}

NDL_DECL_K_STORE(ndl_k_store_bf16_ref, uint16_t)
{
    for (int i = 0; i < hd; i++)
        page[ndl_key_cell_pairs(hd, key, i)] = ndl_f32_bf16(x[i]);
}

NDL_DECL_V_STORE(ndl_v_store_bf16_ref, uint16_t)
{
    int hp = ndl_lanes_round(hd);
    for (int i = 0; i < hp; i++)
        page[ndl_value_cell_pairs(hp, key, i)] =
            i < hd ? ndl_f32_bf16(x[i]) : 0;
}

/* Returns inv and sets the scale. */
static float inverse_of(const float *x, int n, float *scale)
{
    return ndl_int8_inverse(ndl_int8_largest(x, n), scale);
}

NDL_DECL_K_STORE(ndl_k_store_int8_ref, int8_t)
{
    const float inv = inverse_of(x, hd, ndl_page_scales(page, hd) + key);
    for (int i = 0; i < hd; i++)
        page[ndl_key_cell_pairs(hd, key, i)] = ndl_int8_round(x[i], inv);
}

NDL_DECL_V_STORE(ndl_v_store_int8_ref, int8_t)
{
    const int hp = ndl_lanes_round(hd);
    const float inv = inverse_of(x, hd, ndl_page_scales(page, hp) + key);
    for (int i = 0; i < hp; i++)
        page[ndl_value_cell_pairs(hp, key, i)] =
            i < hd ? ndl_int8_round(x[i], inv) : 0;
}

static void widen(uint16_t *to, const int8_t *cells, size_t n)
{
    for (size_t i = 0; i < n; i++) to[i] = ndl_f32_bf16((float)cells[i]);
}

NDL_DECL_WIDEN(ndl_k_widen_ref)
{
    widen(to, page, ndl_key_cells(hd, n_keys));
}

NDL_DECL_WIDEN(ndl_v_widen_ref)
{
    widen(to, page, ndl_value_cells(ndl_lanes_round(hd), n_keys));
}
