/*
 * tokenizer_pack.c - the tokenizer in the weights file, under /tokenizer:
 *
 *   bytes    u8[n]     texts of all tokens, in order of id; those of a
 *                      byte-level vocabulary as the bytes they stand for
 *   offsets  u32[V+1]  where each begins in bytes
 *   flags    u8[V]     NDL_TOKEN_* of vocab.h
 *   merges   u32[M][3] left, right, result, in order of rank; absent if M = 0
 *   json     deflated  the tokenizer.json it came from, for export
 *
 * and the attribute `components`: normalizer, pre_tokenizer and so on as JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "noodle/hash.h"
#include "vocab.h"

#define GROUP "/tokenizer"

static ndl_status put(ndl_store *s, const char *name, ndl_store_type type,
                      const uint64_t dims[2], const void *src)
{
    if (dims[0] == 0) return NDL_OK;
    const size_t cell = type == NDL_STORE_U8 ? 1 : sizeof(uint32_t);
    NDL_TRY(ndl_store_make(s, name, type, dims[1] > 1 ? 2 : 1, dims));
    NDL_TRY(ndl_store_write(s, name, 0, dims[0], src));
    return ndl_store_put_u64(
        s, name, "xxh3_64",
        ndl_hash_bytes(src, (size_t)(dims[0] * dims[1]) * cell, 0));
}

ndl_status ndl_tokenizer_save(const ndl_tokenizer *t, ndl_store *s)
{
    const uint64_t n_ids = t->n_ids;
    if (!t->json)
        return NDL_FAIL(NDL_ESOFTWARE,
                        "%s: only a parsed tokenizer can be saved", t->what);
    NDL_TRY(ndl_store_make_group(s, GROUP));
    NDL_TRY(put(s, GROUP "/bytes", NDL_STORE_U8, (uint64_t[]){ t->n_bytes, 1 },
                t->bytes));
    NDL_TRY(put(s, GROUP "/offsets", NDL_STORE_U32,
                (uint64_t[]){ n_ids + 1, 1 }, t->offsets));
    NDL_TRY(put(s, GROUP "/flags", NDL_STORE_U8, (uint64_t[]){ n_ids, 1 },
                t->flags));
    NDL_TRY(put(s, GROUP "/merges", NDL_STORE_U32,
                (uint64_t[]){ t->n_merges, 3 }, t->merges));
    NDL_TRY(ndl_store_put_text(s, GROUP, "components", t->components));
    return ndl_store_put_packed(s, GROUP "/json", t->json, t->n_json);
}

static ndl_status bad(ndl_store *s, const char *name, const char *cause)
{
    return NDL_FAIL(NDL_EDATA, "%s: %s: %s: import the model again",
                    ndl_store_path(s), name, cause);
}

typedef struct array {
    const char *name;
    ndl_store_type type;
    uint64_t width; /* second dimension; 1 means that there is none */
    uint64_t most;  /* rows                                         */
    bool packed;    /* deflated */
} array;

/* Read an array whole.  Of one that is not deflated the store has checked that
 * its bytes lie in the file, so the file's size bounds what is allocated.
 * @param[out] rows  0 if it is absent, and *out is NULL. */
static ndl_status get(ndl_store *s, array a, void **out, uint64_t *rows)
{
    ndl_store_info info = { 0 };
    if (!ndl_store_has(s, a.name)) {
        *rows = 0;
        return NDL_OK;
    }
    NDL_TRY(ndl_store_query(s, a.name, &info));
    if (info.type != a.type || info.n_dims != (a.width > 1 ? 2 : 1) ||
        (a.width > 1 && info.dims[1] != a.width))
        return bad(s, a.name, "has another type or shape");
    if (info.dims[0] == 0 || info.dims[0] > a.most)
        return bad(s, a.name, "has too many rows, or none");
    if (!a.packed && !info.contiguous)
        return bad(s, a.name, "is not contiguous");
    void *data = malloc(info.bytes);
    if (!data)
        return NDL_FAIL(NDL_EOS, "%s: %s: out of memory", ndl_store_path(s),
                        a.name);
    const ndl_status st = ndl_store_read(s, a.name, data, info.bytes);
    if (st != NDL_OK) {
        free(data);
        return st;
    }
    *out = data;
    *rows = info.dims[0];
    return NDL_OK;
}

static ndl_status get_vocab(ndl_tokenizer *t, ndl_store *s)
{
    const uint64_t max_ids = NDL_VOCAB_MAX_IDS;
    uint64_t n_flags = 0, n_offsets = 0, n_merges = 0, n_bytes = 0;
    void *bytes = NULL, *offsets = NULL, *flags = NULL, *merges = NULL;
    ndl_status st =
        get(s, (array){ GROUP "/bytes", NDL_STORE_U8, 1, UINT32_MAX, false },
            &bytes, &n_bytes);
    if (st == NDL_OK)
        st = get(
            s,
            (array){ GROUP "/offsets", NDL_STORE_U32, 1, max_ids + 1, false },
            &offsets, &n_offsets);
    if (st == NDL_OK)
        st = get(s, (array){ GROUP "/flags", NDL_STORE_U8, 1, max_ids, false },
                 &flags, &n_flags);
    if (st == NDL_OK)
        st =
            get(s, (array){ GROUP "/merges", NDL_STORE_U32, 3, max_ids, false },
                &merges, &n_merges);
    t->bytes = bytes;
    t->offsets = offsets;
    t->flags = flags;
    t->merges = merges;
    t->n_bytes = (size_t)n_bytes;
    t->n_ids = (uint32_t)n_flags;
    t->n_merges = (uint32_t)n_merges;
    if (st == NDL_OK && (!bytes || !flags || n_offsets != n_flags + 1))
        st = bad(s, GROUP, "bytes, offsets or flags are missing or disagree");
    return st;
}

static ndl_status get_components(ndl_tokenizer *t, ndl_store *s)
{
    json_t *components = NULL;
    NDL_TRY(ndl_store_get_text(s, GROUP, "components", &t->components));
    NDL_TRY(ndl_json_parse(&components, t->components, strlen(t->components),
                           t->what));
    const ndl_status st = ndl_parts_read(t, components);
    json_decref(components);
    return st;
}

static ndl_status get_all(ndl_tokenizer *t, ndl_store *s)
{
    NDL_TRY(get_vocab(t, s));
    NDL_TRY(get_components(t, s));
    return ndl_vocab_finish(t);
}

ndl_status ndl_tokenizer_load(ndl_tokenizer **out, ndl_store *s)
{
    ndl_tokenizer *t = calloc(1, sizeof *t);
    if (!t || !(t->what = strdup(ndl_store_path(s)))) {
        free(t);
        return NDL_FAIL(NDL_EOS, "%s: out of memory", ndl_store_path(s));
    }
    if (!ndl_store_has(s, GROUP)) {
        ndl_tokenizer_destroy(&t);
        return bad(s, GROUP, "the file has no tokenizer");
    }
    const ndl_status st = get_all(t, s);
    if (st == NDL_OK)
        *out = t;
    else
        ndl_tokenizer_destroy(&t);
    return st;
}

ndl_status ndl_tokenizer_json(ndl_store *s, char **json, size_t *n)
{
    void *data = NULL;
    uint64_t bytes = 0;
    NDL_TRY(get(
        s, (array){ GROUP "/json", NDL_STORE_U8, 1, NDL_VOCAB_MAX_JSON, true },
        &data, &bytes));
    if (!data) return bad(s, GROUP "/json", "is missing");
    *json = data;
    *n = (size_t)bytes;
    return NDL_OK;
}
