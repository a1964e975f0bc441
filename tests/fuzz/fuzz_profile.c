/*
 * fuzz_profile.c - a valid profile whose numbers the input overwrites is saved
 * and read back.
 *
 * Entries of ten bytes: which record and where in it (two bytes), then the
 * eight bytes that are stored there.  They go through the table's own writer,
 * so that they reach our checks; damaged HDF5 is fuzz_weights' business.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/folder.h"
#include "../support/profile_kit.h"
#include "fuzz.h"

enum { RANKS = 3, ENTRY = 10 };

static test_folder folder;
static char path[320];

static void end(void)
{
    test_folder_remove(&folder);
}

static void begin(void)
{
    if (test_folder_make(&folder) != 0) exit(71);
    atexit(end);
    snprintf(path, sizeof path, "%s", test_folder_at(&folder, "p.h5"));
}

static void overwrite(void *record, size_t size, size_t at, const uint8_t *v)
{
    const size_t place = at % (size / 4) * 4;
    const size_t n = size - place < 8 ? size - place : 8;
    memcpy((uint8_t *)record + place, v, n);
}

/* Counts that the writer itself goes by stay as they are. */
static void apply(ndl_profile *p, const uint8_t *entry)
{
    ndl_profile_rank *r = &p->ranks[entry[0] / 3 % RANKS];
    const int n = r->n_samples;
    switch (entry[0] % 3) {
    case 0:
        overwrite(r, offsetof(ndl_profile_rank, n_samples), entry[1],
                  entry + 2);
        break;
    case 1:
        if (n > 0)
            overwrite(&r->samples[entry[1] % n], sizeof *r->samples,
                      entry[1] / (unsigned)n, entry + 2);
        break;
    default:
        overwrite(&p->links[entry[0] / 3 % (RANKS * RANKS)], sizeof *p->links,
                  entry[1], entry + 2);
    }
}

/* What was accepted must be safe to compute with and to show. */
static void use(const ndl_profile *p)
{
    FILE *out = fopen("/dev/null", "w");
    if (!out) exit(74);
    NDL_ASSERT(ndl_profile_print(p, out) == NDL_OK);
    fclose(out);
    json_t *json = ndl_profile_json(p);
    NDL_ASSERT(json);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ndl_profile p = profile_kit_make(RANKS), q = { 0 };
    if (!path[0]) begin();
    for (size_t i = 0; i + ENTRY <= size; i += ENTRY) apply(&p, data + i);
    ndl_status_clear();
    if (ndl_profile_save(&p, path) != NDL_OK) exit(74);
    if (ndl_profile_load(&q, path) == NDL_OK) {
        use(&q);
        ndl_profile_fini(&q);
    } else {
        NDL_ASSERT(ndl_status_message()[0] != '\0');
        NDL_ASSERT(!strchr(ndl_status_message(), '\n'));
    }
    ndl_profile_fini(&p);
    return 0;
}
