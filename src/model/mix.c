/*
 * mix.c - mix.h: the texts of a mix, read and written.
 *
 * One reader serves users and files: a list of dtypes and of groups that get
 * them.  Blocks of 32 belong to all int8 of a mix: whoever says so once has
 * said it for all.
 */
#include "noodle/mix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, SMALL_BLOCK = 32 };

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

ndl_mix ndl_mix_plain(ndl_dtype dtype)
{
    ndl_mix mix = { .block = BLOCK };
    for (int g = 0; g < NDL_N_GROUPS; g++) mix.of[g] = (uint8_t)dtype;
    return mix;
}

static bool has(ndl_mix mix, ndl_dtype dtype)
{
    return memchr(mix.of, (int)dtype, sizeof mix.of) != NULL;
}

bool ndl_mix_is_valid(ndl_mix mix)
{
    for (int g = 0; g < NDL_N_GROUPS; g++)
        if (mix.of[g] >= NDL_N_DTYPES) return false;
    return mix.block == BLOCK || mix.block == SMALL_BLOCK;
}

bool ndl_mix_is_quantised(ndl_mix mix)
{
    return has(mix, NDL_INT8) || has(mix, NDL_INT4);
}

bool ndl_mix_equal(ndl_mix a, ndl_mix b)
{
    return memcmp(a.of, b.of, sizeof a.of) == 0 &&
           (a.block == b.block || !has(a, NDL_INT8));
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

static ndl_status read_dtype(ndl_mix *mix, ndl_dtype *out, word w,
                             const char *option)
{
    for (int t = NDL_F32; t < NDL_N_DTYPES; t++) {
        if (!is(w, ndl_dtype_name((ndl_dtype)t))) continue;
        *out = (ndl_dtype)t;
        return NDL_OK;
    }
    if (!is(w, "int8:32"))
        return NDL_FAIL(NDL_EUSAGE,
                        "%s %.*s: not known: give f32, bf16, int8, "
                        "int8:32 or int4",
                        option, shown(w), w.at);
    *out = NDL_INT8;
    mix->block = SMALL_BLOCK;
    return NDL_OK;
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

/* A list like "head,v,down=int8".  Groups wait for the dtype that is named
 * after them, at its end for int8. */
static ndl_status read_groups(ndl_mix *mix, const char *text)
{
    unsigned seen = 0, waiting = 0;
    for (const char *at = text;; at++) {
        ndl_group group = NDL_GROUP_EMBED;
        ndl_dtype dtype = NDL_INT8;
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
            NDL_TRY(read_dtype(mix, &dtype, take_word(&at, ","), "--keep"));
        }
        for (int g = 0; g < NDL_N_GROUPS; g++)
            if (waiting & 1u << g) mix->of[g] = (uint8_t)dtype;
        waiting = 0;
        if (*at == '\0') return NDL_OK;
    }
}

/* The dtype of all matrices that are not named. */
static ndl_status read_base(ndl_mix *mix, word w)
{
    ndl_mix m = ndl_mix_plain(NDL_F32);
    ndl_dtype dtype = NDL_F32;
    NDL_TRY(read_dtype(&m, &dtype, w, "--dtype"));
    memset(m.of, (int)dtype, sizeof m.of);
    *mix = m;
    return NDL_OK;
}

ndl_status ndl_mix_parse(ndl_mix *out, const char *dtype, const char *keep)
{
    ndl_mix mix;
    NDL_TRY(read_base(&mix, (word){ dtype, (int)strlen(dtype) }));
    if (!keep) keep = mix.of[NDL_GROUP_HEAD] == NDL_INT4 ? "head,v" : "none";
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

/* What most groups have; of two alike the first in ndl_dtype's order. */
static ndl_dtype base_of(ndl_mix mix)
{
    int n[NDL_N_DTYPES] = { 0 };
    ndl_dtype best = NDL_F32;
    for (int g = 0; g < NDL_N_GROUPS; g++) n[mix.of[g]]++;
    for (int t = NDL_BF16; t < NDL_N_DTYPES; t++)
        if (n[t] > n[best]) best = (ndl_dtype)t;
    return best;
}

static const char *dtype_text(ndl_mix mix, ndl_dtype t)
{
    const bool small = t == NDL_INT8 && mix.block == SMALL_BLOCK;
    return small ? "int8:32" : ndl_dtype_name(t);
}

void ndl_mix_write(ndl_mix mix, char out[NDL_MIX_TEXT])
{
    NDL_ASSERT(ndl_mix_is_valid(mix));
    const ndl_dtype base = base_of(mix);
    int n = snprintf(out, NDL_MIX_TEXT, "%s", dtype_text(mix, base));
    for (int g = 0; g < NDL_N_GROUPS; g++)
        if (mix.of[g] != base)
            n +=
                snprintf(out + n, (size_t)(NDL_MIX_TEXT - n), ",%s=%s",
                         group_names[g], dtype_text(mix, (ndl_dtype)mix.of[g]));
}
