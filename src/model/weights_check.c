/* weights_check.c - read a weights file whole and compare its checksums. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noodle/file.h"
#include "noodle/hash.h"
#include "noodle/layout.h"
#include "noodle/progress.h"
#include "noodle/weights.h"
#include "pieces.h"

enum {
    PIECE_BYTES = 4 << 20,
    SMALL_BYTES_MAX = 1 << 30 /* a dataset that is read whole */
};

/* A check in progress. */
typedef struct checker {
    ndl_store *s;
    const char *path;
    int fd;
    uint8_t *buf; /* PIECE_BYTES */
    ndl_hash *hash;
    ndl_progress progress;
} checker;

static ndl_status compare(const checker *c, const char *name, uint64_t found)
{
    uint64_t stored = 0;
    NDL_TRY(ndl_store_get_u64(c->s, name, "xxh3_64", &stored));
    if (found == stored) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s: its checksum is %016" PRIx64 ", but %016" PRIx64
                    " was written: the file is damaged: import the model "
                    "again",
                    c->path, name, found, stored);
}

/* One such scale would make every output of its row no number.  `n` bytes. */
static bool are_finite(const uint8_t *scales, size_t n)
{
    const uint16_t exponent = 0x7c00; /* all ones: infinite, or no number */
    for (size_t i = 0; i + 2 <= n; i += 2) {
        uint16_t bits;
        memcpy(&bits, scales + i, sizeof bits);
        if ((bits & exponent) == exponent) return false;
    }
    return true;
}

static ndl_status check_item(checker *c, const ndl_item *it)
{
    const bool scales = it->layout == NDL_LAYOUT_SCALES;
    bool finite = true;
    uint64_t offset = 0;
    NDL_TRY(ndl_layout_verify(c->s, it, &offset));
    ndl_hash_reset(c->hash);
    for (uint64_t done = 0; done < it->bytes;) {
        const uint64_t left = it->bytes - done;
        const size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        NDL_TRY(ndl_file_read_at(c->fd, c->path, c->buf, n, offset + done));
        ndl_hash_add(c->hash, c->buf, n);
        if (scales) finite &= are_finite(c->buf, n);
        NDL_TRY(ndl_progress_add(&c->progress, n));
        done += n;
    }
    NDL_TRY(compare(c, it->name, ndl_hash_value(c->hash)));
    if (finite) return NDL_OK;
    return NDL_FAIL(NDL_EDATA,
                    "%s: %s: has a scale that is infinite or not a number: "
                    "import the model again",
                    c->path, it->name);
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* What is not the model's (the tokenizer) is small, may be packed, and need
 * not have a checksum. */
static ndl_status check_other(void *arg, const char *name)
{
    checker *c = arg;
    ndl_store_info info;
    if (starts_with(name, "/embed/") || starts_with(name, "/layers/") ||
        starts_with(name, "/head/") ||
        !ndl_store_has_attr(c->s, name, "xxh3_64"))
        return NDL_OK;
    NDL_TRY(ndl_store_query(c->s, name, &info));
    if (info.bytes > SMALL_BYTES_MAX)
        return NDL_FAIL(NDL_EDATA,
                        "%s: %s: is too large to belong to a weights file: "
                        "import the model again",
                        c->path, name);
    const size_t n = (size_t)info.bytes;
    void *bytes = malloc(n + 1);
    if (!bytes) return NDL_FAIL(NDL_EOS, "%s: out of memory", c->path);
    ndl_status st = ndl_store_read(c->s, name, bytes, n);
    if (st == NDL_OK) st = compare(c, name, ndl_hash_bytes(bytes, n, 0));
    free(bytes);
    return st;
}

static ndl_status check_all(checker *c, const ndl_item *items, int n)
{
    for (int i = 0; i < n; i++) c->progress.all += items[i].bytes;
    for (int i = 0; i < n; i++) NDL_TRY(check_item(c, &items[i]));
    return ndl_store_each(c->s, "/", check_other, c);
}

static ndl_status open_all(checker *c)
{
    NDL_TRY(ndl_store_open(&c->s, c->path));
    c->fd = open(c->path, O_RDONLY | O_CLOEXEC);
    if (c->fd < 0) return ndl_file_fail(c->path, "open", errno);
    c->hash = ndl_hash_create();
    c->buf = malloc(PIECE_BYTES);
    if (!c->hash || !c->buf)
        return NDL_FAIL(NDL_EOS, "%s: out of memory", c->path);
    return NDL_OK;
}

ndl_status ndl_weights_check(const char *path, ndl_progress_fn progress,
                             void *arg)
{
    checker c = { .path = path,
                  .fd = -1,
                  .progress = { .fn = progress, .arg = arg } };
    ndl_item *items = NULL;
    int n = 0;
    ndl_model model;
    ndl_mix mix;
    ndl_status st = NDL_OK;
    NDL_TRY_GOTO(done, st, open_all(&c));
    NDL_TRY_GOTO(done, st, ndl_weights_read_model(c.s, &model, &mix));
    const ndl_part whole = ndl_layout_whole(&model);
    NDL_TRY_GOTO(done, st, ndl_layout_list(&items, &n, &model, mix, &whole));
    st = check_all(&c, items, n);
done:
    free(items);
    free(c.buf);
    ndl_hash_destroy(&c.hash);
    if (c.fd >= 0) close(c.fd);
    ndl_store_close(&c.s);
    return st;
}
