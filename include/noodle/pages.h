/*
 * pages.h - which page of the KV cache belongs to whom, and what is in it.
 *
 * Pure.  A page holds NDL_PAGE_POSITIONS positions of one text in all hosted
 * layers of a stage; every stage has the same pages by the same numbers.  Rank
 * 0 decides, and says so in page operations that travel in the stream of
 * batches: a stage that has carried them out has the same tables.  Because the
 * stream is ordered, a page may be given away while rows that use it are still
 * in flight, and may be read by others as soon as its rows are sent.
 *
 * What sequences leave behind is kept for others that begin alike: a tree of
 * pages by content, whose leaves that nobody uses are given away again, the
 * one not used for the longest time first.
 */
#ifndef NOODLE_PAGES_H
#define NOODLE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "noodle/status.h"

enum {
    NDL_PAGE_POSITIONS = 256, /* NDL_PAGE_KEYS of the kernels */
    /* Positions worth being shared: a page copied for them costs about what
     * computing so many rows does. */
    NDL_PAGE_LEAST_COMMON = 16
};

typedef struct ndl_pages ndl_pages;

typedef enum ndl_page_op_kind {
    NDL_PAGE_OPEN = 1, /* slot: a = request; its table is empty from here  */
    NDL_PAGE_MAP = 2,  /* slot: entry a of its table is page b             */
    NDL_PAGE_COPY = 3, /* page b becomes what page a is at this point of
                          the stream; slot is whose page b is              */
    NDL_PAGE_CLOSE = 4 /* slot: its sequence is over; its table is empty   */
} ndl_page_op_kind;

/* Carried out in order, before the rows of the batch that has them. */
typedef struct ndl_page_op {
    uint32_t kind; /* ndl_page_op_kind */
    uint32_t slot, a, b;
} ndl_page_op;

typedef struct ndl_pages_counts {
    int64_t hit_tokens;  /* positions that were there and not computed again */
    int64_t miss_tokens; /* positions of prompts that had to be computed     */
    int64_t evictions;   /* kept pages that were given to others             */
    int n_pages, n_used, n_kept; /* used: in a table; kept: only remembered  */
} ndl_pages_counts;

typedef struct ndl_pages_config {
    int n_pages, n_slots;
    int n_entries; /* of a table, >= 1 */
    int max_ops;   /* between two calls of take_ops(); more are asserted */
    bool no_reuse; /* remember nothing */
} ndl_pages_config;

/* What of a text is there already. */
typedef struct ndl_pages_match {
    int end;      /* positions before it need not be computed */
    int n_shared; /* whole pages that would be mapped         */
    int n_kept;   /* those of them that nobody uses now       */
} ndl_pages_match;

/** Pages that n positions take. */
int ndl_pages_of(int n_positions);

/** @return NDL_OK; NDL_EOS out of memory. */
ndl_status ndl_pages_create(ndl_pages **out, const ndl_pages_config *config);
void ndl_pages_destroy(ndl_pages **p);

/** A sequence gets a slot, which is closed (asserted).  Nobody is told before
 * it has a page. */
void ndl_pages_open(ndl_pages *p, int slot, int request);

/** The sequence of a slot is over, or stopped; what it leaves is kept.
 * @param text  (n_sent) ids whose rows have been sent */
void ndl_pages_close(ndl_pages *p, int slot, const int32_t *text, int n_sent);

/**
 * How much more of a text is there than the slot has.  Little is not worth its
 * copy and counts as nothing.
 * @param text  (n); of its last id the row is always left to compute
 * @param pos   position of the next row; 0: the slot may be closed
 */
ndl_pages_match ndl_pages_find(ndl_pages *p, int slot, const int32_t *text,
                               int n, int pos);

/**
 * Let the slot have what find() finds, and a page for the row that comes next.
 * @return the position of that row, >= pos; -1: no page; nothing has changed.
 */
int ndl_pages_reuse(ndl_pages *p, int slot, const int32_t *text, int n,
                    int pos);

/** See that position `pos`, at most the first without a page, has one.
 * @return false: no page. */
bool ndl_pages_extend(ndl_pages *p, int slot, int pos);

/** The rows of text (n_sent) go with the batch that is told now: from the next
 * batch on others may use them. */
void ndl_pages_sent(ndl_pages *p, int slot, const int32_t *text, int n_sent);

/** Entries of a slot's table. */
int ndl_pages_held(const ndl_pages *p, int slot);

/** Pages that can be had: free, or only kept. */
int ndl_pages_available(const ndl_pages *p);

/** Operations that still have room before take_ops(). */
int ndl_pages_room(const ndl_pages *p);

/** What has happened since the last call.
 * @param[out] ops  borrowed until the next call  @return how many */
int ndl_pages_take_ops(ndl_pages *p, const ndl_page_op **ops);

/** All but miss_tokens, which the scheduler counts. */
ndl_pages_counts ndl_pages_count(const ndl_pages *p);

#endif /* NOODLE_PAGES_H */
