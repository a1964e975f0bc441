/*
 * test_weights_quantised.c - facts about weights.h with quantised matrices:
 * what is loaded is what the file has, and which files are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../support/mixed_file.h"
#include "../support/weights_kit.h"
#include "noodle/checkpoint.h"

#include "../support/scratch.h"

static int set_up(void **state)
{
    random_state = 7;
    return scratch_make(state);
}

static void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
}

static void failed(ndl_status st, const char *name, const char *word)
{
    const char *m = ndl_status_message();
    if (st != NDL_EDATA || !strstr(m, name) || !strstr(m, word))
        fprintf(stderr, "%d %s\n", st, m);
    assert_int_equal(st, NDL_EDATA);
    assert_non_null(strstr(m, name));
    assert_non_null(strstr(m, word));
    ndl_status_clear();
}

static ndl_mix mix_of(const char *text)
{
    ndl_mix mix = ndl_mix_plain(NDL_F32);
    ok(ndl_mix_read(&mix, text));
    return mix;
}

static const char *const mixes[] = {
    "int8",
    "int8:32",
    "int4",
    "int4,head=int8,v=int8",
    "bf16,embed=f32,down=int4,v=f32",
    "f32,head=int4",
};
enum { N_MIXES = sizeof mixes / sizeof *mixes };

/* The items of a model with the bytes that went into its file. */
typedef struct record {
    ndl_item items[400];
    uint8_t *bytes[400];
    int n;
} record;

static bool remember(void *arg, ndl_item *it, uint8_t *bytes)
{
    record *r = arg;
    assert_true(r->n < (int)(sizeof r->items / sizeof *r->items));
    r->items[r->n] = *it;
    r->bytes[r->n] = malloc((size_t)it->bytes);
    memcpy(r->bytes[r->n++], bytes, (size_t)it->bytes);
    return true;
}

static const ndl_matrix *matrix_of(const ndl_weights *w, const ndl_item *it)
{
    const ndl_ends *e = ndl_weights_ends(w);
    if (it->slot == NDL_SLOT_TOKENS) return &e->tokens;
    if (it->slot == NDL_SLOT_POSITIONS) return &e->positions;
    if (it->slot == NDL_SLOT_HEAD) return &e->head;
    const ndl_layer *l = ndl_weights_layer(w, it->layer);
    switch (it->slot) {
    case NDL_SLOT_QKV: return &l->qkv;
    case NDL_SLOT_V: return &l->v;
    case NDL_SLOT_OUT: return &l->out;
    case NDL_SLOT_UP: return &l->up;
    case NDL_SLOT_DOWN: return &l->down;
    default: return NULL;
    }
}

static void check_item(const ndl_weights *w, const ndl_item *it,
                       const uint8_t *bytes)
{
    if (it->layout == NDL_LAYOUT_VECTOR) return;
    const ndl_matrix *m = matrix_of(w, it);
    const void *at =
        it->layout == NDL_LAYOUT_SCALES ? (const void *)m->scales : m->data;
    assert_non_null(at);
    assert_int_equal((uintptr_t)at % 64, 0);
    assert_memory_equal(at, bytes, (size_t)it->bytes);
    assert_int_equal(m->rows, it->rows);
    assert_int_equal(m->cols, it->cols);
    assert_int_equal(m->dtype, it->dtype);
    assert_int_equal(m->block, it->block);
    assert_int_equal(!m->scales, !it->block);
    if (it->layout != NDL_LAYOUT_SCALES)
        assert_int_equal(m->panels, it->layout == NDL_LAYOUT_PANELS);
}

static void check_open(const record *r, const char *mix, ndl_load load)
{
    const ndl_weights_how how = { .load = load };
    ndl_weights *w = NULL;
    ndl_model m;
    ndl_mix read;
    ndl_store *s = NULL;
    ok(ndl_store_open(&s, path));
    ok(ndl_weights_read_model(s, &m, &read));
    ndl_store_close(&s);
    const ndl_part whole = ndl_layout_whole(&m);
    ok(ndl_weights_open(&w, path, &whole, &how));
    assert_true(ndl_mix_equal(ndl_weights_mix(w), mix_of(mix)));
    for (int i = 0; i < r->n; i++) check_item(w, &r->items[i], r->bytes[i]);
    const ndl_ends *e = ndl_weights_ends(w);
    if (m.tied) assert_ptr_equal(e->head.scales, e->tokens.scales);
    ndl_weights_destroy(&w);
}

static void what_is_loaded_is_what_the_file_has(void **state)
{
    (void)state;
    for (int i = 0; i < N_MIXES * N_TINY_MODELS; i++) {
        const char *mix = mixes[i % N_MIXES];
        record *r = calloc(1, sizeof *r);
        assert_non_null(r);
        ok(mixed_write(path, tiny_models[i / N_MIXES].config, mix_of(mix),
                       remember, r));
        check_open(r, mix, NDL_LOAD_MAP);
        check_open(r, mix, NDL_LOAD_COPY);
        ok(ndl_weights_check(path, NULL, NULL));
        while (r->n > 0) free(r->bytes[--r->n]);
        free(r);
    }
}

typedef struct summing {
    ndl_store *s;
    uint64_t bytes;
} summing;

static ndl_status add_bytes(void *arg, const char *name)
{
    summing *sum = arg;
    ndl_store_info info;
    NDL_TRY(ndl_store_query(sum->s, name, &info));
    sum->bytes += info.bytes;
    return NDL_OK;
}

static void bytes_of_the_layout_are_those_in_the_file(void **state)
{
    (void)state;
    for (int i = 0; i < N_MIXES * N_TINY_MODELS; i++) {
        uint64_t bytes = 0;
        summing sum = { NULL, 0 };
        int64_t version[2] = { 0, 0 };
        const ndl_mix mix = mix_of(mixes[i % N_MIXES]);
        ok(mixed_write(path, tiny_models[i / N_MIXES].config, mix, NULL, NULL));
        ok(ndl_store_open(&sum.s, path));
        ndl_model m;
        ndl_mix read;
        ok(ndl_weights_read_model(sum.s, &m, &read));
        const ndl_part whole = ndl_layout_whole(&m);
        ok(ndl_weights_bytes(sum.s, &whole, &bytes));
        ok(ndl_store_each(sum.s, "/", add_bytes, &sum));
        assert_int_equal(bytes, sum.bytes);
        ok(ndl_store_get_ints(sum.s, "/", "format_version", version, 2));
        assert_int_equal(version[1], 1);
        ndl_store_close(&sum.s);
    }
    assert_int_equal(ndl_weights_minor(mix_of("bf16,v=f32")), 0);
}

/* ---- blank ---- */

static float f16(uint16_t bits)
{
    const uint32_t wide = (uint32_t)((bits >> 10 & 31) - 15 + 127) << 23 |
                          (uint32_t)(bits & 0x3ff) << 13;
    float x;
    assert_true((bits >> 10 & 31) != 31 && (bits >> 10 & 31) != 0);
    memcpy(&x, &wide, sizeof x);
    return bits >> 15 ? -x : x;
}

static void check_blank(const ndl_matrix *m)
{
    if (m->block == 0) {
        assert_null(m->scales);
        return;
    }
    const size_t panels = ((size_t)m->rows + 15) / 16;
    const size_t blocks =
        ((size_t)m->cols + (size_t)m->block - 1) / (size_t)m->block;
    const size_t n = panels * blocks * 16;
    const int largest = m->dtype == NDL_INT8 ? 127 : 8;
    const uint8_t *q = m->data;
    for (size_t i = 0; i < n; i++) {
        const float x = f16(m->scales[i]) * (float)largest;
        assert_true(x > 1e-3f && x < 0.1f);
    }
    if (m->dtype == NDL_INT8)
        for (size_t i = 0; i < n * (size_t)m->block; i++)
            assert_int_not_equal(q[i], 0);
}

static void blank_quants_are_small_finite_numbers(void **state)
{
    (void)state;
    for (int i = 0; i < N_MIXES * N_TINY_MODELS; i++) {
        const char *config = tiny_models[i / N_MIXES].config;
        const ndl_mix mix = mix_of(mixes[i % N_MIXES]);
        ndl_weights *w = NULL;
        ndl_model m;
        ok(ndl_model_parse(&m, config, strlen(config), NULL, 0, "tiny"));
        const ndl_part whole = ndl_layout_whole(&m);
        ok(ndl_weights_blank(&w, &m, mix, &whole, NDL_LOAD_COPY));
        assert_true(ndl_mix_equal(ndl_weights_mix(w), mix));
        for (int k = 0; k < m.n_layers; k++) {
            const ndl_layer *l = ndl_weights_layer(w, k);
            check_blank(&l->qkv);
            check_blank(&l->v);
            check_blank(&l->out);
            check_blank(&l->up);
            check_blank(&l->down);
        }
        check_blank(&ndl_weights_ends(w)->tokens);
        check_blank(&ndl_weights_ends(w)->head);
        ndl_weights_destroy(&w);
    }
}

/* ---- hostile files ---- */

typedef enum fault {
    NO_SCALES,
    NO_QUANTS,
    SCALES_OF_F32,
    WRONG_BLOCK,
    NO_BLOCK,
    LESS_DIMS,
    OTHER_DTYPE,
    INFINITE,
    NOT_A_NUMBER
} fault;

typedef struct damage {
    fault what;
    const char *name; /* of the item */
} damage;

static void change(ndl_item *it, uint8_t *bytes, fault what)
{
    const uint16_t infinite = 0xfc00, none = 0x7e01;
    switch (what) {
    case SCALES_OF_F32: /* the store type follows the layout */
        it->layout = NDL_LAYOUT_PANELS;
        it->block = 0;
        it->dtype = NDL_BF16;
        break;
    case WRONG_BLOCK: it->block = 16; break;
    case LESS_DIMS: it->dims[1]--; break;
    case OTHER_DTYPE: it->dtype = NDL_INT4; break;
    case INFINITE: memcpy(bytes + it->bytes - 2, &infinite, 2); break;
    case NOT_A_NUMBER: memcpy(bytes, &none, 2); break;
    default: break;
    }
}

static bool spoil(void *arg, ndl_item *it, uint8_t *bytes)
{
    const damage *d = arg;
    if (strcmp(it->name, d->name) != 0) return true;
    if (d->what == NO_SCALES || d->what == NO_QUANTS) return false;
    change(it, bytes, d->what);
    return true;
}

static void damaged_datasets_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        damage damage;
        const char *word;
    } cases[] = {
        { { NO_SCALES, "/layers/0001/qkv_scale" }, "" },
        { { NO_QUANTS, "/layers/0001/down" }, "" },
        { { SCALES_OF_F32, "/layers/0001/out_scale" }, "layout" },
        { { WRONG_BLOCK, "/layers/0001/out" }, "block" },
        { { WRONG_BLOCK, "/layers/0001/out_scale" }, "block" },
        { { LESS_DIMS, "/layers/0001/down" }, "shape" },
        { { LESS_DIMS, "/layers/0001/down_scale" }, "shape" },
        { { OTHER_DTYPE, "/layers/0001/down" }, "dtype" },
    };
    const ndl_part one = { 1, 1, false, false };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        damage d = cases[i].damage;
        ndl_weights *w = NULL;
        ok(mixed_write(path, tiny_models[2].config, mix_of("int8"), spoil, &d));
        failed(ndl_weights_open(&w, path, &one, NULL), d.name, cases[i].word);
        assert_null(w);
        failed(ndl_weights_check(path, NULL, NULL), d.name, cases[i].word);
        /* Another stage does not read it. */
        ok(ndl_weights_open(&w, path, &(ndl_part){ 2, 1, true, true }, NULL));
        ndl_weights_destroy(&w);
    }
}

static void check_finds_scales_that_are_no_numbers(void **state)
{
    (void)state;
    static const fault faults[] = { INFINITE, NOT_A_NUMBER };
    for (int i = 0; i < 2; i++) {
        damage d = { faults[i], "/head/matrix_scale" };
        ok(mixed_write(path, tiny_models[2].config, mix_of("int4"), spoil, &d));
        failed(ndl_weights_check(path, NULL, NULL), d.name, "scale");
    }
}

static void quantised_weights_are_not_exported(void **state)
{
    (void)state;
    static const char *const refused[] = { "int8", "bf16,up=int4",
                                           "bf16,v=f32" };
    const char *to = test_folder_at(&folder, "hf");
    for (int i = 0; i < 3; i++) {
        ok(mixed_write(path, tiny_models[2].config, mix_of(refused[i]), NULL,
                       NULL));
        failed(ndl_checkpoint_export(path, to, NULL, NULL), refused[i],
               "export the file it was made from");
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, scratch_remove)
    const struct CMUnitTest tests[] = {
        TEST(what_is_loaded_is_what_the_file_has),
        TEST(bytes_of_the_layout_are_those_in_the_file),
        TEST(blank_quants_are_small_finite_numbers),
        TEST(damaged_datasets_are_refused_by_name),
        TEST(check_finds_scales_that_are_no_numbers),
        TEST(quantised_weights_are_not_exported),
    };
    return cmocka_run_group_tests_name("quantised weights", tests, NULL, NULL);
}
