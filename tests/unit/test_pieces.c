/* test_pieces.c - every byte of every range is taken once, by whichever thread,
 * and a failure ends the work. */
#include "../../src/model/pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { N_RANGES = 4, MIB = 1 << 20 };
static const ndl_range ranges[N_RANGES] = {
    { 64, 1 },
    { 4096, 0 },
    { 8192, NDL_PIECE_BYTES },
    { 100 * MIB, 10 * NDL_PIECE_BYTES + 3 },
};

typedef struct counting {
    _Atomic uint64_t bytes[N_RANGES];
    atomic_int n_pieces;
    int fail_at; /* 0: never */
} counting;

static ndl_status take(void *arg, const ndl_piece *p)
{
    counting *c = arg;
    const ndl_range *r = &ranges[p->range];
    const int number = atomic_fetch_add(&c->n_pieces, 1) + 1;
    assert_true(p->n > 0 && p->n <= NDL_PIECE_BYTES);
    assert_true(p->offset == r->offset + p->at && p->at + p->n <= r->n);
    assert_int_equal(p->at % NDL_PIECE_BYTES, 0);
    if (number == c->fail_at) return NDL_EIO;
    atomic_fetch_add(&c->bytes[p->range], p->n);
    return NDL_OK;
}

typedef struct told {
    uint64_t last;
    int n_calls, stop_at;
} told;

static ndl_status tell(void *arg, uint64_t done, uint64_t all)
{
    told *t = arg;
    assert_true(done > t->last && done <= all);
    t->last = done;
    return ++t->n_calls == t->stop_at ? NDL_EINT : NDL_OK;
}

static ndl_pieces job_of(counting *c, ndl_pool *pool, ndl_progress *progress)
{
    for (int i = 0; i < N_RANGES; i++) progress->all += ranges[i].n;
    return (ndl_pieces){ .path = "x",
                         .fd = -1, /* a hint for no file is no harm */
                         .ranges = ranges,
                         .n_ranges = N_RANGES,
                         .take = take,
                         .arg = c,
                         .pool = pool,
                         .progress = progress };
}

static ndl_pool *make_pool(int n_threads)
{
    ndl_pool *pool = NULL;
    const ndl_pool_config config = { .n_threads = n_threads };
    assert_int_equal(ndl_pool_create(&pool, &config), NDL_OK);
    return pool;
}

static void every_byte_is_taken_once(void **state)
{
    (void)state;
    for (int n_threads = 0; n_threads <= 3; n_threads++) {
        counting c = { .n_pieces = 0 };
        told t = { 0 };
        ndl_progress progress = { .fn = tell, .arg = &t };
        ndl_pool *pool = n_threads ? make_pool(n_threads) : NULL;
        const ndl_pieces job = job_of(&c, pool, &progress);
        assert_int_equal(ndl_pieces_run(&job), NDL_OK);
        for (int i = 0; i < N_RANGES; i++)
            assert_int_equal(c.bytes[i], ranges[i].n);
        assert_int_equal(c.n_pieces, 1 + 1 + 11);
        assert_int_equal(t.last, progress.all);
        ndl_pool_destroy(&pool);
    }
}

static void a_failure_leaves_the_pieces_after_it(void **state)
{
    (void)state;
    counting c = { .fail_at = 3 };
    told t = { 0 };
    ndl_progress progress = { .fn = tell, .arg = &t };
    const ndl_pieces job = job_of(&c, NULL, &progress);
    assert_int_equal(ndl_pieces_run(&job), NDL_EIO);
    assert_int_equal(c.n_pieces, 3);
    ndl_pool *pool = make_pool(3);
    c = (counting){ .fail_at = 3 };
    progress.done = t.last = 0;
    const ndl_pieces parallel = job_of(&c, pool, &progress);
    assert_int_equal(ndl_pieces_run(&parallel), NDL_EIO);
    ndl_pool_destroy(&pool);
}

static void who_listens_may_end_it(void **state)
{
    (void)state;
    counting c = { .n_pieces = 0 };
    told t = { .stop_at = 1 };
    ndl_progress progress = { .fn = tell, .arg = &t };
    const ndl_pieces job = job_of(&c, NULL, &progress);
    assert_int_equal(ndl_pieces_run(&job), NDL_EINT);
    assert_int_equal(c.n_pieces, 1);
    assert_int_equal(t.n_calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_taken_once),
        cmocka_unit_test(a_failure_leaves_the_pieces_after_it),
        cmocka_unit_test(who_listens_may_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
