/* weights_blank.c - weights that come from no file, to measure layers with. */
#include <stdlib.h>
#include <string.h>

#include "weights_parts.h"

enum { PATTERN_BYTES = 64 << 10 };

/* Two bf16 numbers a word, each of which and the word as f32 are normal, with
 * 2^-6 <= |x| < 2^-5: whatever the type and the alignment, sums stay finite.
 * The signs vary, so that sums stay small. */
static void make_pattern(uint32_t *words, size_t n)
{
    const uint32_t exponent = 121; /* 2^(121 - 127) */
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u; /* Numerical Recipes' LCG */
        const uint32_t any = state >> 16 | state << 16;
        words[i] = (any & 0x807f807fu) | exponent << 7 | exponent << 23;
    }
}

static void fill(uint8_t *at, size_t bytes)
{
    uint32_t words[PATTERN_BYTES / sizeof(uint32_t)];
    make_pattern(words, PATTERN_BYTES / sizeof *words);
    for (size_t done = 0; done < bytes; done += PATTERN_BYTES) {
        const size_t left = bytes - done;
        memcpy(at + done, words, left < PATTERN_BYTES ? left : PATTERN_BYTES);
    }
}

ndl_status ndl_weights_blank(ndl_weights **out, const ndl_model *m,
                             ndl_dtype dtype, const ndl_part *part,
                             ndl_load load)
{
    ndl_item *items = NULL;
    uint64_t *places = NULL;
    int n = 0;
    ndl_status st = NDL_OK;
    ndl_weights *w = calloc(1, sizeof *w);
    if (!w) return NDL_FAIL(NDL_EOS, "weights: out of memory");
    w->model = *m;
    w->dtype = dtype;
    w->part = *part;
    w->load = load;
    NDL_TRY_GOTO(done, st, ndl_layout_list(&items, &n, m, dtype, part));
    places = malloc(((size_t)n + 1) * sizeof *places);
    if (!places) {
        st = NDL_FAIL(NDL_EOS, "weights: out of memory");
        goto done;
    }
    const size_t bytes = (size_t)ndl_weights_pack(items, n, places);
    NDL_TRY_GOTO(done, st, ndl_load_memory_take(&w->memory, bytes, load));
    fill(w->memory.at, bytes);
    NDL_TRY_GOTO(done, st, ndl_weights_place(w, items, n, places));
    *out = w;
    w = NULL;
done:
    free(places);
    free(items);
    ndl_weights_destroy(&w);
    return st;
}
