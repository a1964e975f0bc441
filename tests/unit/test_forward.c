/*
 * test_forward.c - what a row gives does not depend on its neighbours, its
 * chunk, its slot, the threads or the instruction set: all bits are equal to
 * those of one thread that computes the sequence in one step.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../src/formats/weights_source.h"
#include "../support/chance.h"
#include "../support/folder.h"
#include "noodle/clock.h"
#include "noodle/forward.h"
#include "noodle/pack.h"
#include "toy.h"

enum { N_SEQS = 3, LONGEST = 530, SLOTS = 4, ROWS = 100 };
static const int lengths[N_SEQS] = { LONGEST, 257, 41 };

static test_folder folder;
static char path[N_TOYS][320];
static int32_t ids[N_SEQS][LONGEST];
static float *truth[N_TOYS][N_SEQS]; /* (length, V) */

/* bf16 arithmetic of the processor has bits of its own (kernels.h): what is
 * true of all instruction sets is shown without, and then it is shown alone. */
static unsigned truth_flags;
static uint64_t seed;

static toy_how how_of(int t)
{
    return (toy_how){ toys[t].kv_types, truth_flags };
}

static int make_truth(void **state)
{
    (void)state;
    seed = chance_seed(20240611);
    if (test_folder_make(&folder) != 0) return -1;
    for (int s = 0; s < N_SEQS; s++)
        toy_prompt(seed + (uint64_t)s, ids[s], lengths[s]);
    for (int t = 0; t < N_TOYS; t++) {
        snprintf(path[t], sizeof path[t], "%s",
                 test_folder_at(&folder, toys[t].name));
        assert_int_equal(toy_write(t, path[t]), NDL_OK);
        for (int s = 0; s < N_SEQS; s++)
            assert_int_equal(toy_logits(path[t], how_of(t), ids[s], lengths[s],
                                        &truth[t][s]),
                             NDL_OK);
    }
    return 0;
}

static int free_truth(void **state)
{
    (void)state;
    for (int t = 0; t < N_TOYS; t++)
        for (int s = 0; s < N_SEQS; s++) free(truth[t][s]);
    return test_folder_remove(&folder);
}

typedef struct rig {
    ndl_weights *weights;
    ndl_pool *pool;
    ndl_kernels kernels;
    ndl_forward *forward;
    float *x;
} rig;

static const ndl_part whole = { 0, TOY_BLOCKS, true, true };

static ndl_forward_limits limits_of(int t)
{
    return (ndl_forward_limits){ .max_rows = ROWS,
                                 .max_spans = SLOTS,
                                 .n_slots = SLOTS,
                                 .context = TOY_CONTEXT,
                                 .kv_types = toys[t].kv_types };
}

static void open_rig(rig *r, int t, const ndl_forward_limits *limits,
                     int n_threads, unsigned cpu_flags)
{
    const ndl_pool_config pool = { .n_threads = n_threads,
                                   .thread_init = ndl_fp_setup };
    memset(r, 0, sizeof *r);
    assert_int_equal(ndl_weights_open(&r->weights, path[t], &whole, NULL),
                     NDL_OK);
    assert_int_equal(ndl_pool_create(&r->pool, &pool), NDL_OK);
    ndl_kernels_init(&r->kernels, cpu_flags);
    assert_int_equal(ndl_forward_create(&r->forward, r->weights, &whole, limits,
                                        &r->kernels, r->pool),
                     NDL_OK);
    r->x = malloc((size_t)limits->max_rows * sizeof *r->x *
                  (size_t)ndl_weights_model(r->weights)->width);
    assert_non_null(r->x);
}

static void close_rig(rig *r)
{
    free(r->x);
    ndl_forward_destroy(&r->forward);
    ndl_pool_destroy(&r->pool);
    ndl_weights_destroy(&r->weights);
}

/* Rows of a sequence in a batch. */
typedef struct piece {
    int seq, from, n;
} piece;

static void check_rows(rig *r, int t, const piece *pieces, int n)
{
    const size_t vocab = (size_t)toy_vocab();
    int row = 0;
    for (int p = 0; p < n; p++)
        for (int i = 0; i < pieces[p].n; i++, row++) {
            size_t ld = 0;
            const float *got =
                ndl_forward_logits(r->forward, r->x, &row, 1, &ld);
            const float *want =
                truth[t][pieces[p].seq] + (size_t)(pieces[p].from + i) * vocab;
            if (memcmp(got, want, vocab * sizeof *got) != 0)
                fail_msg("%s: position %d of sequence %d differs", toys[t].name,
                         pieces[p].from + i, pieces[p].seq);
        }
}

static void run_batch(rig *r, int t, const piece *pieces, int n,
                      const int *slots)
{
    ndl_span spans[SLOTS] = { { 0 } };
    int32_t batch[ROWS] = { 0 };
    int rows = 0;
    for (int p = 0; p < n; p++) {
        const piece *q = &pieces[p];
        spans[p] = (ndl_span){ slots[q->seq], q->from, q->n };
        memcpy(batch + rows, ids[q->seq] + q->from,
               (size_t)q->n * sizeof *batch);
        rows += q->n;
    }
    ndl_forward_embed(r->forward, batch, spans, n, r->x);
    ndl_forward_blocks(r->forward, spans, n, r->x);
    check_rows(r, t, pieces, n);
}

/* All sequences from the start to their end, or to `cut`, in chunks at random.
 */
static void run_sequences(rig *r, int t, const int *slots, int cut)
{
    int pos[N_SEQS] = { 0 };
    for (;;) {
        piece pieces[N_SEQS];
        int n = 0, rows = 0;
        const int first = between(0, N_SEQS - 1);
        for (int k = 0; k < N_SEQS; k++) {
            const int s = (first + k) % N_SEQS;
            int most = (lengths[s] < cut ? lengths[s] : cut) - pos[s];
            if (most > ROWS - rows) most = ROWS - rows;
            if (most == 0) continue;
            const int take = between(0, 2) ? between(1, most) : 1;
            pieces[n++] = (piece){ s, pos[s], take };
            pos[s] += take;
            rows += take;
        }
        if (n == 0) return;
        run_batch(r, t, pieces, n, slots);
    }
}

static void rows_do_not_depend_on_batch_chunk_slot_or_threads(void **state)
{
    (void)state;
    static const int slots[2][N_SEQS] = { { 0, 1, 2 }, { 3, 0, 1 } };
    random_state = seed;
    for (int t = 0; t < N_TOYS; t++)
        for (int threads = 1; threads <= 3; threads++) {
            const ndl_forward_limits limits = limits_of(t);
            rig r;
            open_rig(&r, t, &limits, threads, truth_flags);
            run_sequences(&r, t, slots[threads % 2],
                          threads == 1 ? LONGEST : 300);
            close_rig(&r);
        }
}

static void rows_do_not_depend_on_the_instruction_set(void **state)
{
    (void)state;
    static const int slots[N_SEQS] = { 2, 1, 0 };
    random_state = seed + 1;
    for (int t = 0; t < N_TOYS; t++) {
        const ndl_forward_limits limits = limits_of(t);
        rig r;
        open_rig(&r, t, &limits, 2, 0);
        run_sequences(&r, t, slots, 258);
        close_rig(&r);
    }
}

static void chunks_may_straddle_pages_anywhere(void **state)
{
    (void)state;
    static const int slots[N_SEQS] = { 0, 1, 2 };
    const ndl_forward_limits limits = limits_of(0);
    rig r;
    open_rig(&r, 0, &limits, 1, truth_flags);
    for (int cut = 250; cut <= 260; cut++) {
        int at = 0;
        while (at < 300) {
            const int end = at < cut && at + ROWS > cut ? cut : at + ROWS;
            const piece p = { 0, at, (end < 300 ? end : 300) - at };
            run_batch(&r, 0, &p, 1, slots);
            at += p.n;
        }
    }
    close_rig(&r);
}

/* A slot that an earlier sequence left full of garbage, even of NaN. */
static void used_slot_gives_what_a_fresh_one_gives(void **state)
{
    (void)state;
    static const int slots[N_SEQS] = { 0, 1, 2 };
    random_state = seed + 2;
    for (int t = 0; t < N_TOYS; t++) {
        const ndl_forward_limits limits = limits_of(t);
        rig r;
        open_rig(&r, t, &limits, 1,
                 t == 1 && !(truth_flags & NDL_CPU_BF16) ? 0 : truth_flags);
        run_sequences(&r, t, slots, 258);
        const int width = ndl_weights_model(r.weights)->width;
        for (int at = 0; at < 300; at += ROWS)
            for (int slot = 0; slot < N_SEQS; slot++) {
                const ndl_span span = { slot, at, ROWS };
                for (int i = 0; i < ROWS * width; i++)
                    r.x[i] = slot == 1 ? INFINITY : NAN;
                ndl_forward_blocks(r.forward, &span, 1, r.x);
            }
        run_sequences(&r, t, slots, 258);
        close_rig(&r);
    }
}

enum { HEAD = 32, PAIR = 2 * HEAD }; /* of those toys: cells of two keys */

/* Copy the cells of key out of `own`, a page like vpage, taking time between
 * reading the words that two keys share and writing them, as a kernel may that
 * works on whole registers. */
static void write_slowly(void *vpage, const void *own, size_t cell, int key)
{
    /* Long where a task begins, so that the one before ends meanwhile. */
    const struct timespec pause = { .tv_nsec =
                                        key % 16 == 15 ? 4000000 : 10000 };
    const size_t skip = (size_t)(key / 2) * PAIR * cell;
    unsigned char both[PAIR * sizeof(uint16_t)];
    memcpy(both, (unsigned char *)vpage + skip, PAIR * cell);
    nanosleep(&pause, NULL);
    for (size_t i = (size_t)(key % 2) * cell; i < PAIR * cell; i += 2 * cell)
        memcpy(both + i, (const unsigned char *)own + skip + i, cell);
    memcpy((unsigned char *)vpage + skip, both, PAIR * cell);
}

static void store_slowly(uint16_t *vpage, int key, const float *v, int hd)
{
    static _Thread_local uint16_t own[NDL_PAGE_KEYS * HEAD];
    ndl_kernels ref;
    ndl_kernels_init(&ref, 0);
    ref.v_store_bf16(own, key, v, hd);
    write_slowly(vpage, own, sizeof *own, key);
}

/* Nobody shares the scales. */
static void store_bytes_slowly(int8_t *vpage, int key, const float *v, int hd)
{
    enum { CELLS = NDL_PAGE_KEYS * HEAD };
    static _Thread_local _Alignas(64)
        int8_t own[CELLS + NDL_PAGE_KEYS * sizeof(float)];
    const size_t scale = CELLS + (size_t)key * sizeof(float);
    ndl_kernels ref;
    ndl_kernels_init(&ref, 0);
    ref.v_store_int8(own, key, v, hd);
    write_slowly(vpage, own, sizeof *own, key);
    memcpy(vpage + scale, own + scale, sizeof(float));
}

/* A sequence of one row in front makes the tasks begin at odd positions. */
static void neighbouring_keys_do_not_disturb_each_other(void **state)
{
    (void)state;
    static const int slots[N_SEQS] = { 0, 1, 2 };
    static const struct {
        int toy;
        ndl_dtype v;
    } cases[] = { { 1, NDL_BF16 }, { 6, NDL_INT8 } };
    for (int i = 0; i < 2; i++) {
        const int t = cases[i].toy;
        const ndl_forward_limits limits = limits_of(t);
        const piece pieces[2] = { { 2, 0, 1 }, { 0, 0, ROWS - 1 } };
        rig r;
        assert_int_equal(toys[t].kv_types.v, cases[i].v);
        open_rig(&r, t, &limits, 4, truth_flags);
        r.kernels.v_store_bf16 = store_slowly;
        r.kernels.v_store_int8 = store_bytes_slowly;
        run_batch(&r, t, pieces, 2, slots);
        close_rig(&r);
    }
}

static void last_position_of_the_context_is_there(void **state)
{
    (void)state;
    static const int slots[N_SEQS] = { 0, 0, 0 };
    for (int context = 255; context <= 257; context++) {
        ndl_forward_limits limits = limits_of(3);
        limits.context = context;
        limits.n_slots = 1;
        rig r;
        open_rig(&r, 3, &limits, 1, truth_flags);
        for (int at = 0; at < context; at += ROWS) {
            const int left = context - at;
            const piece p = { 1, at, left < ROWS ? left : ROWS };
            run_batch(&r, 3, &p, 1, slots);
        }
        close_rig(&r);
    }
}

/* What memory_of() promises is what create() needs, for odd limits too. */
static void memory_is_enough_for_all_limits(void **state)
{
    (void)state;
    static const int rows[] = { 1, 2, 15, 16, 17, 33 };
    static const int slots[N_SEQS] = { 0, 0, 0 };
    for (int t = 0; t < N_TOYS; t++)
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            for (int threads = 1; threads <= 3; threads++) {
                const ndl_forward_limits limits = {
                    .max_rows = rows[k],
                    .max_spans = threads,
                    .n_slots = threads,
                    .context = rows[k],
                    .kv_types = toys[t].kv_types,
                };
                rig r;
                open_rig(&r, t, &limits, threads, truth_flags);
                const piece p = { 0, 0, rows[k] };
                run_batch(&r, t, &p, 1, slots);
                close_rig(&r);
            }
}

static void memory_of_a_block_is_that_of_its_cache(void **state)
{
    (void)state;
    ndl_model m;
    const char *config = toys[0].config;
    assert_int_equal(ndl_model_parse(&m, config, strlen(config), NULL, 0, "x"),
                     NDL_OK);
    ndl_forward_limits limits = limits_of(0);
    const ndl_forward_memory a = ndl_forward_memory_of(&m, &limits, 1);
    const ndl_forward_memory b = ndl_forward_memory_of(&m, &limits, 2);
    /* 4 slots of 3 pages of 2 heads: 256 keys and values of 32 floats */
    assert_int_equal(a.kv_layer, 4 * 3 * 2 * 256 * 32 * 4 * 2);
    assert_int_equal(b.kv_layer, a.kv_layer);
    assert_true(b.buffers > a.buffers);
    assert_int_equal(b.logits, a.logits);
    /* Bytes and their scales; each thread has one page of each as bf16. */
    limits.kv_types = (ndl_kv_types){ NDL_INT8, NDL_INT8 };
    const ndl_forward_memory c = ndl_forward_memory_of(&m, &limits, 2);
    assert_int_equal(c.kv_layer, 4 * 3 * 2 * 256 * 2 * (32 + 4));
    assert_int_equal(c.buffers, b.buffers + 2 * 2 * 256 * 32 * 2);
}

/* Rows that go through two halves of the model as through the whole. */
static void halves_of_the_model_give_the_whole(void **state)
{
    (void)state;
    const ndl_span span = { 0, 0, 60 };
    for (int t = 0; t < N_TOYS; t++)
        for (int cut = 0; cut <= TOY_BLOCKS; cut++) {
            const ndl_part parts[2] = {
                { 0, cut, true, false }, { cut, TOY_BLOCKS - cut, false, true }
            };
            const ndl_forward_limits limits = limits_of(t);
            rig r, half[2];
            open_rig(&r, t, &limits, 1, truth_flags);
            for (int i = 0; i < 2; i++) {
                rig *h = &half[i];
                assert_int_equal(
                    ndl_weights_open(&h->weights, path[t], &parts[i], NULL),
                    NDL_OK);
                assert_int_equal(ndl_forward_create(&h->forward, h->weights,
                                                    &parts[i], &limits,
                                                    &r.kernels, r.pool),
                                 NDL_OK);
                if (i == 0)
                    ndl_forward_embed(h->forward, ids[0], &span, 1, r.x);
                ndl_forward_blocks(h->forward, &span, 1, r.x);
            }
            ndl_forward *own = r.forward;
            const piece p = { 0, 0, 60 };
            r.forward = half[1].forward;
            check_rows(&r, t, &p, 1);
            r.forward = own;
            for (int i = 0; i < 2; i++) {
                ndl_forward_destroy(&half[i].forward);
                ndl_weights_destroy(&half[i].weights);
            }
            close_rig(&r);
        }
}

enum { N_CLOCKS = TOY_BLOCKS + 2 };

static void watched_layers_count_steps_rows_and_time(void **state)
{
    (void)state;
    static const int slots[N_SEQS] = { 0, 1, 2 };
    static const piece pieces[2] = { { 0, 0, 30 }, { 1, 0, 12 } };
    const ndl_forward_limits limits = limits_of(1);
    ndl_layer_clock clocks[N_CLOCKS] = { { 0 } };
    rig r;
    open_rig(&r, 1, &limits, 2, truth_flags);
    ndl_forward_watch(r.forward, clocks);
    const double begin = ndl_clock_sec();
    for (int i = 0; i < 3; i++) run_batch(&r, 1, pieces, 2, slots);
    const double sec = ndl_clock_sec() - begin;
    double sum = 0;
    for (int i = 0; i < N_CLOCKS; i++) {
        const ndl_layer_clock *c = &clocks[i];
        const bool head = i == N_CLOCKS - 1; /* called row by row */
        assert_int_equal(c->steps, head ? 3 * 42 : 3);
        assert_int_equal(c->rows, 3 * 42);
        assert_true(c->min_sec > 0 && c->min_sec <= c->max_sec);
        assert_true(c->sum_sec >= c->min_sec * (double)c->steps * 0.999);
        assert_true(c->sum_sec <= c->max_sec * (double)c->steps * 1.001);
        sum += c->sum_sec;
    }
    assert_true(sum <= sec);
    memset(clocks, 0, sizeof clocks); /* the caller's right at any time */
    run_batch(&r, 1, pieces, 1, slots);
    assert_int_equal(clocks[0].rows, 30);
    assert_int_equal(clocks[TOY_BLOCKS].steps, 1);
    ndl_forward_watch(r.forward, NULL);
    run_batch(&r, 1, pieces, 1, slots);
    assert_int_equal(clocks[0].rows, 30);
    close_rig(&r);
}

/* int8 is near what it was made of, weights or cache, and int4 not far. */
static void quantised_logits_are_near(void **state)
{
    (void)state;
    enum { N = 41 };
    static const int pairs[][2] = { { 1, 4 }, { 2, 5 }, { 1, 6 }, { 2, 7 } };
    static const double most[] = { 0.12, 0.6, 0.06, 0.03 };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const float *a = truth[pairs[i][0]][0], *b = truth[pairs[i][1]][0];
        double square = 0.0, off = 0.0;
        for (size_t k = 0; k < N * (size_t)toy_vocab(); k++) {
            square += (double)a[k] * a[k];
            off += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
        }
        printf("%s: off by %.4f\n", toys[pairs[i][1]].name, sqrt(off / square));
        assert_true(off > 0.0 && sqrt(off / square) < most[i]);
    }
}

/* A norm that takes at least two milliseconds, whoever else is at work. */
static void norm_slowly(float *y, size_t ldy, const float *x, size_t ldx,
                        const float *w, int n_rows, int n, float eps)
{
    ndl_kernels own;
    ndl_kernels_init(&own, truth_flags);
    /* One thread's work is counted in processor time: a sleep would be none. */
    for (const double end = ndl_clock_cpu_sec() + 2e-3;
         ndl_clock_cpu_sec() < end;) {
    }
    own.rmsnorm(y, ldy, x, ldx, w, n_rows, n, eps);
}

static void count_idle(void *arg)
{
    ++*(int *)arg;
}

/* What disturbs the processor now and then is not what a slow rank is slow at:
 * the fastest time of a kind of layer is what counts. */
static void slow_layers_are_steady(void **state)
{
    (void)state;
    static const int slots[N_SEQS] = { 0, 1, 2 };
    static const piece one = { 0, 0, 1 };
    const double speed = 0.05;
    const ndl_forward_limits limits = limits_of(0);
    ndl_layer_clock clocks[N_CLOCKS] = { { 0 } };
    rig r;
    open_rig(&r, 0, &limits, 1, truth_flags);
    assert_int_equal(ndl_forward_slow(r.forward, speed, NULL, NULL), NDL_OK);
    run_batch(&r, 0, &one, 1, slots);
    r.kernels.rmsnorm = norm_slowly;
    ndl_forward_watch(r.forward, clocks);
    run_batch(&r, 0, &one, 1, slots);
    /* 4 ms of work, which took far less before: no waiting on top of it. */
    double least = 1.0;
    for (int i = 1; i <= TOY_BLOCKS; i++) {
        assert_true(clocks[i].min_sec >= 4e-3);
        if (clocks[i].min_sec < least) least = clocks[i].min_sec;
    }
    assert_true(least < 4e-3 / speed);
    close_rig(&r);
}

/* A block of two norms takes 4 ms at full speed, the head 2 ms. */
static void slow_layers_take_longer_and_give_the_same(void **state)
{
    (void)state;
    static const int slots[N_SEQS] = { 0, 1, 2 };
    static const piece one = { 0, 0, 1 };
    const double speed = 0.25;
    const ndl_forward_limits limits = limits_of(0);
    ndl_layer_clock clocks[N_CLOCKS] = { { 0 } };
    int n_idle = 0;
    rig r;
    open_rig(&r, 0, &limits, 1, truth_flags);
    r.kernels.rmsnorm = norm_slowly;
    assert_int_equal(ndl_forward_slow(r.forward, speed, count_idle, &n_idle),
                     NDL_OK);
    ndl_forward_watch(r.forward, clocks);
    const double begin = ndl_clock_sec(), cpu = ndl_clock_cpu_sec();
    run_batch(&r, 0, &one, 1, slots);
    const double sec = ndl_clock_sec() - begin;
    for (int i = 1; i <= TOY_BLOCKS; i++)
        assert_true(clocks[i].min_sec >= 4e-3 / speed);
    assert_true(clocks[N_CLOCKS - 1].min_sec >= 2e-3 / speed);
    assert_true(ndl_clock_cpu_sec() - cpu < sec / 2);
    /* In one batch; again, if others have kept layers from the processor for so
     * long that those were slow enough without a nap. */
    for (int i = 0; i < 10 && n_idle <= TOY_BLOCKS; i++) {
        n_idle = 0;
        run_batch(&r, 0, &one, 1, slots);
    }
    assert_true(n_idle > TOY_BLOCKS);
    ndl_forward_watch(r.forward, NULL); /* slow without being watched */
    const double again = ndl_clock_sec();
    run_batch(&r, 0, &one, 1, slots);
    assert_true(ndl_clock_sec() - again >= (TOY_BLOCKS * 4e-3 + 2e-3) / speed);
    const int before = n_idle;
    assert_int_equal(ndl_forward_slow(r.forward, 1.0, count_idle, &n_idle),
                     NDL_OK);
    run_batch(&r, 0, &one, 1, slots);
    assert_int_equal(n_idle, before);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest everywhere[] = {
        cmocka_unit_test(rows_do_not_depend_on_the_instruction_set),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_do_not_depend_on_batch_chunk_slot_or_threads),
        cmocka_unit_test(chunks_may_straddle_pages_anywhere),
        cmocka_unit_test(used_slot_gives_what_a_fresh_one_gives),
        cmocka_unit_test(neighbouring_keys_do_not_disturb_each_other),
        cmocka_unit_test(last_position_of_the_context_is_there),
        cmocka_unit_test(memory_is_enough_for_all_limits),
        cmocka_unit_test(memory_of_a_block_is_that_of_its_cache),
        cmocka_unit_test(halves_of_the_model_give_the_whole),
        cmocka_unit_test(quantised_logits_are_near),
        cmocka_unit_test(watched_layers_count_steps_rows_and_time),
        cmocka_unit_test(slow_layers_take_longer_and_give_the_same),
        cmocka_unit_test(slow_layers_are_steady),
    };
    truth_flags = ndl_cpu_flags() & ~(unsigned)NDL_CPU_BF16;
    int failed = cmocka_run_group_tests(everywhere, make_truth, free_truth);
    if (ndl_cpu_flags() & NDL_CPU_BF16)
        failed += cmocka_run_group_tests(tests, make_truth, free_truth);
    truth_flags = ndl_cpu_flags();
    return failed + cmocka_run_group_tests(tests, make_truth, free_truth);
}
