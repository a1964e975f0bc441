/* test_pages.c - facts about pages.h and its index of contents. */
#include "noodle/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/sched/page_tree.h"
#include "../support/chance.h"

enum { P = NDL_PAGE_POSITIONS, N_TEXT = 4 * P };

static int32_t counted[N_TEXT]; /* 0, 1, 2, ...: every id is its place */

static ndl_pages *make(int n_pages, int n_slots)
{
    const ndl_pages_config config = { .n_pages = n_pages,
                                      .n_slots = n_slots,
                                      .n_entries = N_TEXT / P,
                                      .max_ops = 100 };
    ndl_pages *p = NULL;
    assert_int_equal(ndl_pages_create(&p, &config), NDL_OK);
    return p;
}

/* Texts that are equal to `counted`, and so to each other, up to `same` and
 * nowhere after. */
static void write_text(int32_t *text, int same, int name)
{
    for (int i = 0; i < N_TEXT; i++) text[i] = i < same ? i : i + 10000 * name;
}

/* A slot that has computed the first n ids of a text. */
static void fill(ndl_pages *p, int slot, const int32_t *text, int n)
{
    ndl_pages_open(p, slot, slot);
    for (int pos = 0; pos < n; pos += P)
        assert_true(ndl_pages_extend(p, slot, pos));
    ndl_pages_sent(p, slot, text, n);
}

/* A slot that has computed them and has ended. */
static void leave(ndl_pages *p, int slot, const int32_t *text, int n)
{
    fill(p, slot, text, n);
    ndl_pages_close(p, slot, text, n);
}

static void forget_ops(ndl_pages *p)
{
    const ndl_page_op *ops;
    ndl_pages_take_ops(p, &ops);
}

static void check_op(const ndl_page_op *op, ndl_page_op_kind kind, int slot,
                     int a)
{
    assert_int_equal(op->kind, kind);
    assert_int_equal(op->slot, slot);
    assert_int_equal(op->a, a);
}

static void positions_take_pages_that_are_begun(void **state)
{
    (void)state;
    assert_int_equal(ndl_pages_of(0), 0);
    assert_int_equal(ndl_pages_of(1), 1);
    assert_int_equal(ndl_pages_of(P), 1);
    assert_int_equal(ndl_pages_of(P + 1), 2);
    assert_int_equal(ndl_pages_of(2147483647), 8388608);
}

static void whole_pages_are_shared_and_a_part_is_copied(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 2);
    int32_t b[N_TEXT];
    const ndl_page_op *ops;
    write_text(b, 2 * P + 40, 1);
    /* And goes on: its last page is its own. */
    fill(p, 0, counted, 2 * P + 100);
    forget_ops(p);
    const ndl_pages_match m = ndl_pages_find(p, 1, b, N_TEXT, 0);
    assert_int_equal(m.end, 2 * P + 40);
    assert_int_equal(m.n_shared, 2);
    assert_int_equal(m.n_kept, 0);
    ndl_pages_open(p, 1, 7);
    assert_int_equal(ndl_pages_reuse(p, 1, b, N_TEXT, 0), 2 * P + 40);
    assert_int_equal(ndl_pages_take_ops(p, &ops), 5);
    check_op(&ops[0], NDL_PAGE_OPEN, 1, 7);
    check_op(&ops[1], NDL_PAGE_MAP, 1, 0);
    check_op(&ops[2], NDL_PAGE_MAP, 1, 1);
    check_op(&ops[3], NDL_PAGE_MAP, 1, 2);
    check_op(&ops[4], NDL_PAGE_COPY, 1, 2);
    assert_int_equal(ops[1].b, 0);
    assert_int_equal(ops[2].b, 1);
    assert_int_equal(ops[3].b, ops[4].b);
    assert_int_equal(ndl_pages_count(p).n_used, 4);
    assert_int_equal(ndl_pages_count(p).hit_tokens, 2 * P + 40);
    ndl_pages_destroy(&p);
    ndl_pages_destroy(&p); /* NULL is fine */
}

static void page_left_behind_is_gone_on_with_instead_of_copied(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 1);
    const ndl_page_op *ops;
    leave(p, 0, counted, P + 50);
    forget_ops(p);
    ndl_pages_open(p, 0, 1);
    assert_int_equal(ndl_pages_reuse(p, 0, counted, P + 60, 0), P + 50);
    assert_int_equal(ndl_pages_take_ops(p, &ops), 3); /* OPEN, MAP, MAP */
    check_op(&ops[2], NDL_PAGE_MAP, 0, 1);
    assert_int_equal(ndl_pages_count(p).n_used, 2);
    assert_int_equal(ndl_pages_count(p).n_kept, 0);
    ndl_pages_destroy(&p);
}

static void one_row_is_always_left_to_compute(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 1);
    leave(p, 0, counted, 2 * P);
    assert_int_equal(ndl_pages_find(p, 0, counted, 2 * P, 0).end, 2 * P - 1);
    assert_int_equal(ndl_pages_find(p, 0, counted, 2 * P, 0).n_shared, 1);
    assert_int_equal(ndl_pages_find(p, 0, counted, 2 * P + 1, 0).end, 2 * P);
    assert_int_equal(ndl_pages_find(p, 0, counted, 1, 0).end, 0);
    ndl_pages_destroy(&p);
}

static void little_in_common_counts_as_nothing(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 1);
    int32_t b[N_TEXT];
    fill(p, 0, counted, 100);
    write_text(b, 15, 1);
    assert_int_equal(ndl_pages_find(p, 0, b, 90, 0).end, 0);
    write_text(b, 16, 1);
    assert_int_equal(ndl_pages_find(p, 0, b, 90, 0).end, 16);
    assert_int_equal(ndl_pages_find(p, 0, b, 90, 1).end, 1);
    ndl_pages_destroy(&p);
}

/* Beyond what is shared, or already there, it is the same. */
static void little_more_counts_as_nothing(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 2);
    int32_t b[N_TEXT];
    write_text(b, P + 10, 1);
    fill(p, 0, counted, 2 * P);
    assert_int_equal(ndl_pages_find(p, 1, b, N_TEXT, 0).end, P);
    assert_int_equal(ndl_pages_find(p, 1, b, N_TEXT, P - 16).end, P);
    assert_int_equal(ndl_pages_find(p, 1, b, N_TEXT, P - 15).end, P - 15);
    assert_int_equal(ndl_pages_find(p, 1, b, N_TEXT, P - 15).n_shared, 0);
    ndl_pages_destroy(&p);
}

static void rows_are_unknown_to_others_until_they_are_sent(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 1);
    ndl_pages_open(p, 0, 0);
    assert_true(ndl_pages_extend(p, 0, 0));
    assert_int_equal(ndl_pages_find(p, 0, counted, N_TEXT, 0).end, 0);
    ndl_pages_sent(p, 0, counted, 30);
    assert_int_equal(ndl_pages_find(p, 0, counted, N_TEXT, 0).end, 30);
    ndl_pages_destroy(&p);
}

static void own_page_is_filled_up_with_what_others_have(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 2);
    const ndl_page_op *ops;
    fill(p, 1, counted, 20);
    fill(p, 0, counted, 90);
    forget_ops(p);
    assert_int_equal(ndl_pages_reuse(p, 1, counted, N_TEXT, 20), 90);
    assert_int_equal(ndl_pages_take_ops(p, &ops), 1);
    check_op(&ops[0], NDL_PAGE_COPY, 1, 1);
    assert_int_equal(ops[0].b, 0);
    /* A whole page takes its place. */
    ndl_pages_sent(p, 1, counted, 90);
    assert_true(ndl_pages_extend(p, 0, P));
    ndl_pages_sent(p, 0, counted, P + 30);
    assert_int_equal(ndl_pages_reuse(p, 1, counted, N_TEXT, 90), P + 30);
    assert_int_equal(ndl_pages_take_ops(p, &ops), 4);
    check_op(&ops[1], NDL_PAGE_MAP, 1, 0);
    assert_int_equal(ops[1].b, 1);
    assert_int_equal(ndl_pages_count(p).n_used, 3);
    ndl_pages_destroy(&p);
}

static void equal_pages_become_one(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 2);
    const ndl_page_op *ops;
    fill(p, 0, counted, P);
    forget_ops(p);
    fill(p, 1, counted, P);
    assert_int_equal(ndl_pages_take_ops(p, &ops), 3);
    check_op(&ops[2], NDL_PAGE_MAP, 1, 0);
    assert_int_equal(ops[1].b, 1);
    assert_int_equal(ops[2].b, 0);
    assert_int_equal(ndl_pages_count(p).n_used, 1);
    ndl_pages_close(p, 0, counted, P);
    assert_int_equal(ndl_pages_count(p).n_used, 1);
    ndl_pages_close(p, 1, counted, P);
    assert_int_equal(ndl_pages_count(p).n_used, 0);
    assert_int_equal(ndl_pages_count(p).n_kept, 1);
    ndl_pages_destroy(&p);
}

static void beginnings_of_what_is_kept_are_not_kept_twice(void **state)
{
    (void)state;
    ndl_pages *p = make(8, 2);
    fill(p, 0, counted, 100);
    fill(p, 1, counted, 60);
    /* The longer one is still being written. */
    ndl_pages_close(p, 1, counted, 60);
    assert_int_equal(ndl_pages_count(p).n_kept, 0);
    ndl_pages_close(p, 0, counted, 100);
    assert_int_equal(ndl_pages_count(p).n_kept, 1);
    fill(p, 0, counted, 120); /* the shorter one came first */
    assert_int_equal(ndl_pages_count(p).n_kept, 0);
    assert_int_equal(ndl_pages_count(p).n_used, 1);
    ndl_pages_destroy(&p);
}

static void least_recently_used_leaf_goes_first(void **state)
{
    (void)state;
    ndl_pages *p = make(4, 1);
    int32_t a[N_TEXT], b[N_TEXT], c[N_TEXT];
    write_text(a, 0, 1);
    write_text(b, 0, 2);
    write_text(c, 0, 3);
    leave(p, 0, a, 2 * P);
    leave(p, 0, b, 2 * P);
    ndl_pages_open(p, 0, 0); /* a has been used again */
    assert_int_equal(ndl_pages_reuse(p, 0, a, 2 * P + 1, 0), 2 * P);
    ndl_pages_close(p, 0, a, 2 * P);
    /* The page for a's next row was the second of b. */
    assert_int_equal(ndl_pages_find(p, 0, b, 2 * P + 1, 0).end, P);
    assert_int_equal(ndl_pages_count(p).evictions, 1);
    fill(p, 0, c, 2 * P);
    assert_int_equal(ndl_pages_find(p, 0, b, 2 * P + 1, 0).end, 0);
    assert_int_equal(ndl_pages_find(p, 0, a, 2 * P + 1, 0).end, 2 * P);
    assert_int_equal(ndl_pages_count(p).evictions, 2);
    ndl_pages_destroy(&p);
}

static void copied_page_has_been_used(void **state)
{
    (void)state;
    ndl_pages *p = make(4, 1);
    int32_t a[N_TEXT], b[N_TEXT], c[N_TEXT];
    write_text(a, 0, 1);
    write_text(b, 0, 2);
    leave(p, 0, a, 100);
    leave(p, 0, b, 100);
    for (int i = 0; i < N_TEXT; i++) c[i] = i < 50 ? a[i] : -i;
    ndl_pages_open(p, 0, 0);
    assert_int_equal(ndl_pages_reuse(p, 0, c, 90, 0), 50);
    ndl_pages_close(p, 0, c, 90);
    write_text(c, 0, 3);
    fill(p, 0, c, 2 * P); /* takes the free page, and one that is kept */
    assert_int_equal(ndl_pages_find(p, 0, b, 90, 0).end, 0);
    assert_int_equal(ndl_pages_find(p, 0, a, 90, 0).end, 89);
    ndl_pages_destroy(&p);
}

/* What is found is itself all there was to be had. */
static void found_page_is_not_also_given(void **state)
{
    (void)state;
    ndl_pages *p = make(1, 1);
    leave(p, 0, counted, P);
    ndl_pages_open(p, 0, 1);
    assert_int_equal(ndl_pages_reuse(p, 0, counted, 2 * P, 0), -1);
    assert_int_equal(ndl_pages_count(p).n_kept, 1);
    ndl_pages_destroy(&p);
}

static void without_a_page_nothing_changes(void **state)
{
    (void)state;
    ndl_pages *p = make(2, 2);
    fill(p, 0, counted, P + 30);
    forget_ops(p);
    ndl_pages_open(p, 1, 1);
    assert_int_equal(ndl_pages_reuse(p, 1, counted, N_TEXT, 0), -1);
    assert_false(ndl_pages_extend(p, 1, 0));
    assert_int_equal(ndl_pages_held(p, 1), 0);
    assert_int_equal(ndl_pages_room(p), 100);
    assert_int_equal(ndl_pages_count(p).hit_tokens, 0);
    ndl_pages_destroy(&p);
}

/* All pages are kept, and the one to begin like is the first to go. */
static void page_to_copy_may_be_the_one_that_is_given(void **state)
{
    (void)state;
    ndl_pages *p = make(1, 1);
    int32_t b[N_TEXT];
    const ndl_page_op *ops;
    write_text(b, 40, 1);
    leave(p, 0, counted, 100);
    forget_ops(p);
    ndl_pages_open(p, 0, 1);
    assert_int_equal(ndl_pages_reuse(p, 0, b, 60, 0), 40);
    assert_int_equal(ndl_pages_take_ops(p, &ops), 2); /* no COPY of itself */
    check_op(&ops[1], NDL_PAGE_MAP, 0, 0);
    ndl_pages_sent(p, 0, b, 60);
    assert_int_equal(ndl_pages_find(p, 0, counted, 90, 0).end, 40);
    ndl_pages_destroy(&p);
}

static void slot_without_pages_is_never_spoken_of(void **state)
{
    (void)state;
    ndl_pages *p = make(2, 1);
    const ndl_page_op *ops;
    ndl_pages_open(p, 0, 3);
    ndl_pages_close(p, 0, NULL, 0);
    assert_int_equal(ndl_pages_take_ops(p, &ops), 0);
    ndl_pages_open(p, 0, 4);
    assert_true(ndl_pages_extend(p, 0, 0));
    ndl_pages_close(p, 0, NULL, 0);
    assert_int_equal(ndl_pages_take_ops(p, &ops), 3);
    check_op(&ops[0], NDL_PAGE_OPEN, 0, 4);
    check_op(&ops[2], NDL_PAGE_CLOSE, 0, 0);
    assert_int_equal(ndl_pages_available(p), 2);
    ndl_pages_destroy(&p);
}

static void without_reuse_nothing_is_remembered(void **state)
{
    (void)state;
    const ndl_pages_config config = { .n_pages = 4,
                                      .n_slots = 1,
                                      .n_entries = 4,
                                      .max_ops = 20,
                                      .no_reuse = true };
    ndl_pages *p = NULL;
    assert_int_equal(ndl_pages_create(&p, &config), NDL_OK);
    fill(p, 0, counted, 2 * P);
    assert_int_equal(ndl_pages_find(p, 0, counted, N_TEXT, 0).end, 0);
    ndl_pages_close(p, 0, counted, 2 * P);
    assert_int_equal(ndl_pages_count(p).n_kept, 0);
    assert_int_equal(ndl_pages_available(p), 4);
    ndl_pages_destroy(&p);
}

/* Of all children of `parent`, the longest beginning in common. */
static int longest_common(const ndl_page_tree *t, int n_pages, int parent,
                          const int32_t *ids, int n)
{
    int best = 0;
    for (int page = 0; page < n_pages; page++) {
        int same = 0;
        if (t->n_ids[page] == 0 || t->parent[page] != parent) continue;
        while (same < n && same < t->n_ids[page] &&
               t->ids[page * P + same] == ids[same])
            same++;
        if (same > best) best = same;
    }
    return best;
}

static void index_finds_the_longest_beginning_of_all(void **state)
{
    (void)state;
    enum { N_PAGES = 40 };
    ndl_page_tree t;
    int32_t ids[P];
    random_state = chance_seed(4711);
    assert_true(ndl_page_tree_init(&t, N_PAGES));
    for (int i = 0; i < CHANCE_CASES(40000); i++) {
        const int page = between(0, N_PAGES - 1), rare = between(2, 40);
        const int n = between(1, 3) > 1 ? between(1, P) : P;
        int parent = between(-1, N_PAGES - 1), same = 0;
        if (parent >= 0 && (t.n_ids[parent] < P || parent == page)) parent = -1;
        for (int k = 0; k < P; k++) ids[k] = between(1, rare) == 1;
        const int found = ndl_page_tree_find(&t, parent, ids, n, &same);
        assert_int_equal(same, longest_common(&t, N_PAGES, parent, ids, n));
        assert_int_equal(found >= 0, same > 0);
        if (found >= 0)
            assert_memory_equal(&t.ids[found * P], ids,
                                sizeof *ids * (size_t)same);
        if (t.n_children[page] > 0) continue;
        if (t.n_ids[page] > 0 && between(1, 3) == 1)
            ndl_page_tree_remove(&t, page);
        else
            ndl_page_tree_put(&t, page, parent, ids, n);
    }
    ndl_page_tree_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_take_pages_that_are_begun),
        cmocka_unit_test(whole_pages_are_shared_and_a_part_is_copied),
        cmocka_unit_test(page_left_behind_is_gone_on_with_instead_of_copied),
        cmocka_unit_test(one_row_is_always_left_to_compute),
        cmocka_unit_test(little_in_common_counts_as_nothing),
        cmocka_unit_test(little_more_counts_as_nothing),
        cmocka_unit_test(copied_page_has_been_used),
        cmocka_unit_test(found_page_is_not_also_given),
        cmocka_unit_test(rows_are_unknown_to_others_until_they_are_sent),
        cmocka_unit_test(own_page_is_filled_up_with_what_others_have),
        cmocka_unit_test(equal_pages_become_one),
        cmocka_unit_test(beginnings_of_what_is_kept_are_not_kept_twice),
        cmocka_unit_test(least_recently_used_leaf_goes_first),
        cmocka_unit_test(without_a_page_nothing_changes),
        cmocka_unit_test(page_to_copy_may_be_the_one_that_is_given),
        cmocka_unit_test(slot_without_pages_is_never_spoken_of),
        cmocka_unit_test(without_reuse_nothing_is_remembered),
        cmocka_unit_test(index_finds_the_longest_beginning_of_all),
    };
    write_text(counted, N_TEXT, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
