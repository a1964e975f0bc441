/* weights_blank.c - weights that come from no file, to measure layers with. */
#include <stdlib.h>
#include <string.h>

#include "weights_parts.h"

enum { PATTERN_BYTES = 64 << 10 };

/* What the bytes of an item are. */
typedef enum content { FLOATS, QUANTS, SCALES_INT8, SCALES_INT4 } content;

static content content_of(const ndl_item *it)
{
    if (it->block == 0) return FLOATS;
    if (it->layout != NDL_LAYOUT_SCALES) return QUANTS;
    return it->dtype == NDL_INT8 ? SCALES_INT8 : SCALES_INT4;
}

/* Floats: two bf16 numbers a word, each of which and the word as f32 are
 * normal, with 2^-6 <= |x| < 2^-5: whatever the type and the alignment, sums
 * stay finite. The signs vary, so that sums stay small.  Scales are positive
 * f16, such that the largest quants become numbers of twice that size; no quant
 * is 0, which int8 does not know. */
static uint32_t word_of(content what, uint32_t any)
{
    const uint32_t exponent = 121;         /* 2^(121 - 127) */
    const uint32_t small = 3, smaller = 7; /* 2^(3 - 15), 2^(7 - 15) */
    switch (what) {
    case QUANTS: return any | 0x01010101u;
    case SCALES_INT8: return (any & 0x03ff03ffu) | small << 10 | small << 26;
    case SCALES_INT4:
        return (any & 0x03ff03ffu) | smaller << 10 | smaller << 26;
    default: return (any & 0x807f807fu) | exponent << 7 | exponent << 23;
    }
}

static void make_pattern(content what, uint32_t *words, size_t n)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u; /* Numerical Recipes' LCG */
        words[i] = word_of(what, state >> 16 | state << 16);
    }
}

static void fill(content what, uint8_t *at, size_t bytes)
{
    uint32_t words[PATTERN_BYTES / sizeof(uint32_t)];
    const size_t most = sizeof words / sizeof *words;
    const size_t n = bytes / sizeof *words + 1;
    make_pattern(what, words, n < most ? n : most);
    for (size_t done = 0; done < bytes; done += PATTERN_BYTES) {
        const size_t left = bytes - done;
        memcpy(at + done, words, left < PATTERN_BYTES ? left : PATTERN_BYTES);
    }
}

ndl_status ndl_weights_blank(ndl_weights **out, const ndl_model *m, ndl_mix mix,
                             const ndl_part *part, ndl_load load)
{
    ndl_item *items = NULL;
    uint64_t *places = NULL;
    int n = 0;
    ndl_status st = NDL_OK;
    ndl_weights *w = calloc(1, sizeof *w);
    if (!w) return NDL_FAIL(NDL_EOS, "weights: out of memory");
    w->model = *m;
    w->mix = mix;
    w->part = *part;
    w->load = load;
    NDL_TRY_GOTO(done, st, ndl_layout_list(&items, &n, m, mix, part));
    places = malloc(((size_t)n + 1) * sizeof *places);
    if (!places) {
        st = NDL_FAIL(NDL_EOS, "weights: out of memory");
        goto done;
    }
    const size_t bytes = (size_t)ndl_weights_pack(items, n, places);
    NDL_TRY_GOTO(done, st, ndl_load_memory_take(&w->memory, bytes, load));
    for (int i = 0; i < n; i++)
        fill(content_of(&items[i]), (uint8_t *)w->memory.at + places[i],
             (size_t)items[i].bytes);
    NDL_TRY_GOTO(done, st, ndl_weights_place(w, items, n, places));
    *out = w;
    w = NULL;
done:
    free(places);
    free(items);
    ndl_weights_destroy(&w);
    return st;
}
