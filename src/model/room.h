/*
 * room.h - addresses for weights: aligned to huge pages, filled afterwards
 * with a file, a part of one, or fresh memory.
 */
#ifndef NDL_MODEL_ROOM_H
#define NDL_MODEL_ROOM_H

#include <stddef.h>
#include <stdint.h>

#include "noodle/load.h"
#include "noodle/status.h"

/* Of x86-64; where pages are larger, it is a multiple of them too. */
enum { NDL_ROOM_ALIGNMENT = 2 << 20 };

/* What fills a room. */
typedef struct ndl_room_fill {
    int fd; /* -1: fresh pages */
    uint64_t offset;
    bool writable;
} ndl_room_fill;

/**
 * Take addresses and put pages there.
 * @param[out] out  give it back with ndl_load_memory_free.
 * @return NDL_OK; NDL_EOS.
 */
ndl_status ndl_room_take(ndl_load_memory *out, size_t bytes,
                         const ndl_room_fill *fill);

#endif /* NDL_MODEL_ROOM_H */
