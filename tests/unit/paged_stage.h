/*
 * paged_stage.h - a stage without arithmetic: it carries out the page
 * operations of a scheduler's batches and "computes" rows.
 *
 * Where a stage has keys and values, this one has a hash of the text up to
 * that position.  A row sees, through the table of its slot, exactly its own
 * text, or the test fails; so does it when a row is written into a page that
 * is also another's.
 */
#ifndef NOODLE_TESTS_PAGED_STAGE_H
#define NOODLE_TESTS_PAGED_STAGE_H

#include "noodle/scheduler.h"

typedef struct paged_slot {
    int request; /* -1: closed */
    int n;       /* entries    */
    int *pages;
} paged_slot;

typedef struct paged_stage {
    int n_slots, n_pages, n_entries, max_ops;
    paged_slot *slots;
    int *entries;
    uint64_t *pages; /* (n_pages, 256) */
    int64_t n_shared, n_copies, n_opens;
} paged_stage;

void paged_stage_init(paged_stage *stage, const ndl_scheduler_config *config);
void paged_stage_fini(paged_stage *stage);

/** The hash that stands for position n - 1 of a text (n), from that of the
 * position before it (0 for the first). */
uint64_t paged_stage_hash(uint64_t before, int32_t id);

/** Carry out the operations of a batch. */
void paged_stage_ops(paged_stage *stage, const ndl_scheduler_batch *b);

/** Carry out the rows of one sequence.
 * @param hashes  (pos + n_rows) of its text, all positions */
void paged_stage_rows(paged_stage *stage, const ndl_scheduler_rows *r,
                      const uint64_t *hashes);

#endif /* NOODLE_TESTS_PAGED_STAGE_H */
