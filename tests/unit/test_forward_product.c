/* test_forward_product.c - a product alone says what it took, and a sequence
 * does not notice it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "folder.h"
#include "noodle/forward.h"
#include "toy.h"

enum { LENGTH = 24, ROWS = 8 };

static test_folder folder;
static char path[320];
static int32_t ids[LENGTH];
static float *truth; /* (LENGTH, V) */

static int make_truth(void **state)
{
    const toy_how how = { { NDL_F32, NDL_F32 }, 0 };
    (void)state;
    if (test_folder_make(&folder) != 0) return -1;
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "toy.h5"));
    toy_prompt(7, ids, LENGTH);
    if (toy_write(TOY_LLAMA_F32, path) != NDL_OK) return -1;
    return toy_logits(path, how, ids, LENGTH, &truth) == NDL_OK ? 0 : -1;
}

static int free_truth(void **state)
{
    (void)state;
    free(truth);
    return test_folder_remove(&folder);
}

static void check_row(ndl_forward *f, const float *x, int row, int position)
{
    const size_t vocab = (size_t)toy_vocab();
    size_t ld = 0;
    const float *got = ndl_forward_logits(f, x, &row, 1, &ld);
    if (memcmp(got, truth + (size_t)position * vocab, vocab * sizeof *got) != 0)
        fail_msg("position %d differs", position);
}

/* The whole sequence, with a product of any rows between its steps. */
static void run_sequence(ndl_forward *f, int width, double up_weights)
{
    float *x = malloc(sizeof *x * ROWS * (size_t)width);
    assert_non_null(x);
    for (int at = 0; at < LENGTH; at += ROWS) {
        const ndl_span span = { 0, at, ROWS };
        const int rows = 1 + at % ROWS + at / ROWS;
        assert_true(ndl_forward_product(f, rows) == 2.0 * rows * up_weights);
        ndl_forward_embed(f, ids + at, &span, 1, x);
        ndl_forward_blocks(f, &span, 1, x);
        assert_true(ndl_forward_product(f, ROWS) == 2.0 * ROWS * up_weights);
        for (int i = 0; i < ROWS; i++) check_row(f, x, i, at + i);
    }
    free(x);
}

static void sequence_does_not_notice_a_product_between_its_steps(void **state)
{
    (void)state;
    const ndl_part whole = { 0, TOY_BLOCKS, true, true };
    const ndl_forward_limits limits = { .max_rows = ROWS,
                                        .max_spans = 1,
                                        .n_slots = 1,
                                        .context = LENGTH,
                                        .kv_types = { NDL_F32, NDL_F32 } };
    const ndl_pool_config config = { .n_threads = 2,
                                     .thread_init = ndl_fp_setup };
    ndl_weights *weights = NULL;
    ndl_pool *pool = NULL;
    ndl_forward *f = NULL;
    ndl_kernels kernels;
    ndl_fp_setup();
    ndl_kernels_init(&kernels, 0);
    assert_int_equal(ndl_weights_open(&weights, path, &whole, NULL), NDL_OK);
    assert_int_equal(ndl_pool_create(&pool, &config), NDL_OK);
    assert_int_equal(
        ndl_forward_create(&f, weights, &whole, &limits, &kernels, pool),
        NDL_OK);
    const ndl_model *m = ndl_weights_model(weights);
    /* Gates and ups are one matrix, in whole panels of both. */
    const double up = 2.0 * ceil(m->ffn / 16.0) * 16.0 * m->width;
    run_sequence(f, m->width, up);
    ndl_forward_destroy(&f);
    ndl_pool_destroy(&pool);
    ndl_weights_destroy(&weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_does_not_notice_a_product_between_its_steps),
    };
    return cmocka_run_group_tests(tests, make_truth, free_truth);
}
