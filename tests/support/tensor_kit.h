/*
 * tensor_kit.h - small safetensors files that a test writes for itself.
 *
 * An element is a function of its tensor's name and its index, an integer
 * / 128 that F32, F16 and BF16 all hold exactly, so a test knows what every
 * element must be without keeping a copy.
 */
#ifndef NOODLE_TENSOR_KIT_H
#define NOODLE_TENSOR_KIT_H

#include <stdbool.h>
#include <stdint.h>

#include "folder.h"

enum { KIT_MAX_TENSORS = 128 };

typedef struct kit_tensor {
    char name[128];
    const char *dtype; /* "F32" "F16" "BF16", others are written as zeros */
    int n_dims, dims[2];
} kit_tensor;

typedef struct kit_checkpoint {
    kit_tensor tensors[KIT_MAX_TENSORS];
    int n;
} kit_checkpoint;

static inline void kit_must(bool ok, const char *what)
{
    if (ok) return;
    perror(what);
    exit(71);
}

static inline void kit_path(char out[400], const char *folder, const char *name)
{
    snprintf(out, 400, "%s/%s", folder, name);
}

static inline FILE *kit_open(const char *folder, const char *name)
{
    char path[400];
    kit_path(path, folder, name);
    FILE *f = fopen(path, "wb");
    kit_must(f != NULL, path);
    return f;
}

static inline void kit_write(const char *folder, const char *name,
                             const void *bytes, size_t n)
{
    FILE *f = kit_open(folder, name);
    kit_must(fwrite(bytes, 1, n, f) == n && fclose(f) == 0, name);
}

static inline void kit_write_text(const char *folder, const char *name,
                                  const char *text)
{
    kit_write(folder, name, text, strlen(text));
}

static inline bool kit_exists(const char *folder, const char *name)
{
    char path[400];
    kit_path(path, folder, name);
    return access(path, F_OK) == 0;
}

static inline float kit_value(const char *name, size_t i)
{
    uint32_t h = 2166136261u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619u;
    h = (h + (uint32_t)i) * 2654435761u;
    return ((float)(int)(h >> 24) - 128.0f) / 128.0f;
}

/* d1 = 0: a vector. */
static inline void kit_add(kit_checkpoint *c, const char *name, int d0, int d1)
{
    kit_must(c->n < KIT_MAX_TENSORS, "too many tensors");
    kit_tensor *t = &c->tensors[c->n++];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->dtype = "F32";
    t->n_dims = d1 ? 2 : 1;
    t->dims[0] = d0;
    t->dims[1] = d1 ? d1 : 1;
}

static inline kit_tensor *kit_find(kit_checkpoint *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (strcmp(c->tensors[i].name, name) == 0) return &c->tensors[i];
    kit_must(false, name);
    return NULL;
}

static inline size_t kit_count(const kit_tensor *t)
{
    return (size_t)t->dims[0] * (size_t)t->dims[1];
}

static inline size_t kit_width(const kit_tensor *t)
{
    return strstr(t->dtype, "16") ? 2 : 4;
}

/* Multiples of 1/128 below 2 are normal f16 numbers, so this is exact. */
static inline uint16_t kit_f16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (x == 0) return (uint16_t)(u >> 16);
    return (uint16_t)((u >> 16 & 0x8000) | ((u >> 23 & 255) - 112) << 10 |
                      (u >> 13 & 1023));
}

static inline void kit_write_tensor(FILE *f, const kit_tensor *t)
{
    for (size_t i = 0; i < kit_count(t); i++) {
        const float x = kit_value(t->name, i);
        uint32_t u;
        memcpy(&u, &x, sizeof u);
        uint16_t h = (uint16_t)(u >> 16);
        if (strcmp(t->dtype, "F16") == 0) h = kit_f16(x);
        if (kit_width(t) == 2)
            fwrite(&h, sizeof h, 1, f);
        else
            fwrite(&u, sizeof u, 1, f);
    }
}

static inline void kit_write_length(FILE *f, uint64_t n)
{
    for (int i = 0; i < 8; i++) fputc((int)(n >> 8 * i & 255), f);
}

/* Tensors first .. end - 1 as one safetensors file; `sparse` leaves the data
 * a hole. */
static inline void kit_write_tensors(const kit_checkpoint *c, int first,
                                     int end, const char *folder,
                                     const char *name, bool sparse)
{
    static char header[KIT_MAX_TENSORS * 256];
    size_t at = 0, data = 0;
    for (int i = first; i < end; i++) {
        const kit_tensor *t = &c->tensors[i];
        const size_t bytes = kit_count(t) * kit_width(t);
        char shape[32];
        snprintf(shape, sizeof shape, t->n_dims == 2 ? "%d,%d" : "%d",
                 t->dims[0], t->dims[1]);
        at += (size_t)snprintf(header + at, sizeof header - at,
                               "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],"
                               "\"data_offsets\":[%zu,%zu]}",
                               i == first ? "{" : ",", t->name, t->dtype, shape,
                               data, data + bytes);
        data += bytes;
    }
    at += (size_t)snprintf(header + at, sizeof header - at, "}  ");
    FILE *f = kit_open(folder, name);
    kit_write_length(f, at);
    fwrite(header, 1, at, f);
    for (int i = first; i < end && !sparse; i++)
        kit_write_tensor(f, &c->tensors[i]);
    kit_must(fflush(f) == 0 &&
                 ftruncate(fileno(f), (off_t)(8 + at + data)) == 0,
             name);
    kit_must(fclose(f) == 0, name);
}

static inline void kit_write_single(const kit_checkpoint *c, const char *folder)
{
    kit_write_tensors(c, 0, c->n, folder, "model.safetensors", false);
}

/* Two shards and their index; the first has tensors 0 .. split - 1. */
static inline void kit_write_shards(const kit_checkpoint *c, int split,
                                    const char *folder)
{
    static const char *const files[] = { "model-00001-of-00002.safetensors",
                                         "model-00002-of-00002.safetensors" };
    kit_write_tensors(c, 0, split, folder, files[0], false);
    kit_write_tensors(c, split, c->n, folder, files[1], false);
    FILE *f = kit_open(folder, "model.safetensors.index.json");
    fprintf(f, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (int i = 0; i < c->n; i++)
        fprintf(f, "%s\"%s\":\"%s\"", i ? "," : "", c->tensors[i].name,
                files[i >= split]);
    fprintf(f, "}}");
    kit_must(fclose(f) == 0, "index");
}

#endif /* NOODLE_TENSOR_KIT_H */
