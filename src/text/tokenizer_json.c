/* tokenizer_json.c - tokenizer.json into a vocabulary; the file is hostile. */
#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "vocab.h"

/* A token while the file is read: its text lies in the JSON. */
typedef struct entry {
    const char *text;
    uint8_t flags;
} entry;

typedef struct reading {
    ndl_tokenizer *t;
    const json_t *vocab, *merges, *added; /* borrowed from the root */
    entry *entries;                       /* (t->n_ids) */
} reading;

static ndl_status fail_memory(const ndl_tokenizer *t)
{
    return NDL_FAIL(NDL_EOS, "%s: out of memory", t->what);
}

static ndl_status get_id(const ndl_tokenizer *t, const json_t *j,
                         const char *text, uint32_t *out)
{
    const json_int_t v = json_is_integer(j) ? json_integer_value(j) : -1;
    if (v < 0 || v >= NDL_VOCAB_MAX_IDS)
        return NDL_FAIL(NDL_EDATA,
                        "%s: token \"%.80s\": its id must be a whole number "
                        "from 0 to %d",
                        t->what, text, NDL_VOCAB_MAX_IDS - 1);
    *out = (uint32_t)v;
    return NDL_OK;
}

/* --- the parts of the file --- */

static ndl_status find_parts(reading *r, const json_t *root)
{
    const char *what = r->t->what;
    const json_t *model = json_object_get(root, "model");
    const json_t *type = json_object_get(model, "type");
    if (!json_is_object(model))
        return NDL_FAIL(NDL_EDATA,
                        "%s: no object \"model\": not a tokenizer.json", what);
    /* The oldest files have BPE and do not say so. */
    if (type &&
        (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0))
        return NDL_FAIL(NDL_EDATA,
                        "%s: model type %s: not supported, only BPE is", what,
                        json_is_string(type) ? json_string_value(type) : "?");
    r->vocab = json_object_get(model, "vocab");
    r->merges = json_object_get(model, "merges");
    r->added = json_object_get(root, "added_tokens");
    if (!json_is_object(r->vocab) || json_object_size(r->vocab) == 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: model.vocab: must be an object with "
                        "at least one token",
                        what);
    if (!json_is_array(r->merges))
        return NDL_FAIL(NDL_EDATA, "%s: model.merges: must be a list", what);
    if (r->added && !json_is_null(r->added) && !json_is_array(r->added))
        return NDL_FAIL(NDL_EDATA, "%s: added_tokens: must be a list", what);
    return NDL_OK;
}

/* Add the members of `from` that are not the vocabulary itself. */
static int copy_members(json_t *to, const json_t *from,
                        const char *const *names, int n)
{
    int bad = 0;
    for (int i = 0; i < n; i++) {
        json_t *v = json_object_get(from, names[i]);
        if (v) bad |= json_object_set(to, names[i], v);
    }
    return bad;
}

/* All that is not the vocabulary, in one small object of the same names. */
static json_t *components_of(const json_t *root)
{
    static const char *const parts[] = { "normalizer", "pre_tokenizer",
                                         "post_processor", "decoder" };
    static const char *const flags[] = {
        "dropout",       "unk_token", "continuing_subword_prefix",
        "byte_fallback", "fuse_unk",  "end_of_word_suffix",
        "ignore_merges"
    };
    json_t *all = json_object(), *model = json_object();
    const int bad =
        copy_members(all, root, parts, 4) |
        copy_members(model, json_object_get(root, "model"), flags, 7) |
        json_object_set_new(all, "model", model);
    if (!bad) return all;
    json_decref(all);
    return NULL;
}

static ndl_status read_components(ndl_tokenizer *t, const json_t *root)
{
    json_t *components = components_of(root);
    ndl_status st = components ? NDL_OK : fail_memory(t);
    if (st == NDL_OK) {
        t->components = json_dumps(components, JSON_COMPACT);
        if (!t->components) st = fail_memory(t);
    }
    if (st == NDL_OK && strlen(t->components) > NDL_VOCAB_MAX_COMPONENTS)
        st = NDL_FAIL(NDL_EDATA,
                      "%s: normalizer, pre_tokenizer, post_processor and "
                      "decoder are larger than %d bytes: not supported",
                      t->what, NDL_VOCAB_MAX_COMPONENTS);
    if (st == NDL_OK) st = ndl_parts_read(t, components);
    json_decref(components);
    return st;
}

/* --- tokens --- */

static ndl_status count_ids(reading *r)
{
    const char *text;
    json_t *v;
    size_t i;
    uint32_t id = 0;
    json_object_foreach((json_t *)(uintptr_t)r->vocab, text, v)
    {
        NDL_TRY(get_id(r->t, v, text, &id));
        if (id >= r->t->n_ids) r->t->n_ids = id + 1;
    }
    json_array_foreach(r->added, i, v)
    {
        text = json_string_value(json_object_get(v, "content"));
        if (!text || text[0] == '\0')
            return NDL_FAIL(NDL_EDATA,
                            "%s: added_tokens: entry %zu has no content",
                            r->t->what, i);
        NDL_TRY(get_id(r->t, json_object_get(v, "id"), text, &id));
        if (id >= r->t->n_ids) r->t->n_ids = id + 1;
    }
    return NDL_OK;
}

static ndl_status read_vocab(reading *r)
{
    const char *text;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)r->vocab, text, v)
    {
        entry *e = &r->entries[json_integer_value(v)];
        if (e->flags)
            return NDL_FAIL(
                NDL_EDATA, "%s: id %lld belongs to \"%.80s\" and \"%.80s\"",
                r->t->what, (long long)json_integer_value(v), e->text, text);
        e->text = text;
        e->flags = NDL_TOKEN_PRESENT | (text[0] ? NDL_TOKEN_MODEL : 0);
    }
    return NDL_OK;
}

static ndl_status read_added_flags(const ndl_tokenizer *t, const json_t *j,
                                   const char *text, uint8_t *flags)
{
    static const struct {
        const char *name;
        uint8_t flag;
    } names[] = { { "special", NDL_TOKEN_SPECIAL },
                  { "lstrip", NDL_TOKEN_LSTRIP },
                  { "rstrip", NDL_TOKEN_RSTRIP },
                  { "single_word", NDL_TOKEN_WORD },
                  { "normalized", NDL_TOKEN_NORMALIZED } };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *v = json_object_get(j, names[i].name);
        if (v && !json_is_boolean(v))
            return NDL_FAIL(NDL_EDATA,
                            "%s: added token \"%.80s\": %s must be true or "
                            "false",
                            t->what, text, names[i].name);
        if (json_is_true(v)) *flags |= names[i].flag;
    }
    return NDL_OK;
}

static ndl_status read_added(reading *r)
{
    size_t i;
    json_t *j;
    json_array_foreach(r->added, i, j)
    {
        const char *text = json_string_value(json_object_get(j, "content"));
        const json_int_t id = json_integer_value(json_object_get(j, "id"));
        const json_t *same = json_object_get(r->vocab, text);
        entry *e = &r->entries[id];
        if ((e->flags & NDL_TOKEN_ADDED) ||
            (e->flags && strcmp(e->text, text) != 0) ||
            (same && json_integer_value(same) != id))
            return NDL_FAIL(NDL_EDATA,
                            "%s: added token \"%.80s\": id %lld contradicts "
                            "another token",
                            r->t->what, text, (long long)id);
        e->text = text;
        e->flags |= NDL_TOKEN_PRESENT | NDL_TOKEN_ADDED;
        NDL_TRY(read_added_flags(r->t, j, text, &e->flags));
    }
    return NDL_OK;
}

/* Bytes of a token in a byte-level alphabet; false if it has a character that
 * is not in it, and then no text leads to it. */
static bool spell_bytes(const char *text, uint8_t *out, size_t *n)
{
    const uint8_t *s = (const uint8_t *)text;
    const size_t len = strlen(text);
    *n = 0;
    for (size_t at = 0; at < len;) {
        uint32_t cp = 0;
        const int step = ndl_utf8_decode(s + at, len - at, &cp);
        const int byte = step > 0 ? ndl_vocab_byte_of(cp) : -1;
        if (byte < 0) return false;
        out[(*n)++] = (uint8_t)byte;
        at += (size_t)step;
    }
    return true;
}

static ndl_status write_tokens(reading *r)
{
    ndl_tokenizer *t = r->t;
    size_t total = 0;
    for (uint32_t id = 0; id < t->n_ids; id++)
        if (r->entries[id].text) total += strlen(r->entries[id].text);
    if (total > UINT32_MAX)
        return NDL_FAIL(NDL_EDATA, "%s: more than 4 GiB of tokens", t->what);
    t->bytes = malloc(total + 1);
    t->offsets = calloc((size_t)t->n_ids + 1, sizeof *t->offsets);
    t->flags = calloc(t->n_ids, 1);
    if (!t->bytes || !t->offsets || !t->flags) return fail_memory(t);
    for (uint32_t id = 0; id < t->n_ids; id++) {
        entry *e = &r->entries[id];
        size_t n = e->text ? strlen(e->text) : 0;
        uint8_t *out = t->bytes + t->n_bytes;
        const bool bytes = t->byte_level && (e->flags & NDL_TOKEN_MODEL);
        if (!bytes || !spell_bytes(e->text, out, &n)) {
            if (bytes) e->flags &= (uint8_t)~NDL_TOKEN_MODEL;
            n = e->text ? strlen(e->text) : 0;
            if (n) memcpy(out, e->text, n);
        }
        t->flags[id] = e->flags;
        t->n_bytes += n;
        t->offsets[id + 1] = (uint32_t)t->n_bytes;
    }
    return NDL_OK;
}

/* --- merges --- */

/* Both forms: "a b" and ["a", "b"]. */
static bool split_merge(const json_t *j, const char *s[2], size_t n[2])
{
    if (json_is_array(j) && json_array_size(j) == 2) {
        for (size_t i = 0; i < 2; i++) {
            s[i] = json_string_value(json_array_get(j, i));
            n[i] = json_string_length(json_array_get(j, i));
        }
        return s[0] && s[1] && n[0] && n[1];
    }
    const char *text = json_string_value(j);
    const char *space = text ? strchr(text, ' ') : NULL;
    if (!space || space == text || strchr(space + 1, ' ') || !space[1])
        return false;
    s[0] = text;
    n[0] = (size_t)(space - text);
    s[1] = space + 1;
    n[1] = strlen(space + 1);
    return true;
}

static bool look_up(const reading *r, const char *s, size_t n, uint32_t *id)
{
    const json_t *v = json_object_getn(r->vocab, s, n);
    if (v) *id = (uint32_t)json_integer_value(v);
    return v != NULL;
}

static ndl_status read_merge(const reading *r, size_t rank, ndl_buffer *both)
{
    ndl_tokenizer *t = r->t;
    const json_t *j = json_array_get(r->merges, rank);
    const char *s[2] = { NULL, NULL };
    size_t n[2] = { 0, 0 };
    uint32_t ids[3];
    if (!split_merge(j, s, n))
        return NDL_FAIL(NDL_EDATA,
                        "%s: merge %zu: must be \"a b\" or [\"a\", \"b\"]",
                        t->what, rank);
    both->n = 0;
    NDL_TRY(ndl_buffer_add(both, s[0], n[0]));
    NDL_TRY(ndl_buffer_add(both, s[1], n[1]));
    if (!look_up(r, s[0], n[0], &ids[0]) || !look_up(r, s[1], n[1], &ids[1]) ||
        !look_up(r, both->data, both->n, &ids[2]))
        return NDL_FAIL(NDL_EDATA,
                        "%s: merge %zu: \"%.*s\" and \"%.*s\": a part or the "
                        "result is not in the vocabulary",
                        t->what, rank, (int)(n[0] < 80 ? n[0] : 80), s[0],
                        (int)(n[1] < 80 ? n[1] : 80), s[1]);
    for (int i = 0; i < 3; i++)
        if (!(t->flags[ids[i]] & NDL_TOKEN_MODEL)) return NDL_OK; /* unused */
    memcpy(t->merges[t->n_merges++], ids, sizeof ids);
    return NDL_OK;
}

static ndl_status read_merges(const reading *r)
{
    const size_t n = json_array_size(r->merges);
    ndl_buffer both = { 0 };
    ndl_status st = NDL_OK;
    if (n > NDL_VOCAB_MAX_IDS)
        return NDL_FAIL(NDL_EDATA, "%s: %zu merges: more than %d", r->t->what,
                        n, NDL_VOCAB_MAX_IDS);
    r->t->merges = malloc((n + 1) * sizeof *r->t->merges);
    if (!r->t->merges) return fail_memory(r->t);
    for (size_t i = 0; st == NDL_OK && i < n; i++) st = read_merge(r, i, &both);
    ndl_buffer_fini(&both);
    return st;
}

static ndl_status read_root(reading *r, const json_t *root)
{
    NDL_TRY(find_parts(r, root));
    NDL_TRY(read_components(r->t, root));
    NDL_TRY(count_ids(r));
    r->entries = calloc(r->t->n_ids, sizeof *r->entries);
    if (!r->entries) return fail_memory(r->t);
    NDL_TRY(read_vocab(r));
    NDL_TRY(read_added(r));
    NDL_TRY(write_tokens(r));
    NDL_TRY(read_merges(r));
    return ndl_vocab_finish(r->t);
}

static ndl_status keep_json(ndl_tokenizer *t, const char *json, size_t n)
{
    t->json = malloc(n + 1);
    if (!t->json) return fail_memory(t);
    if (n) memcpy(t->json, json, n);
    t->n_json = n;
    return NDL_OK;
}

ndl_status ndl_tokenizer_parse(ndl_tokenizer **out, const char *json, size_t n,
                               const char *what)
{
    json_t *root = NULL;
    reading r = { .t = calloc(1, sizeof *r.t) };
    ndl_status st = NDL_OK;
    if (!r.t || !(r.t->what = strdup(what)))
        st = NDL_FAIL(NDL_EOS, "%s: out of memory", what);
    if (st == NDL_OK && n > NDL_VOCAB_MAX_JSON)
        st =
            NDL_FAIL(NDL_EDATA, "%s: %zu bytes: not a tokenizer.json", what, n);
    if (st == NDL_OK) st = ndl_json_parse(&root, json, n, what);
    if (st == NDL_OK) st = read_root(&r, root);
    if (st == NDL_OK) st = keep_json(r.t, json, n);
    json_decref(root);
    free(r.entries);
    if (st == NDL_OK)
        *out = r.t;
    else
        ndl_tokenizer_destroy(&r.t);
    return st;
}
