/*
 * scratch.h - the fixture of tests that write files: each has an empty folder
 * of its own, and the path of a file in it that is not there yet.  Include it
 * last: parameters of other headers have these names too.
 */
#ifndef NOODLE_TEST_SCRATCH_H
#define NOODLE_TEST_SCRATCH_H

#include "folder.h"
#include "noodle/status.h"

static test_folder folder;
static char path[320];

static inline int scratch_make(void **state)
{
    (void)state;
    ndl_status_clear();
    if (test_folder_make(&folder) != 0) return -1;
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "scratch"));
    return 0;
}

static inline int scratch_remove(void **state)
{
    (void)state;
    return test_folder_remove(&folder);
}

#define IN_SCRATCH(fact)                                                       \
    cmocka_unit_test_setup_teardown(fact, scratch_make, scratch_remove)

#endif /* NOODLE_TEST_SCRATCH_H */
