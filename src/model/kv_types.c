/* kv_types.c - see kv_types.h: names, sizes, and what users get wrong. */
#include "noodle/kv_types.h"

#include <stdio.h>
#include <string.h>

#include "kernels.h"

ndl_kv_types ndl_kv_types_default(ndl_mix mix)
{
    const ndl_dtype t = ndl_mix_kv_dtype(mix);
    return (ndl_kv_types){ t, t };
}

bool ndl_kv_types_is_valid(uint32_t k, uint32_t v)
{
    return k <= NDL_INT8 && v <= NDL_INT8 && (k == NDL_F32) == (v == NDL_F32);
}

bool ndl_kv_types_equal(ndl_kv_types a, ndl_kv_types b)
{
    return a.k == b.k && a.v == b.v;
}

void ndl_kv_types_write(ndl_kv_types t, char out[NDL_KV_TYPES_TEXT])
{
    NDL_ASSERT(ndl_kv_types_is_valid(t.k, t.v));
    snprintf(out, NDL_KV_TYPES_TEXT, "%s%s%s", ndl_dtype_name(t.k),
             t.k == t.v ? "" : "/", t.k == t.v ? "" : ndl_dtype_name(t.v));
}

/* ---- what users ask for ---- */

/* Types of other programs: the one here that does what they are chosen for. */
static const char *hint_of(const char *name)
{
    if (strcmp(name, "f16") == 0)
        return "is not supported: give bf16 (of the same size) or int8";
    if (strcmp(name, "q8_0") == 0)
        return "is not supported: give int8 (of about the same size)";
    if (name[0] == 'q' || name[0] == 'i')
        return "is not supported: give int8, the smallest that there is";
    return "is not known: give f32, bf16 or int8";
}

static ndl_status read_type(ndl_dtype *out, const char *option,
                            const char *name)
{
    static const ndl_dtype types[] = { NDL_F32, NDL_BF16, NDL_INT8 };
    if (!name) return NDL_OK;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(name, ndl_dtype_name(types[i])) == 0) {
            *out = types[i];
            return NDL_OK;
        }
    return NDL_FAIL(NDL_EUSAGE, "%s %.20s: %s", option, name, hint_of(name));
}

ndl_status ndl_kv_types_parse(ndl_kv_types *out, const char *k, const char *v,
                              ndl_kv_types fallback)
{
    ndl_kv_types t = fallback;
    NDL_TRY(read_type(&t.k, "-ctk", k));
    NDL_TRY(read_type(&t.v, "-ctv", v));
    if (!ndl_kv_types_is_valid(t.k, t.v))
        return NDL_FAIL(NDL_EUSAGE,
                        "-ctk %s%s, -ctv %s%s: f32 stands beside f32 only, "
                        "because one kernel reads keys and values: give f32 "
                        "for both, or bf16 or int8 for each",
                        ndl_dtype_name(t.k), k ? "" : " (by default)",
                        ndl_dtype_name(t.v), v ? "" : " (by default)");
    *out = t;
    return NDL_OK;
}

/* ---- sizes ---- */

size_t ndl_kv_types_row_bytes(ndl_dtype t, int cells)
{
    if (t == NDL_INT8) return (size_t)cells + sizeof(float); /* its scale */
    return (size_t)cells * ndl_dtype_bytes(t);
}

size_t ndl_kv_types_key_bytes(ndl_kv_types t, const ndl_model *m)
{
    const int padded = (m->head_dim + NDL_LANES - 1) / NDL_LANES * NDL_LANES;
    return (size_t)m->n_kv_heads * (ndl_kv_types_row_bytes(t.k, m->head_dim) +
                                    ndl_kv_types_row_bytes(t.v, padded));
}
