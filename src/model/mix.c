/*
 * mix.c - mix.h: the texts of a mix, read and written.
 *
 * One reader serves users and files: a list of kinds and of groups that get
 * them.  A kind is a dtype, and for int8 the size of its blocks.
 */
#include "noodle/mix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, SMALL_BLOCK = 32 };

/* The dtypes in their order, and int8 in blocks of 32. */
enum { INT8_SMALL = NDL_N_DTYPES, N_KINDS };

/* Blocks of 64 throughout diverge on the bundled model 1.30 times as much as
 * Q8_0 (blocks of 32, of activations too); with the two groups that matter most
 * in blocks of 32 1.00 times, for 3 % more of these groups' bytes
 * (bench/accuracy.py, 4191 tokens). */
static const char int8_keeps[] = "head,down=int8:32";
static const char int4_keeps[] = "head,v";

static const char *const group_names[NDL_N_GROUPS] = {
    [NDL_GROUP_EMBED] = "embed", [NDL_GROUP_HEAD] = "head",
    [NDL_GROUP_QK] = "qk",       [NDL_GROUP_V] = "v",
    [NDL_GROUP_OUT] = "out",     [NDL_GROUP_UP] = "up",
    [NDL_GROUP_DOWN] = "down",
};

const char *ndl_group_name(ndl_group g)
{
    return group_names[g];
}

static int kind_of(ndl_mix mix, int g)
{
    const bool small = mix.of[g] == NDL_INT8 && mix.small & 1u << g;
    return small ? INT8_SMALL : mix.of[g];
}

static void set_kind(ndl_mix *mix, int g, int kind)
{
    const unsigned bit = 1u << g;
    const bool small = kind == INT8_SMALL;
    mix->of[g] = (uint8_t)(small ? NDL_INT8 : kind);
    mix->small = (uint8_t)(small ? mix->small | bit : mix->small & ~bit);
}

static const char *kind_name(int kind)
{
    return kind == INT8_SMALL ? "int8:32" : ndl_dtype_name((ndl_dtype)kind);
}

ndl_mix ndl_mix_plain(ndl_dtype dtype)
{
    ndl_mix mix = { .small = 0 };
    for (int g = 0; g < NDL_N_GROUPS; g++) set_kind(&mix, g, (int)dtype);
    return mix;
}

int ndl_mix_block(ndl_mix mix, ndl_group g)
{
    switch (kind_of(mix, (int)g)) {
    case NDL_INT8: return BLOCK;
    case INT8_SMALL:
    case NDL_INT4: return SMALL_BLOCK;
    default: return 0;
    }
}

static bool has(ndl_mix mix, ndl_dtype dtype)
{
    return memchr(mix.of, (int)dtype, sizeof mix.of) != NULL;
}

bool ndl_mix_is_valid(ndl_mix mix)
{
    for (int g = 0; g < NDL_N_GROUPS; g++)
        if (mix.of[g] >= NDL_N_DTYPES) return false;
    return mix.small < 1u << NDL_N_GROUPS;
}

bool ndl_mix_is_quantised(ndl_mix mix)
{
    return has(mix, NDL_INT8) || has(mix, NDL_INT4);
}

bool ndl_mix_joins_v(ndl_mix mix)
{
    return kind_of(mix, NDL_GROUP_QK) == kind_of(mix, NDL_GROUP_V);
}

bool ndl_mix_equal(ndl_mix a, ndl_mix b)
{
    for (int g = 0; g < NDL_N_GROUPS; g++)
        if (kind_of(a, g) != kind_of(b, g)) return false;
    return true;
}

ndl_dtype ndl_mix_kv_dtype(ndl_mix mix)
{
    return ndl_mix_equal(mix, ndl_mix_plain(NDL_F32)) ? NDL_F32 : NDL_BF16;
}

/* ---- reading ---- */

/* A piece of a text, not terminated. */
typedef struct word {
    const char *at;
    int n;
} word;

/* Up to any of `ends`; what is left begins with that or is empty. */
static word take_word(const char **text, const char *ends)
{
    const word w = { *text, (int)strcspn(*text, ends) };
    *text += w.n;
    return w;
}

static bool is(word w, const char *name)
{
    return strlen(name) == (size_t)w.n && memcmp(w.at, name, (size_t)w.n) == 0;
}

/* Longer words are cut in messages. */
static int shown(word w)
{
    return w.n < 40 ? w.n : 40;
}

static ndl_status read_kind(int *out, word w, const char *option)
{
    for (int kind = 0; kind < N_KINDS; kind++) {
        if (!is(w, kind_name(kind))) continue;
        *out = kind;
        return NDL_OK;
    }
    return NDL_FAIL(NDL_EUSAGE,
                    "%s %.*s: not known: give f32, bf16, int8, int8:32 or int4",
                    option, shown(w), w.at);
}

static ndl_status read_group(ndl_group *out, word w)
{
    for (int g = 0; g < NDL_N_GROUPS; g++)
        if (is(w, group_names[g])) {
            *out = (ndl_group)g;
            return NDL_OK;
        }
    return NDL_FAIL(NDL_EUSAGE,
                    "--keep %.*s: not known: give embed, head, qk, v, "
                    "out, up or down",
                    shown(w), w.at);
}

/* A list like "head,v,down=int8".  Groups wait for the kind that is named
 * after them, at its end for int8. */
static ndl_status read_groups(ndl_mix *mix, const char *text)
{
    unsigned seen = 0, waiting = 0;
    for (const char *at = text;; at++) {
        ndl_group group = NDL_GROUP_EMBED;
        int kind = NDL_INT8;
        const word name = take_word(&at, ",=");
        NDL_TRY(read_group(&group, name));
        if (seen & 1u << group)
            return NDL_FAIL(NDL_EUSAGE,
                            "--keep %s: given twice: give each once",
                            group_names[group]);
        seen |= 1u << group;
        waiting |= 1u << group;
        if (*at == ',') continue;
        if (*at == '=') {
            at++;
            NDL_TRY(read_kind(&kind, take_word(&at, ","), "--keep"));
        }
        for (int g = 0; g < NDL_N_GROUPS; g++)
            if (waiting & 1u << g) set_kind(mix, g, kind);
        waiting = 0;
        if (*at == '\0') return NDL_OK;
    }
}

/* The kind of all matrices that are not named. */
static ndl_status read_base(ndl_mix *mix, word w)
{
    int kind = NDL_F32;
    NDL_TRY(read_kind(&kind, w, "--dtype"));
    *mix = ndl_mix_plain(NDL_F32);
    for (int g = 0; g < NDL_N_GROUPS; g++) set_kind(mix, g, kind);
    return NDL_OK;
}

static const char *usual_keep(ndl_mix mix)
{
    switch (kind_of(mix, NDL_GROUP_HEAD)) {
    case NDL_INT8: return int8_keeps;
    case NDL_INT4: return int4_keeps;
    default: return "none";
    }
}

ndl_status ndl_mix_parse(ndl_mix *out, const char *dtype, const char *keep)
{
    ndl_mix mix;
    NDL_TRY(read_base(&mix, (word){ dtype, (int)strlen(dtype) }));
    if (!keep) keep = usual_keep(mix);
    if (strcmp(keep, "none") != 0) NDL_TRY(read_groups(&mix, keep));
    *out = mix;
    return NDL_OK;
}

static ndl_status read_text(ndl_mix *out, const char *text)
{
    ndl_mix mix;
    NDL_TRY(read_base(&mix, take_word(&text, ",")));
    if (*text == ',') NDL_TRY(read_groups(&mix, text + 1));
    *out = mix;
    return NDL_OK;
}

ndl_status ndl_mix_read(ndl_mix *out, const char *text)
{
    if (read_text(out, text) == NDL_OK) return NDL_OK;
    ndl_status_clear();
    return NDL_FAIL(NDL_EDATA,
                    "dtype \"%.80s\": not known: import the model "
                    "again",
                    text);
}

/* ---- writing ---- */

/* What most groups have; of two alike the first in order. */
static int base_of(ndl_mix mix)
{
    int n[N_KINDS] = { 0 }, best = 0;
    for (int g = 0; g < NDL_N_GROUPS; g++) n[kind_of(mix, g)]++;
    for (int kind = 1; kind < N_KINDS; kind++)
        if (n[kind] > n[best]) best = kind;
    return best;
}

void ndl_mix_write(ndl_mix mix, char out[NDL_MIX_TEXT])
{
    NDL_ASSERT(ndl_mix_is_valid(mix));
    const int base = base_of(mix);
    int n = snprintf(out, NDL_MIX_TEXT, "%s", kind_name(base));
    for (int g = 0; g < NDL_N_GROUPS; g++)
        if (kind_of(mix, g) != base)
            n += snprintf(out + n, (size_t)(NDL_MIX_TEXT - n), ",%s=%s",
                          group_names[g], kind_name(kind_of(mix, g)));
}
