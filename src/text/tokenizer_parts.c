/*
 * tokenizer_parts.c - the components of a tokenizer.json, other than its
 * vocabulary: normalizer, pre_tokenizer, post_processor, decoder, flags.
 *
 * The weights file keeps them as the JSON they came from, so both ways of
 * making a tokenizer read them here.  What is not known is refused by name:
 * a tokenizer that is almost right gives almost the right ids.
 */
#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "vocab.h"

static const char metaspace[] = "\xe2\x96\x81";

/* ByteLevel's own pattern: contractions, words, numbers, the rest, spaces. */
static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
    "|\\s+(?!\\S)|\\s+";

static const char *type_of(const json_t *j)
{
    const char *type = json_string_value(json_object_get(j, "type"));
    return type ? type : "without a type";
}

static ndl_status refuse(const ndl_tokenizer *t, const char *part,
                         const char *name)
{
    return NDL_FAIL(NDL_EDATA, "%s: %s %s: not supported", t->what, part, name);
}

/* A field that must be true or false; absent or null gives `otherwise`. */
static ndl_status get_bool(const ndl_tokenizer *t, const json_t *j,
                           const char *name, bool otherwise, bool *out)
{
    const json_t *v = json_object_get(j, name);
    if (v && !json_is_null(v) && !json_is_boolean(v))
        return NDL_FAIL(NDL_EDATA, "%s: %s: must be true or false", t->what,
                        name);
    *out = json_is_boolean(v) ? json_is_true(v) : otherwise;
    return NDL_OK;
}

static bool is_text(const json_t *j, const char *name, const char *text)
{
    const char *v = json_string_value(json_object_get(j, name));
    return v && strcmp(v, text) == 0;
}

static bool is_int(const json_t *j, const char *name, json_int_t value)
{
    const json_t *v = json_object_get(j, name);
    return json_is_integer(v) && json_integer_value(v) == value;
}

typedef ndl_status read_one(ndl_tokenizer *t, const json_t *j);

/* A component alone, or a Sequence of them, which is not nested. */
static ndl_status read_each(ndl_tokenizer *t, const json_t *j, const char *list,
                            read_one *read)
{
    if (!j || json_is_null(j)) return NDL_OK;
    if (strcmp(type_of(j), "Sequence") != 0) return read(t, j);
    const json_t *items = json_object_get(j, list);
    if (!json_is_array(items))
        return NDL_FAIL(NDL_EDATA, "%s: %s: must be a list", t->what, list);
    for (size_t i = 0; i < json_array_size(items); i++)
        NDL_TRY(read(t, json_array_get(items, i)));
    return NDL_OK;
}

/* --- normalizer --- */

static ndl_status copy_text(const ndl_tokenizer *t, const json_t *j,
                            const char *name,
                            char out[NDL_NORMALIZE_MAX_TEXT + 1])
{
    const char *text = json_string_value(j);
    if (!text || strlen(text) > NDL_NORMALIZE_MAX_TEXT)
        return NDL_FAIL(
            NDL_EDATA, "%s: normalizer: %s: must be a text of at most %d bytes",
            t->what, name, NDL_NORMALIZE_MAX_TEXT);
    memcpy(out, text, strlen(text) + 1);
    return NDL_OK;
}

static ndl_status read_normalizer(ndl_tokenizer *t, const json_t *j)
{
    const char *type = type_of(j);
    if (t->n_normalizers == NDL_VOCAB_MAX_STEPS)
        return refuse(t, "normalizer", "Sequence of more than 16");
    ndl_normalizer *z = &t->normalizers[t->n_normalizers];
    if (strcmp(type, "NFC") == 0) {
        z->kind = NDL_NORMALIZER_NFC;
    } else if (strcmp(type, "Prepend") == 0) {
        z->kind = NDL_NORMALIZER_PREPEND;
        NDL_TRY(copy_text(t, json_object_get(j, "prepend"), "prepend", z->to));
    } else if (strcmp(type, "Replace") == 0) {
        const json_t *from =
            json_object_get(json_object_get(j, "pattern"), "String");
        z->kind = NDL_NORMALIZER_REPLACE;
        NDL_TRY(copy_text(t, from, "pattern String", z->from));
        NDL_TRY(copy_text(t, json_object_get(j, "content"), "content", z->to));
        if (z->from[0] == '\0')
            return refuse(t, "normalizer", "Replace of an empty text");
    } else {
        return refuse(t, "normalizer", type);
    }
    t->n_normalizers++;
    return NDL_OK;
}

/* --- pre_tokenizer --- */

static ndl_status add_step(ndl_tokenizer *t, ndl_step_kind kind, ndl_step **out)
{
    if (t->n_steps == NDL_VOCAB_MAX_STEPS)
        return refuse(t, "pre_tokenizer", "Sequence of more than 16");
    *out = &t->steps[t->n_steps++];
    (*out)->kind = kind;
    return NDL_OK;
}

typedef struct cut {
    const char *pattern;
    bool literal, before, after; /* where a match ends a piece */
} cut;

static ndl_status add_split(ndl_tokenizer *t, cut c)
{
    ndl_step *step = NULL;
    NDL_TRY(add_step(t, NDL_STEP_SPLIT, &step));
    step->ends_before = c.before;
    step->ends_after = c.after;
    return ndl_pattern_create(&step->pattern, t->what, c.pattern, c.literal);
}

static ndl_status read_split(ndl_tokenizer *t, const json_t *j)
{
    const json_t *pattern = json_object_get(j, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *text = json_string_value(json_object_get(pattern, "String"));
    const char *behavior = json_string_value(json_object_get(j, "behavior"));
    bool invert = false;
    NDL_TRY(get_bool(t, j, "invert", false, &invert));
    if (!regex == !text || !behavior)
        return NDL_FAIL(NDL_EDATA,
                        "%s: pre_tokenizer Split: needs a behavior and one "
                        "pattern, Regex or String",
                        t->what);
    if (invert) return refuse(t, "pre_tokenizer Split", "with invert");
    cut c = { regex ? regex : text, !regex, true, true };
    if (strcmp(behavior, "MergedWithPrevious") == 0)
        c.before = false;
    else if (strcmp(behavior, "MergedWithNext") == 0)
        c.after = false;
    else if (strcmp(behavior, "Isolated") != 0)
        return refuse(t, "pre_tokenizer Split: behavior", behavior);
    return add_split(t, c);
}

static ndl_status read_byte_level(ndl_tokenizer *t, const json_t *j)
{
    bool space = false, regex = false;
    ndl_step *step = NULL;
    NDL_TRY(get_bool(t, j, "add_prefix_space", true, &space));
    NDL_TRY(get_bool(t, j, "use_regex", true, &regex));
    if (space) NDL_TRY(add_step(t, NDL_STEP_SPACE, &step));
    if (regex) NDL_TRY(add_split(t, (cut){ gpt2_pattern, false, true, true }));
    NDL_TRY(add_step(t, NDL_STEP_BYTES, &step));
    t->byte_level = true;
    return NDL_OK;
}

/* Older files say add_prefix_space where newer ones have prepend_scheme. */
static ndl_status read_prepend(const ndl_tokenizer *t, const json_t *j,
                               ndl_prepend *out)
{
    const json_t *scheme = json_object_get(j, "prepend_scheme");
    const char *name = json_string_value(scheme);
    bool space = false;
    NDL_TRY(get_bool(t, j, "add_prefix_space", true, &space));
    if (!scheme)
        *out = space ? NDL_PREPEND_ALWAYS : NDL_PREPEND_NEVER;
    else if (name && strcmp(name, "always") == 0)
        *out = NDL_PREPEND_ALWAYS;
    else if (name && strcmp(name, "first") == 0)
        *out = NDL_PREPEND_FIRST;
    else if (name && strcmp(name, "never") == 0)
        *out = NDL_PREPEND_NEVER;
    else
        return refuse(t, "Metaspace: prepend_scheme", name ? name : "no text");
    if (!is_text(j, "replacement", metaspace))
        return refuse(t, "Metaspace: replacement", "other than U+2581");
    return NDL_OK;
}

static ndl_status read_metaspace(ndl_tokenizer *t, const json_t *j)
{
    bool split = false;
    ndl_step *step = NULL;
    NDL_TRY(get_bool(t, j, "split", true, &split));
    NDL_TRY(add_step(t, NDL_STEP_METASPACE, &step));
    NDL_TRY(read_prepend(t, j, &step->prepend));
    if (!split) return NDL_OK;
    return add_split(t, (cut){ metaspace, true, true, false });
}

static ndl_status read_digits(ndl_tokenizer *t, const json_t *j)
{
    bool each = false;
    NDL_TRY(get_bool(t, j, "individual_digits", false, &each));
    return add_split(t,
                     (cut){ each ? "\\p{N}" : "\\p{N}+", false, true, true });
}

static ndl_status read_pre_tokenizer(ndl_tokenizer *t, const json_t *j)
{
    static const struct {
        const char *type;
        read_one *read;
    } kinds[] = { { "ByteLevel", read_byte_level },
                  { "Split", read_split },
                  { "Metaspace", read_metaspace },
                  { "Digits", read_digits } };
    if (t->byte_level)
        return refuse(t, "pre_tokenizer after ByteLevel", type_of(j));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type_of(j), kinds[i].type) == 0) return kinds[i].read(t, j);
    return refuse(t, "pre_tokenizer", type_of(j));
}

/* --- decoder --- */

/* Strip is of the whole text, which the order says: after Fuse. */
static ndl_status read_strip(ndl_tokenizer *t, const json_t *j, bool fused)
{
    if (!fused || !is_text(j, "content", " ") || !is_int(j, "start", 1) ||
        !is_int(j, "stop", 0))
        return refuse(t, "decoder", "Strip, other than of one first space");
    t->decoder.strip = NDL_STRIP_ONE_SPACE;
    return NDL_OK;
}

static ndl_status read_decoder_metaspace(ndl_tokenizer *t, const json_t *j)
{
    ndl_prepend prepend = NDL_PREPEND_NEVER;
    NDL_TRY(read_prepend(t, j, &prepend));
    t->decoder.spaces = true;
    if (prepend != NDL_PREPEND_NEVER) t->decoder.strip = NDL_STRIP_FIRST_TOKEN;
    return NDL_OK;
}

static ndl_status read_decoder(ndl_tokenizer *t, const json_t *j, bool *fused)
{
    const char *type = type_of(j);
    ndl_decoder *d = &t->decoder;
    const json_t *from =
        json_object_get(json_object_get(j, "pattern"), "String");
    const char *text = json_string_value(from);
    if (strcmp(type, "ByteLevel") == 0) {
        d->byte_level = true;
        return NDL_OK;
    }
    if (strcmp(type, "Strip") == 0) return read_strip(t, j, *fused);
    if (*fused) return refuse(t, "decoder after Fuse", type);
    if (strcmp(type, "Fuse") == 0) {
        *fused = true;
    } else if (strcmp(type, "ByteFallback") == 0) {
        d->byte_fallback = true;
    } else if (strcmp(type, "Metaspace") == 0) {
        return read_decoder_metaspace(t, j);
    } else if (strcmp(type, "Replace") == 0) {
        if (!text || strcmp(text, metaspace) != 0 ||
            !is_text(j, "content", " "))
            return refuse(t, "decoder", "Replace, other than U+2581 by space");
        d->spaces = true;
    } else {
        return refuse(t, "decoder", type);
    }
    return NDL_OK;
}

static ndl_status read_decoders(ndl_tokenizer *t, const json_t *j)
{
    const json_t *items = json_object_get(j, "decoders");
    bool fused = false;
    if (strcmp(type_of(j), "Sequence") != 0)
        NDL_TRY(read_decoder(t, j, &fused));
    else
        for (size_t i = 0; i < json_array_size(items); i++)
            NDL_TRY(read_decoder(t, json_array_get(items, i), &fused));
    const ndl_decoder *d = &t->decoder;
    if (d->byte_level != t->byte_level ||
        (d->byte_level && (d->spaces || d->byte_fallback || d->strip)))
        return NDL_FAIL(NDL_EDATA,
                        "%s: decoder %s: does not undo the pre_tokenizer",
                        t->what, type_of(j));
    return NDL_OK;
}

/* --- post_processor --- */

static ndl_status add_prefix(ndl_tokenizer *t, const json_t *ids)
{
    if (!json_is_array(ids))
        return NDL_FAIL(NDL_EDATA,
                        "%s: post_processor: a special token without ids",
                        t->what);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        const json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
        if (v < 0 || v >= NDL_VOCAB_MAX_IDS)
            return NDL_FAIL(NDL_EDATA, "%s: post_processor: an id is not one",
                            t->what);
        if (t->n_prefix == (int)(sizeof t->prefix / sizeof *t->prefix))
            return refuse(t, "post_processor", "with more than 8 tokens");
        t->prefix[t->n_prefix++] = (int32_t)v;
    }
    return NDL_OK;
}

static ndl_status read_template(ndl_tokenizer *t, const json_t *j)
{
    const json_t *single = json_object_get(j, "single");
    const json_t *known = json_object_get(j, "special_tokens");
    bool after_text = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *token = json_object_get(item, "SpecialToken");
        const char *name = json_string_value(json_object_get(token, "id"));
        if (json_object_get(item, "Sequence")) {
            after_text = true;
        } else if (!name) {
            return refuse(t, "post_processor", "with an unknown item");
        } else if (after_text) {
            return refuse(t, "post_processor", "with tokens after the text");
        } else {
            const json_t *entry = json_object_get(known, name);
            NDL_TRY(add_prefix(t, json_object_get(entry, "ids")));
        }
    }
    return NDL_OK;
}

static ndl_status read_post_processor(ndl_tokenizer *t, const json_t *j)
{
    /* ByteLevel only changes offsets, which nobody asks for here. */
    if (strcmp(type_of(j), "ByteLevel") == 0) return NDL_OK;
    if (strcmp(type_of(j), "TemplateProcessing") == 0)
        return read_template(t, j);
    return refuse(t, "post_processor", type_of(j));
}

/* --- model --- */

static ndl_status read_model(ndl_tokenizer *t, const json_t *j)
{
    const json_t *dropout = json_object_get(j, "dropout");
    const json_t *unknown = json_object_get(j, "unk_token");
    static const char *const affixes[] = { "continuing_subword_prefix",
                                           "end_of_word_suffix" };
    if (json_number_value(dropout) != 0.0 ||
        (dropout && !json_is_null(dropout) && !json_is_number(dropout)))
        return refuse(t, "model:", "dropout");
    for (size_t i = 0; i < 2; i++) {
        const json_t *affix = json_object_get(j, affixes[i]);
        if (affix && !json_is_null(affix) && !is_text(j, affixes[i], ""))
            return refuse(t, "model:", affixes[i]);
    }
    NDL_TRY(get_bool(t, j, "byte_fallback", false, &t->byte_fallback));
    NDL_TRY(get_bool(t, j, "fuse_unk", false, &t->fuse_unknown));
    NDL_TRY(get_bool(t, j, "ignore_merges", false, &t->ignore_merges));
    if (unknown && !json_is_null(unknown) && !json_is_string(unknown))
        return NDL_FAIL(NDL_EDATA, "%s: unk_token: must be a text", t->what);
    if (json_string_length(unknown) > 0) {
        t->unknown_text = strdup(json_string_value(unknown));
        if (!t->unknown_text)
            return NDL_FAIL(NDL_EOS, "%s: out of memory", t->what);
    }
    /* Its bytes are tokens of one byte, not of six characters. */
    if (t->byte_level && t->byte_fallback)
        return refuse(t, "model:", "byte_fallback with ByteLevel");
    return NDL_OK;
}

ndl_status ndl_parts_read(ndl_tokenizer *t, const json_t *components)
{
    const json_t *c = components;
    NDL_TRY(read_each(t, json_object_get(c, "normalizer"), "normalizers",
                      read_normalizer));
    NDL_TRY(read_each(t, json_object_get(c, "pre_tokenizer"), "pretokenizers",
                      read_pre_tokenizer));
    NDL_TRY(read_each(t, json_object_get(c, "post_processor"), "processors",
                      read_post_processor));
    NDL_TRY(read_decoders(t, json_object_get(c, "decoder")));
    return read_model(t, json_object_get(c, "model"));
}
