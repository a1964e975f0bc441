/* present.c - see present.h. */
#include "present.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pieces.h"

/* Linux 5.14 and later; an older one answers EINVAL. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* So much at a time, so that progress is seen and a signal is not kept
 * waiting. */
static const size_t piece_bytes = (size_t)32 << 20;

/* The old way: read a byte of each page. */
static void touch(const uint8_t *bytes, size_t n, size_t page)
{
    const volatile uint8_t *p = bytes;
    for (size_t i = 0; i < n; i += page) (void)p[i];
}

static ndl_status populate(uint8_t *start, size_t n, size_t page,
                           const char *path)
{
    int rc = 0;
    do {
        rc = madvise(start, n, MADV_POPULATE_READ);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) return NDL_OK;
    if (errno != EINVAL)
        return NDL_FAIL(NDL_EIO,
                        "%s: cannot read the mapped file: %s: check the file "
                        "system",
                        path, strerror(errno));
    touch(start, n, page);
    return NDL_OK;
}

void ndl_present_alone(void *mapping, size_t n, bool alone)
{
    if (n > 0) madvise(mapping, n, alone ? MADV_RANDOM : MADV_NORMAL);
}

/* Read in large requests first: page by page would take for ever. */
ndl_status ndl_present(const ndl_present_range *r, ndl_progress *progress)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t done = 0; done < r->n;) {
        const size_t left = r->n - done;
        const size_t piece = left < piece_bytes ? left : piece_bytes;
        const uint8_t *bytes = r->bytes + done;
        const size_t before = (uintptr_t)bytes & (page - 1);
        ndl_pieces_expect(r->fd, r->offset + done, piece);
        NDL_TRY(populate((uint8_t *)(uintptr_t)(bytes - before), piece + before,
                         page, r->path));
        done += piece;
        NDL_TRY(ndl_progress_add(progress, piece));
    }
    return NDL_OK;
}
