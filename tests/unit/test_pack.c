/*
 * test_pack.c - every element of a packed file is where weights.h says.
 *
 * The places are computed here from the words of weights.h, not by the table
 * that pack and map share.
 */
#include "noodle/pack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../support/tiny_model.h"

#include "../support/scratch.h"

static void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
}

static float from_bf16(uint16_t b)
{
    const uint32_t u = (uint32_t)b << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* The nearer of the two bf16 neighbours, the even one of equals: by distance,
 * not by the carry that the program uses. */
static float nearest_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    const uint16_t low = (uint16_t)(u >> 16);
    const double below = from_bf16(low), above = from_bf16(low + 1);
    const double to_below = fabs(x - below), to_above = fabs(above - x);
    if (to_below < to_above) return (float)below;
    if (to_above < to_below) return (float)above;
    return (float)(low % 2 == 0 ? below : above);
}

static float stored(float x, ndl_dtype t)
{
    return t == NDL_BF16 ? nearest_bf16(x) : x;
}

/* Element (r, k) of a matrix in memory, k also in the padding. */
static float element(const ndl_matrix *m, int r, int k)
{
    const size_t p = (size_t)r / 16, lane = (size_t)r % 16, c = (size_t)k;
    const size_t K = (size_t)m->cols, pairs = (K + 1) / 2;
    if (!m->panels && m->dtype == NDL_F32)
        return ((const float *)m->data)[(size_t)r * K + c];
    if (!m->panels)
        return from_bf16(((const uint16_t *)m->data)[(size_t)r * K + c]);
    if (m->dtype == NDL_F32)
        return ((const float *)m->data)[(p * K + c) * 16 + lane];
    return from_bf16(
        ((const uint16_t *)
             m->data)[((p * pairs + c / 2) * 16 + lane) * 2 + c % 2]);
}

/* Where a file row comes from: a role and its row, or nothing. */
typedef struct origin {
    ndl_role role;
    int row; /* -1: zeros */
} origin;

/* q and k heads of a multiple of 32 under RoPE: a panel of the first half,
 * one of the second, in turn. */
static int rotated(const ndl_model *m, int r)
{
    const int hd = m->head_dim, head = r / hd, i = r % hd;
    if (m->rope.kind == NDL_ROPE_NONE || hd % 32 != 0) return r;
    const int j = i / 32, l = i % 16;
    return head * hd + (i % 32 < 16 ? 0 : hd / 2) + 16 * j + l;
}

static origin qkv_origin(const ndl_model *m, int r, ndl_role q)
{
    const int nq = m->n_heads * m->head_dim, nk = m->n_kv_heads * m->head_dim;
    if (r < nq) return (origin){ q, rotated(m, r) };
    if (r < nq + nk) return (origin){ q + 1, rotated(m, r - nq) };
    if (r < nq + 2 * nk) return (origin){ q + 2, r - nq - nk };
    return (origin){ q, -1 };
}

static origin up_origin(const ndl_model *m, int r, ndl_role up, ndl_role gate)
{
    const int i = m->mlp == NDL_MLP_GELU ? r : r / 32 * 16 + r % 16;
    const bool is_gate = m->mlp == NDL_MLP_SWIGLU && r % 32 < 16;
    return (origin){ is_gate ? gate : up, i < m->ffn ? i : -1 };
}

static origin origin_of(const ndl_model *m, ndl_role role, int r, int rows)
{
    switch (role) {
    case NDL_ROLE_Q:
    case NDL_ROLE_Q_BIAS: return qkv_origin(m, r, role);
    case NDL_ROLE_UP: return up_origin(m, r, role, NDL_ROLE_GATE);
    case NDL_ROLE_UP_BIAS: return up_origin(m, r, role, NDL_ROLE_GATE_BIAS);
    default: return (origin){ role, r < rows ? r : -1 };
    }
}

static void check_matrix(const ndl_model *m, const ndl_matrix *w, ndl_role role,
                         int layer, int rows)
{
    const int all_rows = w->panels ? (rows + 15) / 16 * 16 : rows;
    const bool pairs = w->panels && w->dtype == NDL_BF16;
    const int all_cols = pairs ? (w->cols + 1) / 2 * 2 : w->cols;
    assert_non_null(w->data);
    assert_int_equal((uintptr_t)w->data % 64, 0);
    assert_int_equal(w->rows, rows);
    for (int r = 0; r < all_rows; r++) {
        const origin o = origin_of(m, role, r, rows);
        for (int k = 0; k < all_cols; k++) {
            const bool has = o.row >= 0 && k < w->cols;
            const float x = has ? tiny_value(o.role, layer, o.row, k) : 0;
            assert_true(element(w, r, k) == stored(x, w->dtype));
        }
    }
}

static void check_vector(const ndl_model *m, const float *v, bool there,
                         ndl_role role, int layer, int rows)
{
    if (!there) {
        assert_null(v);
        return;
    }
    assert_non_null(v);
    assert_int_equal((uintptr_t)v % 64, 0);
    for (int r = 0; r < rows; r++) {
        const origin o = origin_of(m, role, r, rows);
        const float x = o.row < 0 ? 0 : tiny_value(o.role, layer, 0, o.row);
        assert_true(v[r] == x);
    }
}

static void check_layer(const ndl_model *m, const ndl_layer *l, int i)
{
    const int d = m->width, f16 = (m->ffn + 15) / 16 * 16;
    const int qkv = (m->n_heads + 2 * m->n_kv_heads) * m->head_dim;
    const int up = m->mlp == NDL_MLP_SWIGLU ? 2 * f16 : m->ffn;
    const bool ln = m->norm == NDL_NORM_LAYER;
    assert_int_equal(l->qkv.cols, d);
    assert_int_equal(l->out.cols, m->n_heads * m->head_dim);
    assert_int_equal(l->up.cols, d);
    assert_int_equal(l->down.cols, m->ffn);
    check_vector(m, l->norm1, true, NDL_ROLE_NORM1, i, d);
    check_vector(m, l->norm1_bias, ln, NDL_ROLE_NORM1_BIAS, i, d);
    check_matrix(m, &l->qkv, NDL_ROLE_Q, i, qkv);
    check_vector(m, l->qkv_bias, m->qkv_bias, NDL_ROLE_Q_BIAS, i, qkv);
    check_matrix(m, &l->out, NDL_ROLE_OUT, i, d);
    check_vector(m, l->out_bias, m->out_bias, NDL_ROLE_OUT_BIAS, i, d);
    check_vector(m, l->norm2, true, NDL_ROLE_NORM2, i, d);
    check_vector(m, l->norm2_bias, ln, NDL_ROLE_NORM2_BIAS, i, d);
    check_matrix(m, &l->up, NDL_ROLE_UP, i, up);
    check_vector(m, l->up_bias, m->mlp_bias, NDL_ROLE_UP_BIAS, i, up);
    check_matrix(m, &l->down, NDL_ROLE_DOWN, i, d);
    check_vector(m, l->down_bias, m->mlp_bias, NDL_ROLE_DOWN_BIAS, i, d);
}

static void check_ends(const ndl_model *m, const ndl_ends *e)
{
    const bool ln = m->norm == NDL_NORM_LAYER;
    assert_int_equal(e->tokens.panels, m->tied);
    check_matrix(m, &e->tokens, NDL_ROLE_TOKENS, 0, m->vocab);
    if (m->rope.kind == NDL_ROPE_NONE) {
        assert_false(e->positions.panels);
        check_matrix(m, &e->positions, NDL_ROLE_POSITIONS, 0, m->context);
    } else {
        assert_null(e->positions.data);
    }
    check_vector(m, e->norm, true, NDL_ROLE_FINAL_NORM, 0, m->width);
    check_vector(m, e->norm_bias, ln, NDL_ROLE_FINAL_NORM_BIAS, 0, m->width);
    assert_true(e->head.panels);
    if (m->tied)
        assert_ptr_equal(e->head.data, e->tokens.data);
    else
        check_matrix(m, &e->head, NDL_ROLE_HEAD, 0, m->vocab);
}

static void every_element_is_in_its_place(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * N_TINY_MODELS; i++) {
        const tiny_model *t = &tiny_models[i / 2];
        const ndl_dtype dtype = i % 2 ? NDL_BF16 : NDL_F32;
        ndl_weights *w = NULL;
        ndl_model parsed;
        ok(ndl_model_parse(&parsed, t->config, strlen(t->config), NULL, 0,
                           t->name));
        const ndl_part whole = { 0, parsed.n_layers, true, true };
        ok(tiny_write(t, dtype, path, -1));
        assert_int_equal(test_folder_count(&folder), 1);
        ok(ndl_weights_open(&w, path, &whole, NULL));
        const ndl_model *m = ndl_weights_model(w);
        assert_true(ndl_mix_equal(ndl_weights_mix(w), ndl_mix_plain(dtype)));
        assert_int_equal(m->width, parsed.width);
        for (int l = 0; l < m->n_layers; l++)
            check_layer(m, ndl_weights_layer(w, l), l);
        check_ends(m, ndl_weights_ends(w));
        ndl_weights_destroy(&w);
        assert_null(w);
        ok(ndl_weights_check(path, NULL, NULL));
    }
}

static void expect_text(ndl_store *s, const char *object, const char *name,
                        const char *expected)
{
    char *text = NULL;
    ok(ndl_store_get_text(s, object, name, &text));
    assert_string_equal(text, expected);
    free(text);
}

static void expect_int(ndl_store *s, const char *object, const char *name,
                       int64_t expected)
{
    int64_t v = -1;
    ok(ndl_store_get_ints(s, object, name, &v, 1));
    assert_int_equal(v, expected);
}

static void attributes_tell_how_to_export(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    setenv("SOURCE_DATE_EPOCH", "86399", 1);
    ok(tiny_write(&tiny_models[2], NDL_BF16, path, -1));
    unsetenv("SOURCE_DATE_EPOCH");
    ok(ndl_store_open(&s, path));
    expect_text(s, "/", "noodle_format", "weights");
    expect_text(s, "/", "writer", "noodle-mpi");
    expect_text(s, "/", "created", "1970-01-01T23:59:59Z");
    expect_text(s, "/", "source", "llama-32");
    expect_text(s, "/", "arch", "llama");
    expect_text(s, "/", "dtype", "bf16");
    expect_text(s, "/", "config", tiny_models[2].config);
    expect_text(s, "/", "generation_config", "{}");
    expect_text(s, "/layers/0002/qkv", "layout", "panels");
    expect_text(s, "/layers/0002/qkv", "order", "rope16");
    expect_text(s, "/layers/0002/qkv", "dtype", "bf16");
    expect_text(s, "/layers/0002/qkv", "source_dtype", "F32");
    expect_text(s, "/layers/0002/qkv", "sources",
                "[\"layer.2.role.4\", \"layer.2.role.5\", \"layer.2.role.6\"]");
    expect_int(s, "/layers/0002/qkv", "rows", 8 * 32);
    expect_int(s, "/layers/0002/qkv", "cols", 37);
    expect_int(s, "/layers/0002/qkv", "transposed", 0);
    expect_text(s, "/layers/0001/gate_up", "order", "alternate16");
    expect_text(s, "/layers/0001/gate_up", "sources",
                "[\"layer.1.role.14\", \"layer.1.role.15\"]");
    expect_int(s, "/layers/0001/gate_up", "rows", 2 * 176);
    expect_text(s, "/layers/0000/norm1", "layout", "vector");
    expect_text(s, "/layers/0000/norm1", "dtype", "f32");
    expect_text(s, "/embed/tokens", "layout", "rows");
    assert_true(ndl_store_has(s, "/head/matrix"));
    assert_false(ndl_store_has(s, "/embed/positions"));
    ndl_store_close(&s);
}

static void a_fused_source_is_named_once(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1));
    ok(ndl_store_open(&s, path));
    expect_text(s, "/layers/0000/qkv", "sources",
                "[\"h.0.attn.c_attn.weight\"]");
    expect_text(s, "/layers/0000/qkv", "order", "natural");
    expect_int(s, "/layers/0000/qkv", "transposed", 1);
    expect_text(s, "/embed/tokens", "layout", "panels");
    assert_false(ndl_store_has(s, "/head/matrix"));
    assert_true(ndl_store_has(s, "/embed/positions"));
    assert_true(ndl_store_has(s, "/layers/0000/up"));
    ndl_store_close(&s);
}

static void a_failing_source_leaves_no_file(void **state)
{
    (void)state;
    for (int calls = 0; calls < 40; calls += 7) {
        assert_int_equal(tiny_write(&tiny_models[2], NDL_F32, path, calls),
                         NDL_EIO);
        assert_string_equal(ndl_status_message(), "tiny: no more rows");
        assert_int_equal(test_folder_count(&folder), 0);
        ndl_status_clear();
    }
}

/* A matrix of several batches, and special values. */
enum { WIDE = 40000, SPECIALS = 12 };

static const uint32_t specials[SPECIALS][2] = {
    /* clang-format off */
    { 0x00000000, 0x0000 }, { 0x80000000, 0x8000 }, /* zeros             */
    { 0x3f808000, 0x3f80 }, { 0x3f818000, 0x3f82 }, /* ties go to even   */
    { 0x3f808001, 0x3f81 }, { 0x3f807fff, 0x3f80 }, /* beside the ties   */
    { 0x7f800000, 0x7f80 }, { 0xff800000, 0xff80 }, /* infinities        */
    { 0x7f7fffff, 0x7f80 }, { 0x00008001, 0x0001 }, /* overflow, tiny    */
    { 0x7f800001, 0x7fc0 }, { 0xffffffff, 0xffff }, /* NaNs stay NaNs    */
    /* clang-format on */
};

static ndl_status special_rows(void *arg, ndl_role role, int layer, int first,
                               int n, float *dst)
{
    const int cols = tiny_cols(arg, role);
    (void)layer;
    if (role != NDL_ROLE_TOKENS) {
        memset(dst, 0, (size_t)n * (size_t)cols * sizeof *dst);
        return NDL_OK;
    }
    for (int r = first; r < first + n; r++)
        for (int c = 0; c < cols; c++)
            memcpy(dst++, &specials[(r + c) % SPECIALS][0], sizeof *dst);
    return NDL_OK;
}

static void special_origin(void *arg, ndl_role role, int layer, ndl_origin *out)
{
    (void)arg, (void)role, (void)layer;
    *out = (ndl_origin){ "quoted \"name\"", "BF16", false };
}

/* What progress has told. */
typedef struct told {
    uint64_t last, all;
    int calls;
} told;

static ndl_status tell(void *arg, uint64_t done, uint64_t all)
{
    told *t = arg;
    assert_true(done >= t->last && done <= all);
    assert_true(t->calls == 0 || all == t->all);
    *t = (told){ done, all, t->calls + 1 };
    return NDL_OK;
}

static void batches_join_and_bf16_rounds_specials(void **state)
{
    (void)state;
    char config[400];
    ndl_model m;
    ndl_store *s = NULL;
    ndl_weights *w = NULL;
    told t = { 0 };
    snprintf(config, sizeof config,
             "{\"model_type\":\"llama\",\"num_hidden_layers\":1,"
             "\"hidden_size\":65,\"num_attention_heads\":1,\"head_dim\":2,"
             "\"intermediate_size\":1,\"vocab_size\":%d,"
             "\"max_position_embeddings\":1,\"rms_norm_eps\":1e-5,"
             "\"tie_word_embeddings\":true}",
             WIDE + 1);
    ok(ndl_model_parse(&m, config, strlen(config), NULL, 0, "specials"));
    const ndl_source source = { &m, special_rows, special_origin };
    const ndl_pack_meta meta = { .config = config,
                                 .progress = tell,
                                 .progress_arg = &t };
    ok(ndl_store_create(&s, path));
    ok(ndl_pack(s, &m, ndl_mix_plain(NDL_BF16), &source, &meta));
    ok(ndl_store_commit(&s));
    assert_true(t.calls > 0 && t.last == t.all);
    const ndl_part ends = { 0, 0, true, true };
    ok(ndl_weights_open(&w, path, &ends, NULL));
    const uint16_t *panel = ndl_weights_ends(w)->tokens.data;
    for (int r = 0; r < WIDE + 16; r++)
        for (int c = 0; c < 66; c++) {
            const size_t at =
                ((size_t)(r / 16 * 33 + c / 2) * 16 + (size_t)r % 16) * 2 +
                (size_t)c % 2;
            const bool in = r <= WIDE && c < 65;
            if (r < (WIDE + 16) / 16 * 16)
                assert_int_equal(panel[at],
                                 in ? specials[(r + c) % SPECIALS][1] : 0);
        }
    ndl_weights_destroy(&w);
    ok(ndl_store_open(&s, path));
    expect_text(s, "/embed/tokens", "sources", "[\"quoted \\\"name\\\"\"]");
    ndl_store_close(&s);
    ok(ndl_weights_check(path, NULL, NULL));
}

static void equal_sources_give_equal_files(void **state)
{
    (void)state;
    static char all[2][8 << 20];
    size_t n[2];
    setenv("SOURCE_DATE_EPOCH", "1", 1);
    for (int i = 0; i < 2; i++) {
        ok(tiny_write(&tiny_models[3], NDL_BF16, path, -1));
        FILE *f = fopen(path, "rb");
        n[i] = fread(all[i], 1, sizeof all[i], f);
        fclose(f);
    }
    unsetenv("SOURCE_DATE_EPOCH");
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(all[0], all[1], n[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(every_element_is_in_its_place),
        IN_SCRATCH(attributes_tell_how_to_export),
        IN_SCRATCH(a_fused_source_is_named_once),
        IN_SCRATCH(a_failing_source_leaves_no_file),
        IN_SCRATCH(batches_join_and_bf16_rounds_specials),
        IN_SCRATCH(equal_sources_give_equal_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
