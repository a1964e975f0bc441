/*
 * attend.h - the contracts of attention: pages of keys and values, how they are
 * filled, what attention makes of one, how pages are merged.
 *
 * Keys and values of one (layer, kv head) lie in pages of 256 keys.  With
 * hp = hd rounded up to 16, hd even:
 *   f32   K page [16][hd][16]      V page [256][hp]
 *   bf16  K page [16][hd/2][16][2] V page [128][hp][2]
 *   int8  as bf16, a byte a cell, and then 256 f32 scales, one per key:
 *         number = cell * scale
 * Terms and the rules about bits are those of kernels.h, which includes this.
 */
#ifndef NDL_ATTEND_H
#define NDL_ATTEND_H

#include <stdint.h>

enum { NDL_PAGE_KEYS = 256 /* keys of one attention page (chunk) */ };

/* Store the hd numbers x of key number `key` (0..255), or of its value; the
 * lanes of V past hd are written as 0.  bf16 rounds to nearest even.  int8:
 * m = max |x|, a NaN taking no part; inv = 127 / m; cell = x * inv rounded to
 * nearest even and clamped to +-127, a NaN 0; scale = m / 127.  An m that is 0
 * or infinite, or whose inv would be: all 0.  In pages of bf16 and int8 the
 * words that key and key ^ 1 share are read and written whole: not by two
 * threads at once. */
#define NDL_DECL_K_STORE(name, cell)                                           \
    void name(cell *page, int key, const float *x, int hd)
#define NDL_DECL_V_STORE(name, cell)                                           \
    void name(cell *page, int key, const float *x, int hd)

/* The cells of an int8 page as cells of a bf16 page, which is exact, for
 * attend_bf16 with the scales of the page: those of the first n_keys keys in
 * whole panels of 16 (k_widen) or pairs (v_widen); what is past them in `to` is
 * left alone. */
#define NDL_DECL_WIDEN(name)                                                   \
    void name(uint16_t *to, const int8_t *page, int n_keys, int hd)

/* One page of keys for `rows` query rows that share a kv head; row r sees
 * keys 0 .. n_keys[r]-1 of the page, 1 <= n_keys[r] <= 256.
 *   s[r][j] = (sum over d of q[r][d] * k[j][d], one fma chain) * scale
 *             (* kscale[j])
 *   m[r] = max of s[r][j];  p = exp(s - m);  masked keys count 0
 *   l[r] = sum of p in 16 lanes (key mod 16), folded
 *   o[r][i] = sum over visible keys j in order of p'[r][j] * v[j][i] (fma),
 *             i < hp, stride hp;  p' = p (* vscale[j])
 * kscale, vscale: 256 numbers, those past the last visible key may be
 * anything; or NULL: none.  scratch: (rows, 256) floats, 64-byte aligned; o may
 * hold other things until the kernel returns.
 *
 * At level "bf16" attend_bf16 has bits of its own, the same on all processors
 * that have the dot product of pairs:
 *   - q is rounded to bf16; s is one chain over the pairs of d in order,
 *     started from +0, then scaled;
 *   - m, p and l are as above: l sums p before it is rounded;
 *   - for o, p' is rounded to bf16: one chain over the pairs of keys in order,
 *     from +0 to the pair of the row's last key.  Where n_keys is odd that pair
 *     is completed by p' = +0 and v = +0, whatever the page holds.
 * Roundings are to nearest even, denormals count as 0.  So a row does not
 * depend on the tile, on what other rows see, or on keys that it does not:
 * running on with p = 0 would not do, as 0 * v is a NaN for a v that is not
 * finite and turns a sum of -0 into +0. */
#define NDL_DECL_ATTEND(name, cell)                                            \
    void name(float *o, float *m, float *l, const float *const *q,             \
              const cell *kpage, const cell *vpage, const float *kscale,       \
              const float *vscale, const int *n_keys, int rows, int hd,        \
              float scale, float *scratch)

/* Merge the result of a later page (o2, m2, l2) into (o, m, l), stride hp:
 * m and m2 are no denormals, as what is computed never is.
 * n = max(m, m2), a = exp(m - n), b = exp(m2 - n); l = fma(l, a, l2 * b);
 * o = fma(o, a, o2 * b); m = n. */
#define NDL_DECL_ATTEND_MERGE(name)                                            \
    void name(float *o, float *m, float *l, const float *o2, const float *m2,  \
              const float *l2, int rows, int hd)

typedef NDL_DECL_K_STORE((*ndl_store_f32_fn), float);
typedef NDL_DECL_K_STORE((*ndl_store_bf16_fn), uint16_t);
typedef NDL_DECL_K_STORE((*ndl_store_int8_fn), int8_t);
typedef NDL_DECL_WIDEN((*ndl_widen_fn));
typedef NDL_DECL_ATTEND((*ndl_attend_f32_fn), float);
typedef NDL_DECL_ATTEND((*ndl_attend_bf16_fn), uint16_t);
typedef NDL_DECL_ATTEND_MERGE((*ndl_attend_merge_fn));

#endif /* NDL_ATTEND_H */
