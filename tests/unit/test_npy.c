/* test_npy.c - the file is what NumPy reads, or it is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "noodle/file.h"
#include "noodle/npy.h"

#include "../support/scratch.h"

enum { ROWS = 23, COLS = 7 };

static void value_row(int row, float *out)
{
    for (int c = 0; c < COLS; c++) out[c] = (float)(row * 100 + c) + 0.25f;
}

static ndl_npy *create(uint64_t rows)
{
    ndl_npy *n = NULL;
    assert_int_equal(ndl_npy_create(&n, path, rows, COLS), NDL_OK);
    return n;
}

static ndl_status write_row(ndl_npy *n, int row)
{
    float x[COLS];
    value_row(row, x);
    return ndl_npy_write(n, (uint64_t)row, x);
}

/* NEP 1: magic, version, length of the header, a Python literal, padding. */
static const char *check_header(const char *bytes, size_t n, const char *shape)
{
    assert_true(n >= 10);
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00", 8);
    const size_t len =
        (size_t)(unsigned char)bytes[8] + 256 * (size_t)(unsigned char)bytes[9];
    assert_int_equal((10 + len) % 64, 0);
    assert_true(10 + len <= n);
    char text[400] = "", expected[200];
    assert_true(len < sizeof text);
    memcpy(text, bytes + 10, len);
    assert_int_equal(text[len - 1], '\n');
    const int m = snprintf(
        expected, sizeof expected,
        "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    assert_memory_equal(text, expected, (size_t)m);
    assert_int_equal(strspn(text + m, " "), len - (size_t)m - 1);
    return bytes + 10 + len;
}

static void rows_in_any_order_make_the_array(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t n_bytes = 0;
    ndl_npy *n = create(ROWS);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(write_row(n, (i * 5 + 3) % ROWS), NDL_OK);
    assert_int_equal(access(path, F_OK), -1); /* not before it is whole */
    assert_int_equal(ndl_npy_commit(&n), NDL_OK);
    assert_null(n);
    assert_int_equal(test_folder_count(&folder), 1);
    assert_int_equal(ndl_file_read(&bytes, &n_bytes, path, 1 << 20), NDL_OK);
    const char *data = check_header(bytes, n_bytes, "(23, 7)");
    assert_int_equal(n_bytes - (size_t)(data - bytes),
                     ROWS * COLS * sizeof(float));
    for (int i = 0; i < ROWS; i++) {
        float x[COLS];
        value_row(i, x);
        assert_memory_equal(data + (size_t)i * sizeof x, x, sizeof x);
    }
    free(bytes);
}

static void header_holds_the_largest_shape(void **state)
{
    (void)state;
    ndl_npy *n = NULL;
    char *bytes = NULL;
    size_t n_bytes = 0;
    assert_int_equal(ndl_npy_create(&n, path, 0, UINT64_MAX), NDL_OK);
    assert_int_equal(ndl_npy_commit(&n), NDL_OK);
    assert_int_equal(ndl_file_read(&bytes, &n_bytes, path, 1 << 20), NDL_OK);
    check_header(bytes, n_bytes, "(0, 18446744073709551615)");
    free(bytes);
}

static void array_with_a_row_missing_is_refused(void **state)
{
    (void)state;
    ndl_npy *n = create(ROWS);
    for (int i = 0; i < ROWS - 1; i++)
        assert_int_equal(write_row(n, i), NDL_OK);
    assert_int_equal(ndl_npy_commit(&n), NDL_ESOFTWARE);
    assert_null(n);
    assert_non_null(strstr(ndl_status_message(), "22 of 23 rows"));
    assert_int_equal(test_folder_count(&folder), 0);
}

static void row_written_twice_does_not_stand_for_another(void **state)
{
    (void)state;
    ndl_npy *n = create(3);
    assert_int_equal(write_row(n, 0), NDL_OK);
    assert_int_equal(write_row(n, 1), NDL_OK);
    assert_int_equal(write_row(n, 1), NDL_OK);
    assert_int_equal(ndl_npy_commit(&n), NDL_ESOFTWARE);
    assert_int_equal(test_folder_count(&folder), 0);
}

static void row_outside_the_array_is_edata(void **state)
{
    (void)state;
    ndl_npy *n = create(3);
    assert_int_equal(write_row(n, 3), NDL_EDATA);
    assert_non_null(strstr(ndl_status_message(), "row 3 of 3"));
    ndl_npy_discard(&n);
    assert_null(n);
    ndl_npy_discard(&n);
    assert_int_equal(test_folder_count(&folder), 0);
}

static void file_of_before_stays_until_the_new_one_is_whole(void **state)
{
    (void)state;
    ndl_npy *n = create(1);
    assert_int_equal(write_row(n, 0), NDL_OK);
    assert_int_equal(ndl_npy_commit(&n), NDL_OK);
    n = create(2);
    ndl_npy_discard(&n);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(test_folder_count(&folder), 1);
}

static void folder_that_is_not_there_is_ecreate(void **state)
{
    (void)state;
    ndl_npy *n = NULL;
    assert_int_equal(ndl_npy_create(&n, "/nowhere/x.npy", 1, 1), NDL_ECREATE);
    assert_null(n);
}

static void make_array(void)
{
    ndl_npy *n = create(ROWS);
    for (int i = 0; i < ROWS; i++) assert_int_equal(write_row(n, i), NDL_OK);
    assert_int_equal(ndl_npy_commit(&n), NDL_OK);
}

static void rows_are_read_back_in_any_order(void **state)
{
    (void)state;
    ndl_npy_rows *n = NULL;
    float have[COLS], want[COLS];
    make_array();
    assert_int_equal(ndl_npy_rows_open(&n, path, ROWS, COLS), NDL_OK);
    /* Removed while it is open, it stays until it is closed. */
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < ROWS; i++) {
        const int row = (i * 5 + 3) % ROWS;
        value_row(row, want);
        assert_int_equal(ndl_npy_rows_read(n, (uint64_t)row, have), NDL_OK);
        assert_memory_equal(have, want, sizeof have);
    }
    assert_int_equal(ndl_npy_rows_read(n, ROWS, have), NDL_EDATA);
    assert_int_equal(ndl_npy_rows_read(n, UINT64_MAX, have), NDL_EDATA);
    ndl_npy_rows_close(&n);
    assert_null(n);
    ndl_npy_rows_close(&n);
}

static void array_of_another_shape_or_length_is_not_read(void **state)
{
    (void)state;
    ndl_npy_rows *n = NULL;
    make_array();
    assert_int_equal(ndl_npy_rows_open(&n, path, ROWS, COLS + 1), NDL_EDATA);
    assert_int_equal(ndl_npy_rows_open(&n, path, ROWS - 1, COLS), NDL_EDATA);
    assert_int_equal(ndl_npy_rows_open(&n, path, UINT64_MAX, 2), NDL_EDATA);
    assert_int_equal(ndl_npy_rows_open(&n, path, ROWS, 0), NDL_EDATA);
    const off_t whole = 128 + ROWS * COLS * (off_t)sizeof(float);
    for (int change = 1; change >= -1; change -= 2) {
        assert_int_equal(truncate(path, whole + change), 0);
        assert_int_equal(ndl_npy_rows_open(&n, path, ROWS, COLS), NDL_EDATA);
    }
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(ndl_npy_rows_open(&n, path, ROWS, COLS), NDL_EDATA);
    assert_int_equal(ndl_npy_rows_open(&n, "/nowhere/x.npy", 1, 1),
                     NDL_ENOINPUT);
    assert_null(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(rows_in_any_order_make_the_array),
        IN_SCRATCH(header_holds_the_largest_shape),
        IN_SCRATCH(array_with_a_row_missing_is_refused),
        IN_SCRATCH(row_written_twice_does_not_stand_for_another),
        IN_SCRATCH(rows_are_read_back_in_any_order),
        IN_SCRATCH(array_of_another_shape_or_length_is_not_read),
        IN_SCRATCH(row_outside_the_array_is_edata),
        IN_SCRATCH(file_of_before_stays_until_the_new_one_is_whole),
        IN_SCRATCH(folder_that_is_not_there_is_ecreate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
