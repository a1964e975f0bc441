/* store_test.h - what the tests of the store share: a folder, a count of
 * HDF5's ids so that a leak fails the test, and checks of results. */
#ifndef NOODLE_TEST_STORE_TEST_H
#define NOODLE_TEST_STORE_TEST_H

#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "noodle/store.h"
#include "scratch.h"

/* Ids of a kind count upward: a valid one between two of ours is a leak. */
typedef struct id_mark {
    hid_t space, list, stack;
} id_mark;

static inline id_mark mark_ids(void)
{
    const id_mark m = { H5Screate(H5S_SCALAR), H5Pcreate(H5P_DATASET_XFER),
                        H5Ecreate_stack() };
    H5Sclose(m.space);
    H5Pclose(m.list);
    H5Eclose_stack(m.stack);
    return m;
}

static inline int leaks_between(hid_t from, hid_t to)
{
    int n = 0;
    for (hid_t id = from; id < to; id++) n += H5Iis_valid(id) > 0;
    return n;
}

static id_mark first_ids;

static inline int count_leaks(void)
{
    const id_mark now = mark_ids();
    return (int)H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) +
           leaks_between(first_ids.space, now.space) +
           leaks_between(first_ids.list, now.list) +
           leaks_between(first_ids.stack, now.stack);
}

static inline int set_up(void **state)
{
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (scratch_make(state) != 0) return -1;
    first_ids = mark_ids();
    return 0;
}

static inline int tear_down(void **state)
{
    const int leaks = count_leaks();
    if (leaks) fprintf(stderr, "%d ids leaked\n", leaks);
    return scratch_remove(state) != 0 || leaks ? -1 : 0;
}

static inline void ok(ndl_status st)
{
    if (st != NDL_OK) fprintf(stderr, "%s\n", ndl_status_message());
    assert_int_equal(st, NDL_OK);
}

/* It failed so, and the one-line message names the file and has `word`. */
static inline void failed(ndl_status st, ndl_status expected, const char *word)
{
    const char *m = ndl_status_message();
    if (st != expected || !strstr(m, word)) fprintf(stderr, "%d %s\n", st, m);
    assert_int_equal(st, expected);
    assert_non_null(strstr(m, word));
    assert_non_null(strstr(m, folder.path));
    assert_null(strchr(m, '\n'));
    ndl_status_clear();
}

static inline ndl_store *create(void)
{
    ndl_store *s = NULL;
    ok(ndl_store_create(&s, path));
    return s;
}

static inline ndl_store *reopen(ndl_store *s)
{
    ok(ndl_store_commit(&s));
    assert_null(s);
    ok(ndl_store_open(&s, path));
    return s;
}

static inline ndl_status note(void *arg, const char *name)
{
    strcat(arg, name);
    strcat(arg, " ");
    return strstr(name, "stop") ? NDL_EINT : NDL_OK;
}

#endif /* NOODLE_TEST_STORE_TEST_H */
