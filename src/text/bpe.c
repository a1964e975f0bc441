/*
 * bpe.c - merges of one piece, lowest rank first.
 *
 * The symbols are a linked list in an array; the candidates are a binary heap
 * of 64-bit keys, rank above position, so that one comparison gives the lowest
 * rank and, of equals, the leftmost.  A merge leaves old candidates of its
 * neighbours in the heap: a candidate whose pair has another rank by now is
 * stale and skipped.  Every merge adds at most two candidates, which makes a
 * piece of n bytes O(n log n) however it looks.
 */
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "vocab.h"

typedef struct symbol {
    uint32_t id;
    int32_t prev, next; /* -1 at the ends */
    bool gone;          /* merged into its left neighbour */
} symbol;

static symbol *symbols_of(const ndl_bpe *b)
{
    return b->symbols.data;
}

static int32_t n_symbols(const ndl_bpe *b)
{
    return (int32_t)(b->symbols.n / sizeof(symbol));
}

static ndl_status add_symbol(ndl_bpe *b, uint32_t id)
{
    const int32_t at = n_symbols(b);
    const symbol s = { .id = id, .prev = at - 1, .next = at + 1 };
    return ndl_buffer_add(&b->symbols, &s, sizeof s);
}

/* A character of its bytes' tokens, if it has all of them. */
static ndl_status add_bytes(const ndl_tokenizer *t, ndl_bpe *b,
                            const uint8_t *s, int n, bool *done)
{
    *done = false;
    for (int i = 0; i < n; i++)
        if (t->byte_ids[s[i]] < 0) return NDL_OK;
    for (int i = 0; i < n; i++)
        NDL_TRY(add_symbol(b, (uint32_t)t->byte_ids[s[i]]));
    *done = true;
    return NDL_OK;
}

/* Start symbols: bytes, or characters with their ways out.  What has no token
 * and no unknown token vanishes, as the format defines. */
static ndl_status add_symbols(const ndl_tokenizer *t, ndl_bpe *b,
                              const uint8_t *s, size_t n)
{
    bool after_unknown = false;
    for (size_t at = 0; at < n;) {
        bool done = false;
        int len = 1;
        if (!t->byte_level) {
            len = ndl_utf8_decode(s + at, n - at, NULL);
            if (len <= 0) len = 1;
        }
        const int32_t id = t->byte_level
                               ? t->byte_ids[s[at]]
                               : ndl_vocab_find(t, s + at, (size_t)len);
        if (id >= 0) {
            NDL_TRY(add_symbol(b, (uint32_t)id));
            done = true;
        } else if (t->byte_fallback) {
            NDL_TRY(add_bytes(t, b, s + at, len, &done));
        }
        if (!done && t->unknown >= 0 && !(after_unknown && t->fuse_unknown))
            NDL_TRY(add_symbol(b, (uint32_t)t->unknown));
        after_unknown = !done;
        at += (size_t)len;
    }
    if (b->symbols.n > 0) symbols_of(b)[n_symbols(b) - 1].next = -1;
    return NDL_OK;
}

static ndl_status push(ndl_bpe *b, uint64_t key)
{
    NDL_TRY(ndl_buffer_add(&b->heap, &key, sizeof key));
    uint64_t *heap = b->heap.data;
    size_t i = b->heap.n / sizeof key - 1;
    while (i > 0 && heap[(i - 1) / 2] > key) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = key;
    return NDL_OK;
}

static uint64_t pop(ndl_bpe *b)
{
    uint64_t *heap = b->heap.data;
    const uint64_t top = heap[0];
    const size_t n = b->heap.n / sizeof *heap - 1;
    const uint64_t last = heap[n];
    size_t i = 0;
    b->heap.n -= sizeof *heap;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= last) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

/* Offer the pair that starts at `left` as a candidate. */
static ndl_status offer(const ndl_tokenizer *t, ndl_bpe *b, int32_t left)
{
    const symbol *s = symbols_of(b);
    if (left < 0 || s[left].next < 0) return NDL_OK;
    const ndl_pair *p = ndl_vocab_pair(t, s[left].id, s[s[left].next].id);
    if (!p) return NDL_OK;
    return push(b, (uint64_t)p->rank << 32 | (uint32_t)left);
}

static ndl_status merge_all(const ndl_tokenizer *t, ndl_bpe *b)
{
    symbol *s = symbols_of(b);
    const int32_t n = n_symbols(b);
    b->heap.n = 0;
    for (int32_t i = 0; i + 1 < n; i++) NDL_TRY(offer(t, b, i));
    while (b->heap.n > 0) {
        const uint64_t key = pop(b);
        const int32_t left = (int32_t)(key & 0xffffffffu);
        const int32_t right = s[left].next;
        if (s[left].gone || right < 0) continue;
        const ndl_pair *p = ndl_vocab_pair(t, s[left].id, s[right].id);
        if (!p || p->rank != key >> 32) continue;
        s[left].id = p->result;
        s[left].next = s[right].next;
        s[right].gone = true;
        if (s[left].next >= 0) s[s[left].next].prev = left;
        NDL_TRY(offer(t, b, s[left].prev));
        NDL_TRY(offer(t, b, left));
    }
    return NDL_OK;
}

ndl_status ndl_bpe_encode(const ndl_tokenizer *t, ndl_bpe *b,
                          const uint8_t *piece, size_t n, ndl_buffer *ids)
{
    if (n > INT32_MAX / 4)
        return NDL_FAIL(NDL_EDATA,
                        "text: %zu bytes without a place to cut: split it", n);
    if (t->ignore_merges) {
        const int32_t id = ndl_vocab_find(t, piece, n);
        if (id >= 0) return ndl_buffer_add(ids, &id, sizeof id);
    }
    b->symbols.n = 0;
    NDL_TRY(add_symbols(t, b, piece, n));
    if (b->symbols.n == 0) return NDL_OK;
    NDL_TRY(merge_all(t, b));
    const symbol *s = symbols_of(b);
    for (int32_t i = 0; i >= 0; i = s[i].next) {
        const int32_t id = (int32_t)s[i].id;
        NDL_TRY(ndl_buffer_add(ids, &id, sizeof id));
    }
    return NDL_OK;
}

void ndl_bpe_fini(ndl_bpe *b)
{
    ndl_buffer_fini(&b->symbols);
    ndl_buffer_fini(&b->heap);
}
