/*
 * belt.c - see belt.h.
 *
 * Counts only grow, so full and empty differ, and each is written by one side:
 * the release store of n_put shows the record, the acquire load of n_taken
 * that the receiver has read what is about to be overwritten.
 *
 * No room is lost from sight: the sender raises is_full and looks at n_taken
 * again; the receiver moves n_taken and looks at is_full.  These four are
 * sequentially consistent, so at least one side sees the other.
 */
#include "belt.h"

#include <limits.h>
#include <string.h>

#include "noodle/status.h"

enum { LINE = 64 };

typedef struct record {
    uint64_t len;
    uint64_t kind; /* ndl_belt_item */
} record;

static_assert(sizeof(record) <= LINE, "a record's head never wraps");
static_assert((NDL_BELT_ROOM & (NDL_BELT_ROOM - 1)) == 0, "a power of two");
static_assert(2 * NDL_BELT_LETTER <= NDL_BELT_ROOM,
              "there is room for a letter while others lie there");

/* Of the belt, for a message: whole lines. */
static uint64_t bytes_of(ndl_belt_item item, uint64_t len)
{
    const uint64_t more = item == NDL_BELT_HAS_LETTER ? len : 0;
    return (sizeof(record) + more + LINE - 1) / LINE * LINE;
}

static size_t place(uint64_t at)
{
    return (size_t)(at & (NDL_BELT_ROOM - 1));
}

static bool has_room(const ndl_belt_end *e, uint64_t bytes)
{
    /* A count that is not between `at` and a belt before it is no count of
     * ours; then there is never room. */
    const uint64_t used = e->at - e->seen;
    return used <= NDL_BELT_ROOM && bytes <= NDL_BELT_ROOM - used;
}

static bool find_room(ndl_belt_end *e, uint64_t bytes)
{
    ndl_belt *b = e->belt;
    if (has_room(e, bytes)) return true;
    e->seen = atomic_load_explicit(&b->n_taken, memory_order_acquire);
    if (has_room(e, bytes)) return true;
    atomic_store(&b->is_full, 1);
    e->seen = atomic_load(&b->n_taken);
    return has_room(e, bytes);
}

static void copy_in(ndl_belt *b, uint64_t at, const void *buf, size_t len)
{
    const size_t first = NDL_BELT_ROOM - place(at);
    const size_t n = len < first ? len : first;
    memcpy(b->room + place(at), buf, n);
    memcpy(b->room, (const unsigned char *)buf + n, len - n);
}

static void copy_out(const ndl_belt *b, uint64_t at, void *buf, size_t len)
{
    const size_t first = NDL_BELT_ROOM - place(at);
    const size_t n = len < first ? len : first;
    memcpy(buf, b->room + place(at), n);
    memcpy((unsigned char *)buf + n, b->room, len - n);
}

bool ndl_belt_put(ndl_belt_end *e, const void *buf, size_t len)
{
    const ndl_belt_item item =
        len <= e->longest ? NDL_BELT_HAS_LETTER : NDL_BELT_HAS_NOTE;
    const record r = { len, item };
    if (!find_room(e, bytes_of(item, len))) return false;
    memcpy(e->belt->room + place(e->at), &r, sizeof r);
    if (item == NDL_BELT_HAS_LETTER && len > 0)
        copy_in(e->belt, e->at + sizeof r, buf, len);
    e->at += bytes_of(item, len);
    atomic_store_explicit(&e->belt->n_put, e->at, memory_order_release);
    return true;
}

static bool is_record(const record *r, uint64_t there)
{
    if (r->kind == NDL_BELT_HAS_NOTE) return r->len <= INT_MAX;
    return r->kind == NDL_BELT_HAS_LETTER && r->len <= NDL_BELT_LETTER &&
           bytes_of(NDL_BELT_HAS_LETTER, r->len) <= there;
}

ndl_belt_item ndl_belt_look(ndl_belt_end *e, size_t *len)
{
    record r;
    if (e->seen == e->at)
        e->seen = atomic_load_explicit(&e->belt->n_put, memory_order_acquire);
    const uint64_t there = e->seen - e->at;
    if (there == 0) return NDL_BELT_NOTHING;
    if (there > NDL_BELT_ROOM || there % LINE != 0) return NDL_BELT_BROKEN;
    memcpy(&r, e->belt->room + place(e->at), sizeof r);
    if (!is_record(&r, there)) return NDL_BELT_BROKEN;
    *len = (size_t)r.len;
    return (ndl_belt_item)r.kind;
}

bool ndl_belt_take(ndl_belt_end *e, void *buf, ndl_belt_item item, size_t len)
{
    NDL_ASSERT(bytes_of(item, len) <= e->seen - e->at);
    if (buf && item == NDL_BELT_HAS_LETTER && len > 0)
        copy_out(e->belt, e->at + sizeof(record), buf, len);
    e->at += bytes_of(item, len);
    atomic_store(&e->belt->n_taken, e->at);
    if (!atomic_load(&e->belt->is_full)) return false;
    atomic_store(&e->belt->is_full, 0);
    return true;
}
