/* room.c - see room.h. */
#include "room.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static ndl_status no_room(size_t bytes, int err)
{
    return NDL_FAIL(NDL_EOS,
                    "weights: no room for %zu bytes: %s: use more ranks or "
                    "raise the limit (ulimit -v)",
                    bytes, strerror(err));
}

/* Addresses with slack first, pages at the aligned one then. */
ndl_status ndl_room_take(ndl_load_memory *out, size_t bytes,
                         const ndl_room_fill *fill)
{
    const size_t reserved = bytes + NDL_ROOM_ALIGNMENT;
    const int protection = fill->writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const int kind = fill->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    if (bytes == 0) {
        *out = (ndl_load_memory){ 0 };
        return NDL_OK;
    }
    if (reserved < bytes) return no_room(bytes, ENOMEM);
    void *room = mmap(NULL, reserved, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return no_room(bytes, errno);
    const size_t slack =
        (size_t)(-(uintptr_t)room & ((uintptr_t)NDL_ROOM_ALIGNMENT - 1));
    void *at = (uint8_t *)room + slack;
    if (mmap(at, bytes, protection, kind | MAP_FIXED, fill->fd,
             (off_t)fill->offset) == MAP_FAILED) {
        const int err = errno;
        munmap(room, reserved);
        return no_room(bytes, err);
    }
    *out = (ndl_load_memory){ at, bytes, room, reserved };
    return NDL_OK;
}
