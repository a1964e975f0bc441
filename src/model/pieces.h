/*
 * pieces.h - ranges of a file, cut into pieces for all threads, and a hint
 * to the system that takes just what is asked for.
 */
#ifndef NDL_MODEL_PIECES_H
#define NDL_MODEL_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/pool.h"
#include "noodle/progress.h"
#include "noodle/status.h"

enum { NDL_PIECE_BYTES = 4 << 20 };

typedef struct ndl_range {
    uint64_t offset, n; /* bytes of a file */
} ndl_range;

typedef struct ndl_piece {
    int range, thread;
    uint64_t offset; /* in the file          */
    uint64_t at;     /* from the range's begin */
    size_t n;        /* <= NDL_PIECE_BYTES   */
} ndl_piece;

typedef struct ndl_pieces {
    const char *path; /* of fd, in messages */
    int fd;
    const ndl_range *ranges;
    int n_ranges;
    ndl_status (*take)(void *arg, const ndl_piece *piece); /* on any thread */
    void *arg;
    ndl_pool *pool; /* NULL: this thread alone */
    ndl_progress *progress;
} ndl_pieces;

/**
 * Take every piece once.  Progress is told by the calling thread; when it or
 * a piece fails, pieces that were not begun are left.
 * @return NDL_OK; NDL_EOS; what `take` or the progress returned first.
 */
ndl_status ndl_pieces_run(const ndl_pieces *p);

/** Let the system read a range of a file in the background, and no more. */
void ndl_pieces_expect(int fd, uint64_t offset, uint64_t n);

#endif /* NDL_MODEL_PIECES_H */
