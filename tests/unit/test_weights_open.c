/*
 * test_weights_open.c - all ways to load a part give the same bytes, tell how
 * far they are, end when they are told to, and take no more memory than there
 * is.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/weights_kit.h"

#include "../support/scratch.h"

static void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
}

static ndl_pool *make_pool(int n_threads)
{
    ndl_pool *pool = NULL;
    ok(ndl_pool_create(&pool, &(ndl_pool_config){ .n_threads = n_threads }));
    return pool;
}

static const uint64_t much = UINT64_C(1) << 40;

static void check_part(const ndl_part *part, ndl_pool *pool)
{
    static const ndl_load loads[] = { NDL_LOAD_COPY, NDL_LOAD_MAP,
                                      NDL_LOAD_COPY };
    ndl_weights *plain = NULL;
    ok(ndl_weights_open(&plain, path, part, NULL));
    assert_int_equal(ndl_weights_load(plain), NDL_LOAD_MAP);
    for (int i = 0; i < 3; i++) {
        const ndl_weights_how how = { .load = loads[i],
                                      .pool = i ? pool : NULL,
                                      .free_bytes = i ? much : 0 };
        ndl_weights *w = NULL;
        ok(ndl_weights_open(&w, path, part, &how));
        assert_int_equal(ndl_weights_load(w), loads[i]);
        assert_true(kit_same_weights(plain, w, part));
        if (part->n_layers > 0) {
            const ndl_layer *l = ndl_weights_layer(w, part->first_layer);
            assert_int_equal((uintptr_t)l->down.data % 64, 0);
            assert_int_equal((uintptr_t)l->norm2 % 64, 0);
        }
        ndl_weights_destroy(&w);
    }
    ndl_weights_destroy(&plain);
}

static void all_ways_give_the_same_bytes(void **state)
{
    (void)state;
    ndl_pool *pool = make_pool(3);
    for (int t = 0; t < 2 * N_TINY_MODELS; t++) {
        ok(tiny_write(&tiny_models[t / 2], t % 2 ? NDL_BF16 : NDL_F32, path,
                      -1));
        check_part(&(ndl_part){ 0, 1, true, true }, pool);
        check_part(&(ndl_part){ 0, 1, false, false }, pool);
        check_part(&(ndl_part){ 0, 0, false, true }, pool);
        check_part(&(ndl_part){ 0, 0, true, false }, pool);
        check_part(&(ndl_part){ 1, 0, false, false }, pool);
    }
    ok(tiny_write(&tiny_models[0], NDL_F32, path, -1));
    check_part(&(ndl_part){ 1, 2, false, true }, pool);
    ndl_pool_destroy(&pool);
}

static void datasets_of_several_pieces_are_whole(void **state)
{
    (void)state;
    ndl_pool *pool = make_pool(2);
    ok(tiny_write(&wide_model, NDL_F32, path, -1));
    check_part(&(ndl_part){ 1, 1, true, false }, pool);
    ndl_pool_destroy(&pool);
}

static void auto_copies_only_where_memory_is_known_to_be_there(void **state)
{
    (void)state;
    const ndl_part part = { 0, 1, true, true };
    ndl_pool *pool = make_pool(2);
    ok(tiny_write(&tiny_models[2], NDL_F32, path, -1));
    static const uint64_t little[] = { 0, 1000, NDL_LOAD_MEASURE_BYTES - 1 };
    for (int i = 0; i < 3; i++) {
        const ndl_weights_how how = { .pool = pool, .free_bytes = little[i] };
        ndl_weights *w = NULL;
        ok(ndl_weights_open(&w, path, &part, &how));
        assert_int_equal(ndl_weights_load(w), NDL_LOAD_MAP);
        ndl_weights_destroy(&w);
    }
    const ndl_weights_how how = { .pool = pool, .free_bytes = much };
    ndl_weights *w = NULL;
    ok(ndl_weights_open(&w, path, &part, &how));
    assert_int_not_equal(ndl_weights_load(w), NDL_LOAD_AUTO);
    ndl_weights_destroy(&w);
    ndl_pool_destroy(&pool);
}

static void a_copy_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    const ndl_part part = { 0, 1, true, true };
    const ndl_weights_how how = { .load = NDL_LOAD_COPY, .free_bytes = 1000 };
    ndl_weights *w = NULL;
    ok(tiny_write(&tiny_models[2], NDL_F32, path, -1));
    assert_int_equal(ndl_weights_open(&w, path, &part, &how), NDL_EUNAVAIL);
    assert_null(w);
    assert_non_null(strstr(ndl_status_message(), path));
    assert_non_null(strstr(ndl_status_message(), "1000 are free"));
    assert_non_null(strstr(ndl_status_message(), "--load map"));
    ndl_status_clear();
}

typedef struct told {
    uint64_t last, all;
    int n_calls, stop_at; /* 0: never */
    pthread_t thread;
} told;

static ndl_status tell(void *arg, uint64_t done, uint64_t all)
{
    told *t = arg;
    assert_true(pthread_equal(t->thread, pthread_self()));
    assert_true(done >= t->last && done <= all);
    t->last = done;
    t->all = all;
    t->n_calls++;
    return t->n_calls == t->stop_at ? NDL_EINT : NDL_OK;
}

static const ndl_load both[] = { NDL_LOAD_MAP, NDL_LOAD_COPY };

static void progress_ends_with_all_bytes_and_is_of_this_thread(void **state)
{
    (void)state;
    const ndl_part part = { 0, 2, false, true };
    ndl_pool *pool = make_pool(3);
    ndl_store *s = NULL;
    uint64_t bytes = 0;
    ok(tiny_write(&wide_model, NDL_BF16, path, -1));
    ok(ndl_store_open(&s, path));
    ok(ndl_weights_bytes(s, &part, &bytes));
    ndl_store_close(&s);
    for (int i = 0; i < 4; i++) {
        told t = { .thread = pthread_self() };
        const ndl_weights_how how = { .load = both[i % 2],
                                      .pool = i < 2 ? NULL : pool,
                                      .progress = tell,
                                      .arg = &t };
        ndl_weights *w = NULL;
        ok(ndl_weights_open(&w, path, &part, &how));
        assert_true(t.n_calls >= 1);
        assert_true(t.last == bytes && t.all == bytes);
        ndl_weights_destroy(&w);
    }
    ndl_pool_destroy(&pool);
}

static void an_interrupt_ends_loading(void **state)
{
    (void)state;
    const ndl_part part = { 0, 3, true, true };
    ndl_pool *pool = make_pool(3);
    ok(tiny_write(&wide_model, NDL_BF16, path, -1));
    for (int i = 0; i < 4; i++) {
        told t = { .thread = pthread_self(), .stop_at = 1 };
        const ndl_weights_how how = { .load = both[i % 2],
                                      .pool = i < 2 ? NULL : pool,
                                      .progress = tell,
                                      .arg = &t };
        ndl_weights *w = NULL;
        assert_int_equal(ndl_weights_open(&w, path, &part, &how), NDL_EINT);
        assert_null(w);
        assert_int_equal(t.n_calls, 1); /* nobody asks again */
        if (i < 2) assert_true(t.last < t.all);
    }
    ndl_pool_destroy(&pool);
}

static void a_truncated_file_is_refused_by_both(void **state)
{
    (void)state;
    struct stat sb;
    const ndl_part part = { 0, 1, true, true };
    ok(tiny_write(&tiny_models[4], NDL_F32, path, -1));
    assert_int_equal(stat(path, &sb), 0);
    for (off_t n = sb.st_size - 1; n > 0; n -= 1 + n / 5) {
        assert_int_equal(truncate(path, n), 0);
        for (int i = 0; i < 2; i++) {
            ndl_weights *w = NULL;
            const ndl_weights_how how = { .load = both[i] };
            assert_int_equal(ndl_weights_open(&w, path, &part, &how),
                             NDL_EDATA);
            assert_null(w);
            assert_non_null(strstr(ndl_status_message(), path));
            ndl_status_clear();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(all_ways_give_the_same_bytes),
        IN_SCRATCH(datasets_of_several_pieces_are_whole),
        IN_SCRATCH(auto_copies_only_where_memory_is_known_to_be_there),
        IN_SCRATCH(a_copy_that_does_not_fit_is_refused),
        IN_SCRATCH(progress_ends_with_all_bytes_and_is_of_this_thread),
        IN_SCRATCH(an_interrupt_ends_loading),
        IN_SCRATCH(a_truncated_file_is_refused_by_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
