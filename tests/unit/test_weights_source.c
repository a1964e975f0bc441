/*
 * test_weights_source.c - what was packed is given back by role and row,
 * whatever the dtype, and can be packed in another one.
 */
#include "../../src/formats/weights_source.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../src/formats/balance.h"
#include "../../src/formats/quantise.h"
#include "../../src/formats/widen.h"
#include "../support/folder.h"
#include "../support/tiny_model.h"

enum { MOST_COLS = 512, MOST_ROWS = 512 };

static test_folder folder;
static char first[320], second[320];

static int set_up(void **state)
{
    (void)state;
    ndl_status_clear();
    if (test_folder_make(&folder) != 0) return -1;
    snprintf(first, sizeof first, "%s", test_folder_at(&folder, "1.h5"));
    snprintf(second, sizeof second, "%s", test_folder_at(&folder, "2.h5"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return test_folder_remove(&folder);
}

static void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
}

static ndl_mix mix_of(const char *dtype, const char *keep)
{
    ndl_mix mix;
    ok(ndl_mix_parse(&mix, dtype, keep));
    return mix;
}

/* The file at `from` as `mix` at `to`. */
static ndl_status pack_again(const char *from, const char *to, ndl_mix mix,
                             const char *config)
{
    ndl_weights_source *w = NULL;
    ndl_store *s = NULL;
    ndl_source source;
    const ndl_pack_meta meta = { .config = config };
    NDL_TRY(ndl_weights_source_open(&w, from));
    ndl_weights_source_get(w, &source);
    ndl_status st = ndl_store_create(&s, to);
    if (st == NDL_OK)
        st = ndl_pack(s, ndl_weights_source_model(w), mix, &source, &meta);
    if (st == NDL_OK) st = ndl_store_commit(&s);
    ndl_store_close(&s);
    ndl_weights_source_close(&w);
    return st;
}

/* What becomes of a row of n, in place. */
static void round_row(float *x, int n, ndl_dtype dtype, int block)
{
    uint8_t q[MOST_COLS + 64];
    uint16_t scales[MOST_COLS];
    const bool wide = dtype == NDL_INT8;
    if (dtype == NDL_F32) return;
    (wide ? ndl_quantise_int8 : ndl_quantise_int4)(q, scales, x, n, block);
    for (int i = 0; i < n; i++) {
        float scale;
        ndl_widen(&scale, &scales[i / block], NDL_FLOAT_F16, 1);
        x[i] = scale * (float)(q[i] - (wide ? 128 : 8));
    }
}

/* Of a role's matrix: its dtype in the mix, -1 for other roles. */
static int group_of(const ndl_model *m, ndl_role role)
{
    switch (role) {
    case NDL_ROLE_TOKENS: return m->tied ? NDL_GROUP_HEAD : NDL_GROUP_EMBED;
    case NDL_ROLE_Q:
    case NDL_ROLE_K: return NDL_GROUP_QK;
    case NDL_ROLE_V: return NDL_GROUP_V;
    case NDL_ROLE_OUT: return NDL_GROUP_OUT;
    case NDL_ROLE_GATE:
    case NDL_ROLE_UP: return NDL_GROUP_UP;
    case NDL_ROLE_DOWN: return NDL_GROUP_DOWN;
    case NDL_ROLE_HEAD: return NDL_GROUP_HEAD;
    default: return -1;
    }
}

static int rows_of(const ndl_model *m, ndl_role role)
{
    switch (role) {
    case NDL_ROLE_TOKENS:
    case NDL_ROLE_HEAD: return m->vocab;
    case NDL_ROLE_Q: return m->n_heads * m->head_dim;
    case NDL_ROLE_K:
    case NDL_ROLE_V: return m->n_kv_heads * m->head_dim;
    case NDL_ROLE_GATE:
    case NDL_ROLE_UP: return m->ffn;
    default: return m->width;
    }
}

static bool has(const ndl_model *m, ndl_role role)
{
    if (role == NDL_ROLE_HEAD) return !m->tied;
    if (role == NDL_ROLE_GATE) return m->mlp == NDL_MLP_SWIGLU;
    return group_of(m, role) >= 0;
}

/* The source that the file was made from, balanced as for its mix. */
static const ndl_source *wanted;

static void check_role(const ndl_source *s, const ndl_model *m, ndl_role role,
                       int layer, ndl_mix mix)
{
    static float got[MOST_ROWS * MOST_COLS];
    const int rows = rows_of(m, role), cols = tiny_cols(m, role);
    const ndl_dtype dtype = (ndl_dtype)mix.of[group_of(m, role)];
    ok(s->rows(s->arg, role, layer, 0, rows, got));
    for (int r = 0; r < rows; r++) {
        float x[MOST_COLS], alone[MOST_COLS];
        ok(wanted->rows(wanted->arg, role, layer, r, 1, x));
        round_row(x, cols, dtype,
                  ndl_mix_block(mix, (ndl_group)group_of(m, role)));
        assert_memory_equal(x, got + r * cols, (size_t)cols * sizeof *x);
        if (r % 37 != 5) continue;
        ok(s->rows(s->arg, role, layer, r, 1, alone));
        assert_memory_equal(x, alone, (size_t)cols * sizeof *x);
    }
}

static void check_origin(const ndl_source *s, const ndl_model *m, ndl_role role,
                         int layer)
{
    tiny_source t = { .model = *m };
    ndl_origin expected = { 0 }, found = { 0 };
    tiny_origin(&t, role, layer, &expected);
    s->origin(s->arg, role, layer, &found);
    assert_string_equal(found.name, expected.name);
    assert_string_equal(found.dtype, expected.dtype);
    assert_int_equal(found.transposed, expected.transposed);
}

static void check_vectors(const ndl_source *s, const ndl_model *m, int layer)
{
    float got[MOST_COLS], want[MOST_COLS];
    ok(s->rows(s->arg, NDL_ROLE_NORM2, layer, 0, 1, got));
    ok(wanted->rows(wanted->arg, NDL_ROLE_NORM2, layer, 0, 1, want));
    for (int i = 0; i < m->width; i++) assert_true(got[i] == want[i]);
    if (!m->qkv_bias) return;
    const int n = tiny_cols(m, NDL_ROLE_K_BIAS);
    ok(s->rows(s->arg, NDL_ROLE_K_BIAS, layer, 0, 1, got));
    for (int i = 0; i < n; i++)
        assert_true(got[i] == tiny_value(NDL_ROLE_K_BIAS, layer, 0, i));
}

static void check_file(const char *path, ndl_mix mix)
{
    ndl_weights_source *w = NULL;
    ndl_source s, balanced;
    ndl_balance balance;
    ok(ndl_weights_source_open(&w, path));
    assert_true(ndl_mix_equal(ndl_weights_source_mix(w), mix));
    ndl_weights_source_get(w, &s);
    const ndl_model *m = ndl_weights_source_model(w);
    tiny_source tiny = { .model = *m, .calls_left = -1 };
    const ndl_source source = { &tiny, tiny_rows, tiny_origin };
    ok(ndl_balance_init(&balance, &source, m, mix));
    ndl_balance_source(&balance, &balanced);
    wanted = &balanced;
    for (int role = 0; role < NDL_N_ROLES; role++) {
        if (!has(m, (ndl_role)role)) continue;
        const bool ends = role == NDL_ROLE_TOKENS || role == NDL_ROLE_HEAD;
        for (int l = 0; l < (ends ? 1 : m->n_layers); l++) {
            check_role(&s, m, (ndl_role)role, l, mix);
            check_origin(&s, m, (ndl_role)role, l);
        }
    }
    for (int l = 0; l < m->n_layers; l++) check_vectors(&s, m, l);
    ndl_balance_fini(&balance);
    ndl_weights_source_close(&w);
    assert_null(w);
}

static void every_row_is_the_quantised_row_of_its_source(void **state)
{
    (void)state;
    const ndl_mix mixes[] = {
        mix_of("f32", NULL),     mix_of("int8", NULL),
        mix_of("int8:32", NULL), mix_of("int4", NULL),
        mix_of("int4", "none"),  mix_of("int8", "v,up=int4,embed=f32")
    };
    for (int i = 0; i < N_TINY_MODELS; i++) {
        const tiny_model *t = &tiny_models[i];
        ok(tiny_write(t, NDL_F32, first, -1));
        for (size_t j = 0; j < sizeof mixes / sizeof *mixes; j++) {
            ok(pack_again(first, second, mixes[j], t->config));
            ok(ndl_weights_check(second, NULL, NULL));
            check_file(second, mixes[j]);
        }
    }
}

static void a_scale_that_is_not_finite_is_refused(void **state)
{
    (void)state;
    const tiny_model *t = &tiny_models[2];
    const char *name = "/layers/0001/out_scale";
    ndl_store *s = NULL;
    ndl_store_info info;
    const uint16_t bad = 0x7c00;
    ok(tiny_write(t, NDL_INT8, first, -1));
    ok(ndl_store_open(&s, first));
    ok(ndl_store_query(s, name, &info));
    ndl_store_close(&s);
    FILE *f = fopen(first, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)info.offset + 6, SEEK_SET), 0);
    assert_int_equal(fwrite(&bad, sizeof bad, 1, f), 1);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(pack_again(first, second, mix_of("int4", NULL), t->config),
                     NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), name));
    assert_int_equal(test_folder_count(&folder), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            every_row_is_the_quantised_row_of_its_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_scale_that_is_not_finite_is_refused,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
