/*
 * test_table.c - facts about table.h: rows that come back, files that others
 * damaged, and a writer that is followed and killed.
 */
#include "noodle/table.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../support/chance.h"
#include "../support/store_test.h"

typedef struct row {
    int64_t big;
    char text[NDL_COLUMN_TEXT_BYTES];
    double real;
    int32_t small, not_stored;
} row;

enum { N_COLUMNS = 4, MANY = 5000 };

static const ndl_column columns[N_COLUMNS] = {
    { "big", NDL_COLUMN_I64, "B", offsetof(row, big) },
    { "real", NDL_COLUMN_F64, "s", offsetof(row, real) },
    { "text", NDL_COLUMN_TEXT, "", offsetof(row, text) },
    { "small", NDL_COLUMN_I32, "", offsetof(row, small) },
};

static row row_of(int64_t i)
{
    row r;
    memset(&r, 0x5a, sizeof r); /* also behind the text's end */
    r.small = (int32_t)(i % 2 ? -i : i);
    r.big = INT64_MIN + i * 1000003;
    r.real = (double)i / 7;
    snprintf(r.text, sizeof r.text, "r\xc3\xb6w %lld%.*s", (long long)i,
             (int)(i % 50),
             "..................................................");
    r.not_stored = -1;
    return r;
}

static void check_row(const row *got, int64_t i)
{
    const row want = row_of(i);
    assert_int_equal(got->small, want.small);
    assert_true(got->big == want.big);
    assert_true(got->real == want.real);
    assert_string_equal(got->text, want.text);
    assert_int_equal(got->not_stored, 77); /* not ours to touch */
}

static ndl_table *make(ndl_store *s)
{
    ndl_table *t = NULL;
    ok(ndl_table_make(&t, s, "/t/rows", columns, N_COLUMNS, sizeof(row)));
    return t;
}

static ndl_table *look(ndl_store *s)
{
    ndl_table *t = NULL;
    ok(ndl_table_open(&t, s, "/t/rows", columns, N_COLUMNS, sizeof(row)));
    return t;
}

static ndl_status append(ndl_table *t, int64_t n)
{
    const int64_t first = ndl_table_n_rows(t);
    row *rows = malloc((size_t)n * sizeof *rows + 1);
    for (int64_t i = 0; i < n; i++) rows[i] = row_of(first + i);
    const ndl_status st = ndl_table_append(t, rows, n);
    free(rows);
    return st;
}

static void check_rows(ndl_table *t, int64_t first, int64_t n)
{
    row *rows = malloc((size_t)n * sizeof *rows + 1);
    for (int64_t i = 0; i < n; i++) rows[i].not_stored = 77;
    ok(ndl_table_get(t, first, n, rows));
    for (int64_t i = 0; i < n; i++) check_row(&rows[i], first + i);
    free(rows);
}

static void rows_come_back_however_they_were_appended(void **state)
{
    (void)state;
    static const int64_t counts[] = { 0, 1, 1, 2, 1023, 1024, 1025, 3000 };
    int64_t n = 0;
    ndl_store *s = create();
    ndl_table *t = make(s);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        ok(append(t, counts[i]));
        n += counts[i];
        assert_int_equal(ndl_table_n_rows(t), n);
    }
    ndl_table_close(&t);
    assert_null(t);
    ndl_table_close(&t);
    s = reopen(s);
    t = look(s);
    assert_int_equal(ndl_table_n_rows(t), n);
    check_rows(t, 0, n);
    check_rows(t, n - 1, 1);
    check_rows(t, 1, 2047);
    check_rows(t, n, 0);
    ndl_table_close(&t);
    ndl_store_close(&s);
}

static void rows_written_over_are_the_new_ones(void **state)
{
    (void)state;
    row two[2] = { row_of(900), row_of(901) };
    ndl_store *s = create();
    ndl_table *t = make(s);
    ok(append(t, 1500));
    ok(ndl_table_put(t, 1022, 2, two));
    assert_int_equal(ndl_table_n_rows(t), 1500);
    ndl_table_close(&t);
    s = reopen(s);
    t = look(s);
    check_rows(t, 0, 1022);
    check_rows(t, 1024, 476);
    two[0].not_stored = two[1].not_stored = 77;
    ok(ndl_table_get(t, 1022, 2, two));
    check_row(&two[0], 900);
    check_row(&two[1], 901);
    ndl_table_close(&t);
    ndl_store_close(&s);
}

static void some_columns_in_another_order_are_a_table_too(void **state)
{
    (void)state;
    struct {
        double real;
        int32_t small;
    } got[3];
    const ndl_column few[] = { { "real", NDL_COLUMN_F64, "", 0 },
                               { "small", NDL_COLUMN_I32, "", 8 } };
    ndl_store *s = create();
    ndl_table *t = make(s);
    ok(append(t, 3));
    ndl_table_close(&t);
    s = reopen(s);
    ok(ndl_table_open(&t, s, "/t/rows", few, 2, sizeof *got));
    ok(ndl_table_get(t, 0, 3, got));
    for (int i = 0; i < 3; i++) {
        assert_true(got[i].real == row_of(i).real);
        assert_int_equal(got[i].small, row_of(i).small);
    }
    ndl_table_close(&t);
    ndl_store_close(&s);
}

static void a_column_has_its_unit(void **state)
{
    (void)state;
    char *text = NULL;
    ndl_store *s = create();
    ndl_table *t = make(s);
    ndl_table_close(&t);
    s = reopen(s);
    ok(ndl_store_get_text(s, "/t/rows/real", "units", &text));
    assert_string_equal(text, "s");
    free(text);
    assert_false(ndl_store_has_attr(s, "/t/rows/text", "units"));
    t = look(s);
    assert_int_equal(ndl_table_n_rows(t), 0);
    ndl_table_close(&t);
    ndl_store_close(&s);
}

/* Make one column of the table with HDF5 itself, the others as we do. */
typedef struct foreign_column {
    hid_t type;
    int n_dims;
    hsize_t dims[2];
    const void *values; /* NULL: none written */
    const char *cause;
} foreign_column;

static void make_foreign(const char *name, const foreign_column *c)
{
    ndl_store *s = create();
    ndl_table *t = make(s);
    ok(append(t, 4));
    ndl_table_close(&t);
    ok(ndl_store_commit(&s));
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(H5Ldelete(f, name, H5P_DEFAULT) >= 0);
    if (c->type < 0) {
        H5Fclose(f);
        return;
    }
    const hsize_t chunk[2] = { 2, 2 };
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, c->n_dims, chunk);
    const hid_t space = H5Screate_simple(c->n_dims, c->dims, NULL);
    const hid_t set =
        H5Dcreate2(f, name, c->type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(set >= 0);
    if (c->values)
        H5Dwrite(set, c->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, c->values);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(list);
    H5Fclose(f);
}

static hid_t text_type(size_t size, H5T_str_t pad)
{
    const hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, size);
    H5Tset_strpad(t, pad);
    H5Tset_cset(t, H5T_CSET_UTF8);
    return t;
}

static void refused(const char *column, const foreign_column *c)
{
    char name[32];
    ndl_store *s = NULL;
    ndl_table *t = NULL;
    snprintf(name, sizeof name, "/t/rows/%s", column);
    make_foreign(name, c);
    ok(ndl_store_open(&s, path));
    const ndl_status st =
        ndl_table_open(&t, s, "/t/rows", columns, N_COLUMNS, sizeof(row));
    assert_non_null(strstr(ndl_status_message(), column));
    assert_non_null(strstr(ndl_status_message(), "/t/rows"));
    failed(st, NDL_EDATA, c->cause);
    assert_null(t);
    ndl_store_close(&s);
}

static void a_column_of_another_kind_is_refused_by_name(void **state)
{
    (void)state;
    const hid_t narrow = text_type(63, H5T_STR_NULLPAD);
    const hid_t blank = text_type(64, H5T_STR_SPACEPAD);
    const hid_t any = text_type(H5T_VARIABLE, H5T_STR_NULLTERM);
    const foreign_column cases[] = {
        { -1, 0, { 0 }, NULL, "is missing" },
        { H5T_STD_I64LE, 1, { 4 }, NULL, "of another type" },
        { H5T_STD_U32LE, 1, { 4 }, NULL, "of another type" },
        { H5T_STD_I32BE, 1, { 4 }, NULL, "of another type" },
        { H5T_IEEE_F32LE, 1, { 4 }, NULL, "of another type" },
        { H5T_STD_I32LE, 1, { 3 }, NULL, "another length" },
        { H5T_STD_I32LE, 1, { 5 }, NULL, "another length" },
        { H5T_STD_I32LE, 2, { 4, 2 }, NULL, "one dimension" },
        { H5T_STD_I32LE, 1, { NDL_TABLE_MAX_ROWS + 1 }, NULL, "too many" },
        { H5T_STD_I32LE, 1, { (hsize_t)1 << 62 }, NULL, "too many rows" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused("small", &cases[i]);
    const hid_t texts[] = { narrow, blank, any, H5T_STD_I32LE };
    for (int i = 0; i < 4; i++)
        refused("text", &(foreign_column){
                            texts[i], 1, { 4 }, NULL, "of another type" });
    H5Tclose(narrow);
    H5Tclose(blank);
    H5Tclose(any);
}

static void a_table_without_group_is_refused(void **state)
{
    (void)state;
    ndl_store *s = create();
    ndl_table *t = NULL;
    ok(ndl_store_make_group(s, "/t"));
    s = reopen(s);
    failed(ndl_table_open(&t, s, "/t/rows", columns, N_COLUMNS, sizeof(row)),
           NDL_EDATA, "is missing");
    failed(ndl_table_open(&t, s, "/t",
                          &(ndl_column){ "..", NDL_COLUMN_I32, "", 0 }, 1, 4),
           NDL_EDATA, "is missing");
    ndl_store_close(&s);
}

static void a_group_in_place_of_a_column_is_refused(void **state)
{
    (void)state;
    ndl_store *s = create();
    ndl_table *t = NULL;
    ok(ndl_store_make_group(s, "/t/rows/big"));
    s = reopen(s);
    failed(ndl_table_open(&t, s, "/t/rows", columns, N_COLUMNS, sizeof(row)),
           NDL_EDATA, "not a dataset");
    ndl_store_close(&s);
}

static void hostile_texts_are_refused(void **state)
{
    (void)state;
    char texts[4][64] = { "good", "fine", "bad", "last" };
    const hid_t type = text_type(64, H5T_STR_NULLPAD);
    for (int kind = 0; kind < 2; kind++) {
        row rows[4];
        ndl_store *s = NULL;
        if (kind == 0) memset(texts[2], 'x', sizeof texts[2]);
        if (kind == 1) memcpy(texts[2], "\x1b[2J", 5);
        make_foreign("/t/rows/text",
                     &(foreign_column){ type, 1, { 4 }, texts, NULL });
        ok(ndl_store_open(&s, path));
        ndl_table *t = look(s);
        ok(ndl_table_get(t, 0, 2, rows));
        assert_string_equal(rows[1].text, "fine");
        failed(ndl_table_get(t, 0, 4, rows), NDL_EDATA, "column text");
        ok(ndl_table_get(t, 3, 1, rows));
        ndl_table_close(&t);
        ndl_store_close(&s);
    }
    H5Tclose(type);
}

static void a_column_in_another_file_is_refused(void **state)
{
    (void)state;
    ndl_store *s = create();
    ndl_table *t = make(s);
    ndl_table_close(&t);
    ok(ndl_store_commit(&s));
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(f, "/t/rows/small", H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", f, "/t/rows/small", H5P_DEFAULT,
                       H5P_DEFAULT);
    H5Fclose(f);
    ok(ndl_store_open(&s, path));
    failed(ndl_table_open(&t, s, "/t/rows", columns, N_COLUMNS, sizeof(row)),
           NDL_EDATA, "is missing");
    ndl_store_close(&s);
}

static void a_flipped_bit_in_a_committed_file_is_noticed(void **state)
{
    (void)state;
    const char mark[] = "r\xc3\xb6w 3..."; /* the text of row 3 */
    static char bytes[4 << 20];
    row rows[4];
    ndl_store *s = create();
    ndl_table *t = make(s);
    ok(append(t, 4));
    ndl_table_close(&t);
    ok(ndl_store_commit(&s));
    FILE *f = fopen(path, "r+b");
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    const char *at = bytes, *end = bytes + n - sizeof mark;
    while (at < end && memcmp(at, mark, sizeof mark - 1) != 0) at++;
    assert_true(at < end);
    fseek(f, at - bytes + 2, SEEK_SET);
    fputc(at[2] ^ 4, f);
    fclose(f);
    ok(ndl_store_open(&s, path));
    t = look(s);
    failed(ndl_table_get(t, 0, 4, rows), NDL_EDATA, "column text");
    ndl_table_close(&t);
    ndl_store_close(&s);
}

static void nothing_behind_the_end_of_a_text_goes_into_the_file(void **state)
{
    (void)state;
    static char bytes[4 << 20];
    ndl_store *s = create();
    ndl_table *t = make(s);
    ok(append(t, 100));
    ndl_table_close(&t);
    ok(ndl_store_commit(&s));
    FILE *f = fopen(path, "rb");
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    int run = 0;
    for (size_t i = 0; i < n; i++) {
        run = bytes[i] == 0x5a ? run + 1 : 0; /* see row_of */
        assert_true(run < 4);
    }
}

static void live_files_replace_and_say_what_is_in_the_way(void **state)
{
    (void)state;
    ndl_store *s = NULL;
    failed(ndl_store_create_live(&s, folder.path), NDL_ECREATE, "regular file");
    char nowhere[400];
    snprintf(nowhere, sizeof nowhere, "%s/none/a.h5", folder.path);
    failed(ndl_store_create_live(&s, nowhere), NDL_ECREATE, "No such file");
    assert_null(s);
    for (int i = 0; i < 2; i++) {
        ok(ndl_store_create_live(&s, path));
        assert_int_equal(test_folder_count(&folder), i + 1);
        assert_int_equal(access(path, F_OK), i - 1); /* the old one stays */
        ndl_store_close(&s);
        assert_int_equal(test_folder_count(&folder), i);
        FILE *old = fopen(path, "w");
        fputs("what was here before", old);
        fclose(old);
    }
    ok(ndl_store_create_live(&s, path));
    ndl_table *t = make(s);
    ok(ndl_store_follow(s));
    ok(append(t, 10));
    ndl_table_close(&t);
    ok(ndl_store_commit(&s));
    ok(ndl_store_open(&s, path));
    t = look(s);
    assert_int_equal(ndl_table_n_rows(t), 10);
    check_rows(t, 0, 10);
    ndl_table_close(&t);
    ndl_store_close(&s);
}

static void jobs_that_start_together_do_not_share_a_file(void **state)
{
    (void)state;
    ndl_store *s[2] = { NULL, NULL };
    ndl_table *t[2];
    for (int i = 0; i < 2; i++) {
        ok(ndl_store_create_live(&s[i], path));
        t[i] = make(s[i]);
    }
    for (int i = 0; i < 2; i++) {
        ok(ndl_store_follow(s[i]));
        ok(append(t[i], 10 + i));
    }
    for (int i = 0; i < 2; i++) {
        ndl_table_close(&t[i]);
        ok(ndl_store_commit(&s[i]));
    }
    assert_int_equal(test_folder_count(&folder), 1);
    ok(ndl_store_open(&s[0], path));
    t[0] = look(s[0]);
    assert_int_equal(ndl_table_n_rows(t[0]), 11); /* the last to be ready */
    check_rows(t[0], 0, 11);
    ndl_table_close(&t[0]);
    ndl_store_close(&s[0]);
}

/* A child that appends, flushes and tells how many rows are flushed. */
static void write_for_ever(int out, int64_t step)
{
    ndl_store *s = NULL;
    int64_t n = 0;
    if (ndl_store_create_live(&s, path) != NDL_OK) _exit(1);
    ndl_table *t = NULL;
    if (ndl_table_make(&t, s, "/t/rows", columns, N_COLUMNS, sizeof(row)) !=
            NDL_OK ||
        ndl_store_follow(s) != NDL_OK)
        _exit(2);
    for (;; n += step) {
        if (write(out, &n, sizeof n) != (ssize_t)sizeof n) _exit(3);
        if (append(t, step) != NDL_OK || ndl_store_flush(s) != NDL_OK) _exit(4);
    }
}

static pid_t start_writer(int *in, int64_t step)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        write_for_ever(ends[1], step);
    }
    close(ends[1]);
    *in = ends[0];
    return pid;
}

/* Take what the writer said, at least until it has `at_least` rows. */
static int64_t hear(int in, int64_t at_least)
{
    int64_t n = -1;
    while (n < at_least && read(in, &n, sizeof n) == (ssize_t)sizeof n) {
    }
    return n;
}

static void end_writer(pid_t pid)
{
    int how = 0;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}

static void see_at_least(int64_t flushed)
{
    ndl_store *s = NULL;
    ok(ndl_store_open(&s, path));
    ndl_table *t = look(s);
    assert_true(ndl_table_n_rows(t) >= flushed);
    check_rows(t, 0, flushed);
    ndl_table_close(&t);
    ndl_store_close(&s);
}

static void a_reader_follows_while_another_process_writes(void **state)
{
    (void)state;
    int in = -1;
    const pid_t pid = start_writer(&in, 37);
    for (int64_t n = 0; n < MANY;) {
        n = hear(in, n + 1);
        assert_true(n > 0);
        see_at_least(n);
    }
    end_writer(pid);
    close(in);
}

static void what_was_flushed_survives_kill_9_at_any_moment(void **state)
{
    (void)state;
    random_state = chance_seed(20260801);
    for (int i = 0; i < 12; i++) {
        int in = -1;
        const pid_t pid = start_writer(&in, between(1, 200));
        int64_t n = hear(in, between(0, 3000));
        assert_true(n >= 0);
        usleep((useconds_t)between(0, 3000));
        end_writer(pid);
        int64_t last = 0;
        while (read(in, &last, sizeof last) == (ssize_t)sizeof last) n = last;
        see_at_least(n);
        close(in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(rows_come_back_however_they_were_appended),
        T(rows_written_over_are_the_new_ones),
        T(some_columns_in_another_order_are_a_table_too),
        T(a_column_has_its_unit),
        T(a_column_of_another_kind_is_refused_by_name),
        T(a_table_without_group_is_refused),
        T(a_group_in_place_of_a_column_is_refused),
        T(hostile_texts_are_refused),
        T(a_column_in_another_file_is_refused),
        T(a_flipped_bit_in_a_committed_file_is_noticed),
        T(nothing_behind_the_end_of_a_text_goes_into_the_file),
        T(live_files_replace_and_say_what_is_in_the_way),
        T(jobs_that_start_together_do_not_share_a_file),
        T(a_reader_follows_while_another_process_writes),
        T(what_was_flushed_survives_kill_9_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
