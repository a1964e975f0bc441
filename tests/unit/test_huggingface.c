/* test_huggingface.c - facts about huggingface.h: names, shapes, elements. */
#include "../../src/formats/huggingface.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/formats/roles.h"
#include "../../src/formats/widen.h"
#include "../support/family_kit.h"

#include "../support/scratch.h"

static ndl_model model_of(const char *config)
{
    ndl_model m;
    ndl_status_clear();
    if (ndl_model_parse(&m, config, strlen(config), NULL, 0, "config.json"))
        fail_msg("%s", ndl_status_message());
    return m;
}

static ndl_huggingface *must_open(const ndl_model *m)
{
    ndl_huggingface *h = NULL;
    ndl_status_clear();
    if (ndl_huggingface_open(&h, folder.path, m) != NDL_OK)
        fail_msg("%s", ndl_status_message());
    return h;
}

static void open_must_fail(const char *config, const char *word)
{
    const ndl_model m = model_of(config);
    ndl_huggingface *h = NULL;
    ndl_status_clear();
    assert_int_equal(ndl_huggingface_open(&h, folder.path, &m), NDL_EDATA);
    assert_null(h);
    if (!strstr(ndl_status_message(), word))
        fail_msg("\"%s\" has no \"%s\"", ndl_status_message(), word);
    assert_non_null(strstr(ndl_status_message(), folder.path));
}

/* What a test expects of a role: element (row, k) of the logical matrix is
 * element `first` + row * row_step + k * k_step of the tensor `name`. */
typedef struct expected {
    ndl_role role;
    const char *name; /* behind the block */
    int first, row_step, k_step;
} expected;

static void check_rows(const ndl_huggingface *hf, const ndl_model *m,
                       const expected *e, int layer, const char *name)
{
    ndl_source s;
    ndl_role_shape shape = { 0 };
    ndl_huggingface_source((ndl_huggingface *)hf, &s);
    assert_true(ndl_role_shape_of(m, e->role, &shape));
    const size_t cols = (size_t)shape.cols;
    float *x = malloc((size_t)shape.rows * cols * sizeof *x);
    assert_non_null(x);
    /* Batches of all sizes must give the same rows. */
    for (int step = 1; step <= shape.rows; step = step * 3 + 1) {
        for (int r = 0; r < shape.rows; r += step) {
            const int n = r + step > shape.rows ? shape.rows - r : step;
            assert_int_equal(
                s.rows(s.arg, e->role, layer, r, n, x + (size_t)r * cols),
                NDL_OK);
        }
        for (int r = 0; r < shape.rows; r++)
            for (int k = 0; k < shape.cols; k++) {
                const int i = e->first + r * e->row_step + k * e->k_step;
                const float want = kit_value(name, (size_t)i);
                if (x[(size_t)r * cols + (size_t)k] != want)
                    fail_msg("%s row %d column %d", name, r, k);
            }
    }
    free(x);
}

static void check_origin(ndl_huggingface *h, const expected *e, int layer,
                         const char *name, const char *dtype)
{
    ndl_source s;
    ndl_origin o;
    ndl_huggingface_source(h, &s);
    s.origin(s.arg, e->role, layer, &o);
    assert_string_equal(o.name, name);
    assert_string_equal(o.dtype, dtype);
    assert_int_equal(o.transposed, e->k_step > 1);
}

/* clang-format off */
static const expected gpt2_layer[] = {
    { NDL_ROLE_NORM1,      "ln_1.weight",        0,  0,  1 },
    { NDL_ROLE_NORM1_BIAS, "ln_1.bias",          0,  0,  1 },
    { NDL_ROLE_Q,          "attn.c_attn.weight", 0,  1, 96 },
    { NDL_ROLE_K,          "attn.c_attn.weight", 32, 1, 96 },
    { NDL_ROLE_V,          "attn.c_attn.weight", 64, 1, 96 },
    { NDL_ROLE_Q_BIAS,     "attn.c_attn.bias",   0,  0,  1 },
    { NDL_ROLE_K_BIAS,     "attn.c_attn.bias",   32, 0,  1 },
    { NDL_ROLE_V_BIAS,     "attn.c_attn.bias",   64, 0,  1 },
    { NDL_ROLE_OUT,        "attn.c_proj.weight", 0,  1, 32 },
    { NDL_ROLE_OUT_BIAS,   "attn.c_proj.bias",   0,  0,  1 },
    { NDL_ROLE_NORM2,      "ln_2.weight",        0,  0,  1 },
    { NDL_ROLE_NORM2_BIAS, "ln_2.bias",          0,  0,  1 },
    { NDL_ROLE_UP,         "mlp.c_fc.weight",    0,  1, 128 },
    { NDL_ROLE_UP_BIAS,    "mlp.c_fc.bias",      0,  0,  1 },
    { NDL_ROLE_DOWN,       "mlp.c_proj.weight",  0,  1, 32 },
    { NDL_ROLE_DOWN_BIAS,  "mlp.c_proj.bias",    0,  0,  1 },
};
static const expected gpt2_ends[] = {
    { NDL_ROLE_TOKENS,          "wte.weight",  0, 32, 1 },
    { NDL_ROLE_POSITIONS,       "wpe.weight",  0, 32, 1 },
    { NDL_ROLE_FINAL_NORM,      "ln_f.weight", 0, 0,  1 },
    { NDL_ROLE_FINAL_NORM_BIAS, "ln_f.bias",   0, 0,  1 },
};
static const expected llama_layer[] = {
    { NDL_ROLE_NORM1,     "input_layernorm.weight",          0, 0,  1 },
    { NDL_ROLE_Q,         "self_attn.q_proj.weight",         0, 24, 1 },
    { NDL_ROLE_K,         "self_attn.k_proj.weight",         0, 24, 1 },
    { NDL_ROLE_V,         "self_attn.v_proj.weight",         0, 24, 1 },
    { NDL_ROLE_OUT,       "self_attn.o_proj.weight",         0, 32, 1 },
    { NDL_ROLE_NORM2,     "post_attention_layernorm.weight", 0, 0,  1 },
    { NDL_ROLE_GATE,      "mlp.gate_proj.weight",            0, 24, 1 },
    { NDL_ROLE_UP,        "mlp.up_proj.weight",              0, 24, 1 },
    { NDL_ROLE_DOWN,      "mlp.down_proj.weight",            0, 40, 1 },
};
static const expected llama_biases[] = {
    { NDL_ROLE_Q_BIAS,    "self_attn.q_proj.bias", 0, 0, 1 },
    { NDL_ROLE_K_BIAS,    "self_attn.k_proj.bias", 0, 0, 1 },
    { NDL_ROLE_V_BIAS,    "self_attn.v_proj.bias", 0, 0, 1 },
    { NDL_ROLE_OUT_BIAS,  "self_attn.o_proj.bias", 0, 0, 1 },
    { NDL_ROLE_GATE_BIAS, "mlp.gate_proj.bias",    0, 0, 1 },
    { NDL_ROLE_UP_BIAS,   "mlp.up_proj.bias",      0, 0, 1 },
    { NDL_ROLE_DOWN_BIAS, "mlp.down_proj.bias",    0, 0, 1 },
};
static const expected llama_ends[] = {
    { NDL_ROLE_TOKENS,     "embed_tokens.weight", 0, 24, 1 },
    { NDL_ROLE_FINAL_NORM, "norm.weight",         0, 0,  1 },
};
static const expected head = { NDL_ROLE_HEAD, "lm_head.weight", 0, 24, 1 };
/* clang-format on */

#define COUNT(table) (sizeof table / sizeof *table)

/* `before` is what stands in front of a name, "%d." of the layer excluded. */
static void check_all(ndl_huggingface *h, const ndl_model *m,
                      const expected *table, size_t n, const char *before,
                      int layer, const char *dtype)
{
    for (size_t i = 0; i < n; i++) {
        char name[128];
        if (layer < 0)
            snprintf(name, sizeof name, "%s%s", before, table[i].name);
        else
            snprintf(name, sizeof name, "%s%d.%s", before, layer,
                     table[i].name);
        check_rows(h, m, &table[i], layer < 0 ? 0 : layer, name);
        check_origin(h, &table[i], layer < 0 ? 0 : layer, name, dtype);
    }
}

static void check_gpt2(const char *prefix, const char *dtype)
{
    const ndl_model m = model_of(KIT_GPT2_CONFIG);
    ndl_huggingface *h = must_open(&m);
    char in[64];
    snprintf(in, sizeof in, "%sh.", prefix);
    check_all(h, &m, gpt2_ends, COUNT(gpt2_ends), prefix, -1, dtype);
    for (int layer = 0; layer < 2; layer++)
        check_all(h, &m, gpt2_layer, COUNT(gpt2_layer), in, layer, dtype);
    ndl_huggingface_close(&h);
    assert_null(h);
}

static void set_dtypes(kit_checkpoint *c, const char *dtype)
{
    for (int i = 0; i < c->n; i++) c->tensors[i].dtype = dtype;
}

static const char *const dtypes[] = { "F32", "F16", "BF16" };

static void gpt2_rows_are_transposed_slices_in_every_dtype(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_gpt2(&c, "transformer.");
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        set_dtypes(&c, dtypes[i]);
        kit_write_single(&c, folder.path);
        check_gpt2("transformer.", dtypes[i]);
    }
}

static void gpt2_bare_names_and_masks_are_understood(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_gpt2(&c, "");
    kit_add(&c, "h.0.attn.bias", 24, 24);
    kit_add(&c, "h.1.attn.masked_bias", 1, 0);
    kit_find(&c, "h.0.attn.bias")->dtype = "I32";
    kit_add(&c, "lm_head.weight", 40, 32);
    kit_write_single(&c, folder.path);
    check_gpt2("", "F32");
}

static void check_llama(const char *prefix, const ndl_model *m,
                        const char *dtype)
{
    ndl_huggingface *h = must_open(m);
    char in[64];
    snprintf(in, sizeof in, "%slayers.", prefix);
    check_all(h, m, llama_ends, COUNT(llama_ends), prefix, -1, dtype);
    for (int layer = 0; layer < 2; layer++) {
        check_all(h, m, llama_layer, COUNT(llama_layer), in, layer, dtype);
        if (m->qkv_bias)
            check_all(h, m, llama_biases, COUNT(llama_biases), in, layer,
                      dtype);
    }
    if (!m->tied) check_all(h, m, &head, 1, "", -1, dtype);
    ndl_huggingface_close(&h);
}

static void llama_rows_are_the_tensors_in_every_dtype(void **state)
{
    (void)state;
    const ndl_model m = model_of(KIT_LLAMA_CONFIG);
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        set_dtypes(&c, dtypes[i]);
        kit_write_single(&c, folder.path);
        check_llama("model.", &m, dtypes[i]);
    }
}

static void llama_bare_names_biases_and_shards_are_understood(void **state)
{
    (void)state;
    kit_checkpoint c;
    const ndl_model m = model_of("{" KIT_LLAMA_FIELDS
                                 ",\"attention_bias\":true,\"mlp_bias\":true,"
                                 "\"tie_word_embeddings\":true}");
    kit_llama(&c, "", true, true);
    kit_add(&c, "layers.0.self_attn.rotary_emb.inv_freq", 4, 0);
    kit_write_shards(&c, 9, folder.path);
    check_llama("", &m, "F32");
}

static void qwen2_biases_are_of_q_k_and_v_alone(void **state)
{
    (void)state;
    const ndl_model m = model_of(KIT_QWEN2_CONFIG);
    kit_checkpoint c;
    kit_qwen2(&c, false);
    kit_write_single(&c, folder.path);
    ndl_huggingface *h = must_open(&m);
    check_all(h, &m, llama_ends, COUNT(llama_ends), "model.", -1, "F32");
    for (int layer = 0; layer < 2; layer++) {
        check_all(h, &m, llama_layer, COUNT(llama_layer), "model.layers.",
                  layer, "F32");
        check_all(h, &m, llama_biases, 3, "model.layers.", layer, "F32");
    }
    ndl_huggingface_close(&h);
    kit_add(&c, "model.layers.0.self_attn.o_proj.bias", 24, 0);
    kit_write_single(&c, folder.path);
    open_must_fail(KIT_QWEN2_CONFIG, "o_proj.bias, which a qwen2 model");
    kit_qwen2(&c, false);
    snprintf(kit_find(&c, "model.layers.1.self_attn.k_proj.bias")->name, 8,
             "gone");
    kit_write_single(&c, folder.path);
    open_must_fail(KIT_QWEN2_CONFIG,
                   "no tensor model.layers.1.self_attn.k_proj.bias");
}

static void llama_tied_head_that_is_stored_again_is_not_used(void **state)
{
    (void)state;
    kit_checkpoint c;
    const ndl_model m =
        model_of("{" KIT_LLAMA_FIELDS ",\"tie_word_embeddings\":true}");
    kit_llama(&c, "model.", false, false);
    kit_write_single(&c, folder.path);
    check_llama("model.", &m, "F32");
}

static void llama_tensor_that_the_model_lacks_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const strange[] = {
        "model.layers.0.self_attn.q_norm.weight",
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.2.mlp.up_proj.weight",
        "model.layers.0.attn.bias",
        "embed_tokens.weight",
        "model.lm_head.weight",
        "lm_head.bias",
    };
    for (size_t i = 0; i < COUNT(strange); i++) {
        kit_checkpoint c;
        char word[128];
        kit_llama(&c, "model.", false, false);
        kit_add(&c, strange[i], 8, 0);
        kit_write_single(&c, folder.path);
        snprintf(word, sizeof word, "holds tensor %s, which a llama model",
                 strange[i]);
        open_must_fail(KIT_LLAMA_CONFIG, word);
    }
}

/* Rename, reshape or retype one tensor and expect its name in the message. */
static void spoil(const char *tensor, int d0, int d1, const char *dtype,
                  const char *word)
{
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    kit_tensor *t = kit_find(&c, tensor);
    if (d0) t->dims[0] = d0;
    if (d0) t->dims[1] = d1 ? d1 : 1;
    if (d0) t->n_dims = d1 ? 2 : 1;
    if (dtype) t->dtype = dtype;
    if (!d0 && !dtype) snprintf(t->name, sizeof t->name, "gone");
    kit_write_single(&c, folder.path);
    open_must_fail(KIT_LLAMA_CONFIG, tensor);
    if (!strstr(ndl_status_message(), word))
        fail_msg("\"%s\" has no \"%s\"", ndl_status_message(), word);
}

static void llama_tensor_that_is_missing_is_named(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    for (int i = 0; i < c.n; i++)
        spoil(c.tensors[i].name, 0, 0, NULL, "no tensor");
}

static void llama_tensor_of_another_shape_is_named_with_both(void **state)
{
    (void)state;
    spoil("model.layers.1.mlp.down_proj.weight", 40, 24, NULL,
          "shape [40, 24]: config.json asks for [24, 40]");
    spoil("model.norm.weight", 23, 0, NULL,
          "shape [23]: config.json asks for [24]");
    spoil("model.norm.weight", 24, 1, NULL, "shape [24, 1]");
    spoil("lm_head.weight", 1200, 0, NULL, "shape [1200]");
}

static void llama_tensor_of_another_dtype_is_named(void **state)
{
    (void)state;
    spoil("model.layers.1.mlp.down_proj.weight", 0, 0, "I32",
          "has dtype I32: only F32, F16 and BF16");
}

static void gpt2_tensor_of_another_shape_is_named_with_both(void **state)
{
    (void)state;
    kit_checkpoint c;
    kit_gpt2(&c, "");
    kit_tensor *t = kit_find(&c, "h.0.attn.c_attn.weight");
    t->dims[0] = 96;
    t->dims[1] = 32;
    kit_write_single(&c, folder.path);
    open_must_fail(KIT_GPT2_CONFIG,
                   "h.0.attn.c_attn.weight has shape [96, 32]: config.json "
                   "asks for [32, 96]");
}

static void dtype_is_bf16_only_if_every_matrix_is(void **state)
{
    (void)state;
    const ndl_model m = model_of(KIT_LLAMA_CONFIG);
    kit_checkpoint c;
    kit_llama(&c, "model.", false, false);
    set_dtypes(&c, "BF16");
    kit_find(&c, "model.norm.weight")->dtype = "F32";
    kit_write_single(&c, folder.path);
    ndl_huggingface *h = must_open(&m);
    assert_int_equal(ndl_huggingface_dtype(h), NDL_BF16);
    ndl_huggingface_close(&h);
    kit_find(&c, "model.layers.1.mlp.up_proj.weight")->dtype = "F16";
    kit_write_single(&c, folder.path);
    h = must_open(&m);
    assert_int_equal(ndl_huggingface_dtype(h), NDL_F32);
    ndl_huggingface_close(&h);
}

/* Value of f16 bits by the definition of the format. */
static double value_of_f16(unsigned h)
{
    const int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
    const double sign = h >> 15 ? -1 : 1;
    if (exponent == 31) return mantissa ? (double)NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(mantissa, -24);
    return sign * ldexp(1024 + mantissa, exponent - 25);
}

static void f16_every_value_widens_exactly(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        const uint16_t bits = (uint16_t)h;
        const double want = value_of_f16(h);
        float x = 0;
        ndl_widen(&x, &bits, NDL_FLOAT_F16, 1);
        assert_int_equal(signbit(x) != 0, h >> 15);
        if (isnan(want))
            assert_true(isnan(x));
        else
            assert_true((double)x == want);
    }
}

static void bf16_every_value_keeps_its_bits(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t bits = (uint16_t)h;
        float x = 0;
        uint32_t u = 0;
        ndl_widen(&x, &bits, NDL_FLOAT_BF16, 1);
        memcpy(&u, &x, sizeof u);
        assert_true(u == h << 16);
    }
}

static void f16_and_bf16_narrow_to_the_same_bits(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        static const ndl_float_type types[] = { NDL_FLOAT_F16, NDL_FLOAT_BF16 };
        for (int i = 0; i < 2; i++) {
            const uint16_t bits = (uint16_t)h;
            uint16_t back = (uint16_t)~h;
            float x = 0;
            ndl_widen(&x, &bits, types[i], 1);
            assert_int_equal(ndl_narrow(&back, &x, types[i], 1), 1);
            assert_int_equal(back, bits);
        }
    }
}

/* Any change of a bit that f16 has no room for must be seen. */
static void f16_neighbours_are_no_f16(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t bits = (uint16_t)h;
        uint16_t back = 0;
        float x = 0;
        uint32_t u = 0;
        ndl_widen(&x, &bits, NDL_FLOAT_F16, 1);
        memcpy(&u, &x, sizeof u);
        for (int bit = 0; bit < 13; bit++) {
            const uint32_t other = u ^ 1u << bit;
            memcpy(&x, &other, sizeof x);
            assert_int_equal(ndl_narrow(&back, &x, NDL_FLOAT_F16, 1), 0);
        }
    }
}

static void narrowing_stops_at_the_first_that_does_not_fit(void **state)
{
    (void)state;
    const float x[] = { 1, -2, 0.1f, 4 };
    uint16_t out[4] = { 0 };
    float same[4];
    assert_int_equal(ndl_narrow(out, x, NDL_FLOAT_F16, 4), 2);
    assert_int_equal(out[1], 0xc000);
    assert_int_equal(ndl_narrow(out, x, NDL_FLOAT_BF16, 4), 2);
    assert_int_equal(ndl_narrow(same, x, NDL_FLOAT_F32, 4), 4);
    assert_memory_equal(same, x, sizeof x);
    const float large[] = { 65504, 65536 };
    assert_int_equal(ndl_narrow(out, large, NDL_FLOAT_F16, 2), 1);
}

static void floats_widen_from_any_address(void **state)
{
    (void)state;
    const unsigned char bytes[] = {
        9, 0x00, 0x3c, 0x00, 0xc0, 0, 0, 0x80, 0x3f
    };
    float x[2];
    ndl_widen(x, bytes + 1, NDL_FLOAT_F16, 2);
    assert_true(x[0] == 1 && x[1] == -2);
    ndl_widen(x, bytes + 5, NDL_FLOAT_F32, 1);
    assert_true(x[0] == 1);
    ndl_widen(x, bytes + 7, NDL_FLOAT_BF16, 1);
    assert_true(x[0] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(gpt2_rows_are_transposed_slices_in_every_dtype),
        IN_SCRATCH(gpt2_bare_names_and_masks_are_understood),
        IN_SCRATCH(llama_rows_are_the_tensors_in_every_dtype),
        IN_SCRATCH(llama_bare_names_biases_and_shards_are_understood),
        IN_SCRATCH(qwen2_biases_are_of_q_k_and_v_alone),
        IN_SCRATCH(llama_tied_head_that_is_stored_again_is_not_used),
        IN_SCRATCH(llama_tensor_that_the_model_lacks_is_refused_by_name),
        IN_SCRATCH(llama_tensor_that_is_missing_is_named),
        IN_SCRATCH(llama_tensor_of_another_shape_is_named_with_both),
        IN_SCRATCH(llama_tensor_of_another_dtype_is_named),
        IN_SCRATCH(gpt2_tensor_of_another_shape_is_named_with_both),
        IN_SCRATCH(dtype_is_bf16_only_if_every_matrix_is),
        cmocka_unit_test(f16_every_value_widens_exactly),
        cmocka_unit_test(bf16_every_value_keeps_its_bits),
        cmocka_unit_test(f16_and_bf16_narrow_to_the_same_bits),
        cmocka_unit_test(f16_neighbours_are_no_f16),
        cmocka_unit_test(narrowing_stops_at_the_first_that_does_not_fit),
        cmocka_unit_test(floats_widen_from_any_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
