/*
 * fuzz_weights.c - a valid weights file, damaged as the input says, is opened,
 * mapped, read to its last byte and checked.
 *
 * The first byte of an input chooses how the rest is read:
 *   even  patches of four bytes: three tell a place among the bytes that are
 *         not zero, the fourth is stored there
 *   odd   one attribute gets another value: object, attribute, type and
 *         length, then the bytes.  HDF5 rewrites its checksums, so that these
 *         reach our own checks; most patches end at HDF5's.
 */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/folder.h"
#include "../support/tiny_model.h"
#include "fuzz.h"

/* HDF5 1.10 does not give back all its memory after it refused a damaged
 * header; leaks of ids are ours, and those are counted below. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static test_folder folder;
static char path[320];
static uint8_t *base; /* the valid file */
static size_t base_bytes;
static size_t *places; /* offsets of the bytes that are not zero */
static size_t n_places;
static volatile unsigned sink; /* keeps reads from being left out */

static void end(void)
{
    test_folder_remove(&folder);
    free(base);
    free(places);
}

static void begin(void)
{
    FILE *f = NULL;
    if (test_folder_make(&folder) != 0) exit(71);
    atexit(end);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "w.h5"));
    if (tiny_write(&tiny_models[4], NDL_BF16, path, -1) != NDL_OK ||
        !(f = fopen(path, "rb"))) {
        fprintf(stderr, "%s\n", ndl_status_message());
        exit(70);
    }
    fseek(f, 0, SEEK_END);
    base_bytes = (size_t)ftell(f);
    rewind(f);
    base = malloc(base_bytes);
    places = malloc(base_bytes * sizeof *places);
    if (!base || !places || fread(base, 1, base_bytes, f) != base_bytes)
        exit(71);
    fclose(f);
    for (size_t i = 0; i < base_bytes; i++)
        if (base[i]) places[n_places++] = i;
}

static void write_base(void)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(base, 1, base_bytes, f) != base_bytes) exit(74);
    fclose(f);
}

static void patch(const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "r+b");
    if (!f) exit(74);
    for (size_t i = 0; i + 4 <= size; i += 4) {
        const size_t place =
            data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16;
        fseek(f, (long)places[place % n_places], SEEK_SET);
        fputc(data[i + 3], f);
    }
    fclose(f);
}

/* Replace the attribute by `n` bytes of a type: text, or integers. */
static void put(hid_t object, const char *name, int kind, const uint8_t *bytes,
                size_t n)
{
    uint8_t value[64] = { 0 };
    const hid_t text = H5Tcopy(H5T_C_S1);
    const hid_t types[] = { text, H5T_STD_I64LE, H5T_STD_U8LE, H5T_IEEE_F64LE };
    const hid_t type = types[kind % 4];
    if (n > sizeof value) n = sizeof value;
    if (n) memcpy(value, bytes, n);
    H5Tset_size(text, n ? n : 1);
    const hsize_t count = type == text ? 1 : n / H5Tget_size(type);
    const hid_t space =
        kind & 4 ? H5Screate(H5S_NULL) : H5Screate_simple(1, &count, NULL);
    H5Adelete(object, name);
    const hid_t a =
        H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a >= 0) {
        H5Awrite(a, type, value);
        H5Aclose(a);
    }
    H5Sclose(space);
    H5Tclose(text);
}

static void edit(const uint8_t *data, size_t size)
{
    static const char *const objects[] = { "/", "/layers/0000/qkv",
                                           "/layers/0000/norm1",
                                           "/embed/tokens" };
    static const char *const root[] = { "noodle_format", "format_version",
                                        "config", "generation_config",
                                        "dtype" };
    static const char *const set[] = { "layout", "rows",    "cols",
                                       "dtype",  "xxh3_64", "order" };
    if (size < 3) return;
    const int which = data[0] % 4;
    const char *name = which == 0 ? root[data[1] % 5] : set[data[1] % 6];
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    if (f < 0) exit(70);
    const hid_t object = H5Oopen(f, objects[which], H5P_DEFAULT);
    put(object, name, data[2], data + 3, size - 3);
    H5Oclose(object);
    H5Fclose(f);
}

/* The mapping must reach to the end of what the shape says. */
static unsigned last_byte(const ndl_matrix *m)
{
    const size_t size = m->dtype == NDL_BF16 ? 2 : 4;
    const size_t rows = (size_t)m->rows, cols = (size_t)m->cols;
    if (!m->data) return 0;
    const size_t bytes =
        (m->panels ? (rows + 15) / 16 * 16 : rows) * cols * size;
    return ((const uint8_t *)m->data)[bytes - 1];
}

static void open_part(ndl_load load)
{
    ndl_weights *w = NULL;
    const ndl_part part = { 0, 1, true, true };
    const ndl_weights_how how = { .load = load };
    if (ndl_weights_open(&w, path, &part, &how) == NDL_OK) {
        const ndl_layer *l = ndl_weights_layer(w, 0);
        const ndl_ends *e = ndl_weights_ends(w);
        sink += last_byte(&l->qkv) + last_byte(&l->out) + last_byte(&l->up);
        sink += last_byte(&l->down) + last_byte(&e->tokens);
        sink += last_byte(&e->head) + last_byte(&e->positions);
        sink += l->norm1[ndl_weights_model(w)->width - 1] > 0;
    }
    ndl_weights_destroy(&w);
    ndl_status_clear();
}

static void read_file(void)
{
    open_part(NDL_LOAD_MAP);
    open_part(NDL_LOAD_COPY);
    (void)ndl_weights_check(path, NULL, NULL);
    ndl_status_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!base) begin();
    if (size == 0) return 0;
    write_base();
    if (data[0] % 2 == 0)
        patch(data + 1, size - 1);
    else
        edit(data + 1, size - 1);
    read_file();
    if (H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) != 0) abort();
    return 0;
}
