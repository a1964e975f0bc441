/* test_balance.c - channels evened out before they are quantised. */
#include "../../src/formats/balance.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../support/chance.h"

enum { WIDTH = 64 };

/* Gains and weights as the source has them; both norms have the same. */
static float gains[WIDTH], weights[WIDTH], biases[WIDTH];
static int n_asked; /* for gains */
static ndl_role failing;

static ndl_status give(void *arg, ndl_role role, int layer, int first, int n,
                       float *dst)
{
    (void)arg;
    (void)first;
    const float *from = weights;
    if (role == failing) return NDL_FAIL(NDL_EIO, "no such rows");
    if (role == NDL_ROLE_NORM1 || role == NDL_ROLE_NORM2) {
        from = gains;
        n_asked++;
    }
    if (role == NDL_ROLE_NORM1_BIAS || role == NDL_ROLE_NORM2_BIAS)
        from = biases;
    for (int i = 0; i < n; i++) {
        memcpy(dst, from, sizeof gains);
        dst += WIDTH;
    }
    if (layer == 1 && from == gains) dst[-1] = 1e6f; /* the last channel's */
    return NDL_OK;
}

static const ndl_source source = { .rows = give };
static const ndl_model model = { .width = WIDTH,
                                 .n_heads = 2,
                                 .n_kv_heads = 1,
                                 .head_dim = 32,
                                 .ffn = 70,
                                 .mlp = NDL_MLP_SWIGLU };
static ndl_balance balance;
static ndl_source balanced;

static void begin(ndl_dtype dtype)
{
    assert_int_equal(
        ndl_balance_init(&balance, &source, &model, ndl_mix_plain(dtype)),
        NDL_OK);
    ndl_balance_source(&balance, &balanced);
}

static int set_up(void **state)
{
    (void)state;
    ndl_status_clear();
    random_state = chance_seed(1);
    for (int i = 0; i < WIDTH; i++) {
        gains[i] = (float)between(70, 130) * (i % 2 ? 0.01f : -0.01f);
        weights[i] = (float)between(700, 1300) * (i % 3 ? 0.00037f : -0.00037f);
        biases[i] = (float)between(-1000, 1000) * 0.00041f;
    }
    failing = NDL_N_ROLES;
    n_asked = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ndl_balance_fini(&balance);
    return 0;
}

/* Three rows of a matrix, or one of a vector. */
static const float *ask(ndl_role role, int layer, int n)
{
    static float got[3 * WIDTH];
    assert_int_equal(balanced.rows(balanced.arg, role, layer, 0, n, got),
                     NDL_OK);
    for (int i = WIDTH; i < n * WIDTH - 1; i++)
        assert_true(got[i] == got[i - WIDTH]);
    return got;
}

static void products_stay_what_they_are(void **state)
{
    (void)state;
    static const ndl_role roles[][3] = {
        { NDL_ROLE_NORM1, NDL_ROLE_NORM1_BIAS, NDL_ROLE_Q },
        { NDL_ROLE_NORM1, NDL_ROLE_NORM1_BIAS, NDL_ROLE_K },
        { NDL_ROLE_NORM1, NDL_ROLE_NORM1_BIAS, NDL_ROLE_V },
        { NDL_ROLE_NORM2, NDL_ROLE_NORM2_BIAS, NDL_ROLE_GATE },
        { NDL_ROLE_NORM2, NDL_ROLE_NORM2_BIAS, NDL_ROLE_UP },
    };
    float gain[WIDTH], bias[WIDTH];
    for (int i = 0; i < 8; i++) gains[between(0, WIDTH - 1)] *= 30.0f;
    begin(NDL_INT8);
    for (int r = 0; r < 5; r++) {
        memcpy(gain, ask(roles[r][0], 0, 1), sizeof gain);
        memcpy(bias, ask(roles[r][1], 0, 1), sizeof bias);
        const float *w = ask(roles[r][2], 0, 3);
        for (int i = 0; i < WIDTH; i++) {
            assert_true(gain[i] * w[i] == gains[i] * weights[i]);
            assert_true(bias[i] * w[i] == biases[i] * weights[i]);
        }
    }
}

static void outliers_are_shared_by_gain_and_columns(void **state)
{
    (void)state;
    gains[5] *= 30.0f;
    gains[6] /= 30.0f;
    begin(NDL_INT4);
    const float *w = ask(NDL_ROLE_UP, 0, 3);
    assert_true(w[5] == 4.0f * weights[5] || w[5] == 8.0f * weights[5]);
    assert_true(w[6] == 0.25f * weights[6] || w[6] == 0.125f * weights[6]);
    for (int i = 7; i < WIDTH; i++) assert_true(w[i] == weights[i]);
}

/* So a file that was quantised may be quantised again. */
static void what_is_balanced_stays(void **state)
{
    (void)state;
    gains[5] *= 32.0f;
    weights[5] /= 32.0f;
    gains[6] /= 900.0f;
    begin(NDL_INT8);
    const float *w = ask(NDL_ROLE_UP, 0, 3);
    assert_true(w[5] == 32.0f * weights[5]);
    assert_true(w[6] != weights[6]);
    memcpy(weights, w, sizeof weights);
    memcpy(gains, ask(NDL_ROLE_NORM2, 0, 1), sizeof gains);
    ndl_balance_fini(&balance);
    begin(NDL_INT8);
    assert_memory_equal(ask(NDL_ROLE_UP, 0, 3), weights, sizeof weights);
}

static void other_matrices_and_dtypes_stay(void **state)
{
    (void)state;
    static const ndl_role others[] = { NDL_ROLE_TOKENS, NDL_ROLE_OUT,
                                       NDL_ROLE_DOWN, NDL_ROLE_HEAD };
    gains[5] *= 30.0f;
    begin(NDL_INT8);
    for (int i = 0; i < 4; i++)
        assert_memory_equal(ask(others[i], 0, 3), weights, sizeof weights);
    ndl_balance_fini(&balance);
    begin(NDL_BF16);
    assert_memory_equal(ask(NDL_ROLE_NORM1, 0, 1), gains, sizeof gains);
    assert_memory_equal(ask(NDL_ROLE_Q, 0, 3), weights, sizeof weights);
    assert_memory_equal(ask(NDL_ROLE_UP, 0, 3), weights, sizeof weights);
}

/* q and k in int8 alone balance v too, as it shares their norm. */
static void one_quantised_group_balances_its_norm(void **state)
{
    (void)state;
    gains[5] *= 30.0f;
    begin(NDL_F32);
    balance.mix.of[NDL_GROUP_QK] = NDL_INT8;
    assert_true(ask(NDL_ROLE_V, 0, 3)[5] != weights[5]);
    assert_true(ask(NDL_ROLE_NORM1, 0, 1)[5] != gains[5]);
    assert_true(ask(NDL_ROLE_UP, 0, 3)[5] == weights[5]);
    assert_true(ask(NDL_ROLE_NORM2, 0, 1)[5] == gains[5]);
}

static void gains_without_a_size_stay(void **state)
{
    (void)state;
    static const float odd[] = { 0.0f, -0.0f, NAN, INFINITY, -INFINITY };
    memcpy(gains, odd, sizeof odd);
    begin(NDL_INT8);
    assert_memory_equal(ask(NDL_ROLE_Q, 0, 3), weights, sizeof weights);
    assert_memory_equal(ask(NDL_ROLE_NORM1, 0, 1), gains, sizeof gains);
    for (int i = 0; i < WIDTH; i++) gains[i] = i % 2 ? NAN : 0.0f;
    assert_memory_equal(ask(NDL_ROLE_UP, 0, 3), weights, sizeof weights);
}

static void scales_have_a_limit(void **state)
{
    (void)state;
    gains[5] = 1e37f;
    gains[6] = 1e-40f;
    begin(NDL_INT8);
    const float *w = ask(NDL_ROLE_Q, 0, 3);
    assert_true(w[5] == 4096.0f * weights[5]);
    assert_true(w[6] == weights[6] / 4096.0f);
}

static void every_layer_has_its_own_scales(void **state)
{
    (void)state;
    begin(NDL_INT8);
    assert_true(ask(NDL_ROLE_Q, 0, 3)[WIDTH - 1] == weights[WIDTH - 1]);
    assert_true(ask(NDL_ROLE_Q, 1, 3)[WIDTH - 1] == weights[WIDTH - 1] * 1024);
    assert_int_equal(n_asked, 2);
    ask(NDL_ROLE_K, 1, 3);
    assert_int_equal(n_asked, 2);
    ask(NDL_ROLE_Q, 0, 3);
    assert_int_equal(n_asked, 3);
}

static void a_failure_is_handed_on(void **state)
{
    (void)state;
    float got[WIDTH];
    begin(NDL_INT8);
    failing = NDL_ROLE_NORM1;
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(balanced.rows(balanced.arg, NDL_ROLE_Q, 0, 0, 1, got),
                         NDL_EIO);
        ndl_status_clear();
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(products_stay_what_they_are),
        TEST(outliers_are_shared_by_gain_and_columns),
        TEST(what_is_balanced_stays),
        TEST(other_matrices_and_dtypes_stay),
        TEST(one_quantised_group_balances_its_norm),
        TEST(gains_without_a_size_stay),
        TEST(scales_have_a_limit),
        TEST(every_layer_has_its_own_scales),
        TEST(a_failure_is_handed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
