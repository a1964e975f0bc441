/*
 * fuzz_weights.c - a valid weights file, damaged as the input says, is opened,
 * mapped, read to its last byte, checked, and given back row by row.
 *
 * The first byte of an input chooses the file, by its bits 2 and 3 (bf16, int8
 * in blocks of 64 and of 32, int4), and by bits 0 and 1 how the rest is read:
 *   0     patches of four bytes: three tell a place among the bytes that are
 *         not zero, the fourth is stored there
 *   1     one attribute gets another value: object, attribute, type and
 *         length, then the bytes.  HDF5 rewrites its checksums, so that these
 *         reach our own checks; most patches end at HDF5's.
 *   2, 3  the data of one dataset change and its checksum with them: object,
 *         then patches of three bytes: two tell a place, the third is stored
 */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/formats/weights_source.h"
#include "../support/folder.h"
#include "../support/tiny_model.h"
#include "fuzz.h"
#include "noodle/hash.h"

/* HDF5 1.10 does not give back all its memory after it refused a damaged
 * header; leaks of ids are ours, and those are counted below. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

/* A valid file. */
typedef struct valid_file {
    uint8_t *bytes;
    size_t n;
    size_t *places; /* offsets of the bytes that are not zero */
    size_t n_places;
} valid_file;

enum { N_BASES = 4 };
static const char *const mixes[N_BASES] = {
    "bf16", "int8,head=int8:32,down=int8:32", "int8:32", "int4,head=int8,v=int8"
};
static test_folder folder;
static char path[320];
static valid_file bases[N_BASES];
static volatile unsigned sink; /* keeps reads from being left out */

static const char *const objects[] = {
    "/",
    "/layers/0000/qkv",
    "/layers/0000/norm1",
    "/embed/tokens",
    "/layers/0000/qkv_scale",
    "/layers/0000/down",
    "/layers/0000/v_scale",
    "/head/matrix_scale",
    "/layers/0000/qk",
    "/layers/0000/qk_scale",
};
enum { N_OBJECTS = sizeof objects / sizeof *objects };

static void end(void)
{
    test_folder_remove(&folder);
    for (int i = 0; i < N_BASES; i++) {
        free(bases[i].bytes);
        free(bases[i].places);
    }
}

/* The file at `path`. */
static void read_valid(valid_file *v)
{
    FILE *f = fopen(path, "rb");
    if (!f) exit(74);
    fseek(f, 0, SEEK_END);
    v->n = (size_t)ftell(f);
    rewind(f);
    v->bytes = malloc(v->n);
    v->places = malloc(v->n * sizeof *v->places);
    if (!v->bytes || !v->places || fread(v->bytes, 1, v->n, f) != v->n)
        exit(71);
    fclose(f);
    for (size_t i = 0; i < v->n; i++)
        if (v->bytes[i]) v->places[v->n_places++] = i;
}

static void begin(void)
{
    if (test_folder_make(&folder) != 0) exit(71);
    atexit(end);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "w.h5"));
    for (int i = 0; i < N_BASES; i++) {
        ndl_mix mix;
        if (ndl_mix_read(&mix, mixes[i]) != NDL_OK ||
            tiny_write_mix(&tiny_models[4], mix, path, -1) != NDL_OK) {
            fprintf(stderr, "%s\n", ndl_status_message());
            exit(70);
        }
        read_valid(&bases[i]);
    }
}

static void write_file(const valid_file *v)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(v->bytes, 1, v->n, f) != v->n) exit(74);
    fclose(f);
}

static void patch(const valid_file *v, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "r+b");
    if (!f) exit(74);
    for (size_t i = 0; i + 4 <= size; i += 4) {
        const size_t place =
            data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16;
        fseek(f, (long)v->places[place % v->n_places], SEEK_SET);
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
    static const char *const root[] = { "noodle_format", "format_version",
                                        "config", "generation_config",
                                        "dtype" };
    static const char *const set[] = { "layout",    "rows",    "cols",
                                       "dtype",     "xxh3_64", "order",
                                       "block",     "sources", "source_dtype",
                                       "transposed" };
    if (size < 3) return;
    const int which = data[0] % N_OBJECTS;
    const char *name = which == 0 ? root[data[1] % 5] : set[data[1] % 10];
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    if (f < 0) exit(70);
    const hid_t object = H5Oopen(f, objects[which], H5P_DEFAULT);
    if (object >= 0) { /* bf16 has no scales, int8 no dataset of v */
        put(object, name, data[2], data + 3, size - 3);
        H5Oclose(object);
    }
    H5Fclose(f);
}

static void seal(const char *object, const void *bytes, size_t n)
{
    const uint64_t sum = ndl_hash_bytes(bytes, n, 0);
    const hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t o = H5Oopen(f, object, H5P_DEFAULT);
    const hid_t space = H5Screate(H5S_SCALAR);
    H5Adelete(o, "xxh3_64");
    const hid_t a = H5Acreate2(o, "xxh3_64", H5T_STD_U64LE, space, H5P_DEFAULT,
                               H5P_DEFAULT);
    if (H5Awrite(a, H5T_NATIVE_UINT64, &sum) < 0) exit(70);
    H5Aclose(a);
    H5Sclose(space);
    H5Oclose(o);
    H5Fclose(f);
}

static bool find(const char *object, ndl_store_info *out)
{
    ndl_store *s = NULL;
    if (ndl_store_open(&s, path) != NDL_OK) exit(70);
    const bool found =
        ndl_store_has(s, object) && ndl_store_query(s, object, out) == NDL_OK;
    ndl_store_close(&s);
    ndl_status_clear();
    return found;
}

/* What no checksum can tell from what was meant. */
static void forge(const valid_file *v, const uint8_t *data, size_t size)
{
    ndl_store_info info;
    if (size < 1 || data[0] % N_OBJECTS == 0) return;
    const char *object = objects[data[0] % N_OBJECTS];
    if (!find(object, &info)) return;
    const size_t n = (size_t)info.bytes;
    uint8_t *bytes = malloc(n);
    if (!bytes) exit(71);
    memcpy(bytes, v->bytes + info.offset, n);
    for (size_t i = 1; i + 3 <= size; i += 3)
        bytes[(data[i] | (size_t)data[i + 1] << 8) % n] = data[i + 2];
    FILE *f = fopen(path, "r+b");
    if (!f || fseek(f, (long)info.offset, SEEK_SET) != 0 ||
        fwrite(bytes, 1, n, f) != n)
        exit(74);
    fclose(f);
    seal(object, bytes, n);
    free(bytes);
}

/* The mapping must reach to the end of what the shape says. */
static unsigned last_byte(const ndl_matrix *m)
{
    const size_t rows = (size_t)m->rows, panels = (rows + 15) / 16;
    const size_t cols = (size_t)m->cols, block = (size_t)m->block;
    if (!m->data) return 0;
    if (block > 0) {
        const size_t n = panels * 16 * ((cols + block - 1) / block);
        const size_t bytes = n * block / (m->dtype == NDL_INT4 ? 2 : 1);
        return ((const uint8_t *)m->data)[bytes - 1] + m->scales[n - 1];
    }
    const size_t size = m->dtype == NDL_BF16 ? 2 : 4;
    const size_t bytes = (m->panels ? panels * 16 : rows) * cols * size;
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
        sink += last_byte(&l->v);
        sink += last_byte(&l->down) + last_byte(&e->tokens);
        sink += last_byte(&e->head) + last_byte(&e->positions);
        sink += l->norm1[ndl_weights_model(w)->width - 1] > 0;
    }
    ndl_weights_destroy(&w);
    ndl_status_clear();
}

/* All rows of a role. */
static void give(const ndl_source *s, const ndl_item *it, int i)
{
    const size_t rows = (size_t)it->role_rows[i];
    const bool vector = it->layout == NDL_LAYOUT_VECTOR;
    const size_t n = vector ? rows : rows * (size_t)it->cols;
    const ndl_role role = it->roles[i];
    float *x = malloc(n * sizeof *x);
    ndl_origin origin;
    if (!x) exit(71);
    if (s->rows(s->arg, role, it->layer, 0, vector ? 1 : (int)rows, x) ==
        NDL_OK)
        sink += x[0] > 0.0f && x[n - 1] > 0.0f;
    s->origin(s->arg, role, it->layer, &origin);
    sink += (unsigned)(strlen(origin.name) + strlen(origin.dtype));
    free(x);
}

static void give_back(void)
{
    ndl_weights_source *w = NULL;
    ndl_source s;
    ndl_item *items = NULL;
    int n = 0;
    if (ndl_weights_source_open(&w, path) != NDL_OK) return;
    ndl_weights_source_get(w, &s);
    const ndl_model *m = ndl_weights_source_model(w);
    const ndl_part whole = ndl_layout_whole(m);
    if (ndl_layout_list(&items, &n, m, ndl_weights_source_mix(w), &whole) !=
        NDL_OK)
        exit(71);
    for (int i = 0; i < n; i++)
        for (int r = 0; r < items[i].n_roles; r++)
            if (items[i].layout != NDL_LAYOUT_SCALES) give(&s, &items[i], r);
    free(items);
    ndl_weights_source_close(&w);
}

static void read_file(void)
{
    open_part(NDL_LOAD_MAP);
    open_part(NDL_LOAD_COPY);
    (void)ndl_weights_check(path, NULL, NULL);
    ndl_status_clear();
    give_back();
    ndl_status_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!bases[0].bytes) begin();
    if (size == 0) return 0;
    const valid_file *v = &bases[data[0] / 4 % N_BASES];
    write_file(v);
    switch (data[0] % 4) {
    case 0: patch(v, data + 1, size - 1); break;
    case 1: edit(data + 1, size - 1); break;
    default: forge(v, data + 1, size - 1); break;
    }
    read_file();
    if (H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) != 0) abort();
    return 0;
}
