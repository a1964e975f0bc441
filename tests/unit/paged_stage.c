/* paged_stage.c - see paged_stage.h. */
#include "paged_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void paged_stage_init(paged_stage *stage, const ndl_scheduler_config *config)
{
    const size_t slots = (size_t)config->n_slots;
    *stage = (paged_stage){
        .n_slots = config->n_slots,
        .n_pages = config->n_pages,
        .n_entries = ndl_pages_of(config->context),
        .max_ops = ndl_scheduler_max_ops(config),
    };
    stage->slots = calloc(slots, sizeof *stage->slots);
    stage->entries =
        calloc(slots * (size_t)stage->n_entries, sizeof *stage->entries);
    stage->pages = calloc((size_t)stage->n_pages * NDL_PAGE_POSITIONS,
                          sizeof *stage->pages);
    assert_true(stage->slots && stage->entries && stage->pages);
    for (int i = 0; i < stage->n_slots; i++)
        stage->slots[i] =
            (paged_slot){ .request = -1,
                          .pages = stage->entries + i * stage->n_entries };
}

void paged_stage_fini(paged_stage *stage)
{
    free(stage->pages);
    free(stage->entries);
    free(stage->slots);
}

uint64_t paged_stage_hash(uint64_t before, int32_t id)
{
    uint64_t h = (before + (uint32_t)id + 1) * 0x9e3779b97f4a7c15ull;
    h ^= h >> 29;
    return h * 0xbf58476d1ce4e5b9ull;
}

static uint64_t *page_at(const paged_stage *stage, uint32_t page)
{
    assert_true(page < (uint32_t)stage->n_pages);
    return stage->pages + (size_t)page * NDL_PAGE_POSITIONS;
}

/* Tables that a page is in. */
static int users_of(const paged_stage *stage, int page)
{
    int n = 0;
    for (int i = 0; i < stage->n_slots; i++)
        for (int k = 0; k < stage->slots[i].n; k++)
            n += stage->slots[i].pages[k] == page;
    return n;
}

static void map(paged_stage *stage, paged_slot *slot, const ndl_page_op *op)
{
    assert_true(slot->request >= 0);
    assert_true(op->a < (uint32_t)stage->n_entries);
    assert_true(op->a <= (uint32_t)slot->n);
    (void)page_at(stage, op->b);
    slot->pages[op->a] = (int)op->b;
    if ((int)op->a == slot->n) slot->n++;
    stage->n_shared += users_of(stage, (int)op->b) > 1;
}

static void copy(paged_stage *stage, const paged_slot *slot,
                 const ndl_page_op *op)
{
    assert_true(op->a != op->b);
    assert_true(slot->request >= 0);
    assert_int_equal(users_of(stage, (int)op->b), 1);
    bool is_own = false;
    for (int k = 0; k < slot->n; k++) is_own |= slot->pages[k] == (int)op->b;
    assert_true(is_own);
    memcpy(page_at(stage, op->b), page_at(stage, op->a),
           sizeof *stage->pages * NDL_PAGE_POSITIONS);
    stage->n_copies++;
}

void paged_stage_ops(paged_stage *stage, const ndl_scheduler_batch *b)
{
    assert_in_range(b->n_ops, 0, stage->max_ops);
    for (int i = 0; i < b->n_ops; i++) {
        const ndl_page_op *op = &b->ops[i];
        assert_true(op->slot < (uint32_t)stage->n_slots);
        paged_slot *slot = &stage->slots[op->slot];
        switch (op->kind) {
        case NDL_PAGE_OPEN:
            assert_int_equal(slot->request, -1);
            slot->request = (int)op->a;
            stage->n_opens++;
            break;
        case NDL_PAGE_MAP: map(stage, slot, op); break;
        case NDL_PAGE_COPY: copy(stage, slot, op); break;
        case NDL_PAGE_CLOSE:
            assert_true(slot->request >= 0);
            slot->request = -1;
            slot->n = 0;
            break;
        default: fail_msg("operation %u", op->kind);
        }
    }
}

/* All before position n, through the table, is what it should be. */
static void check_context(const paged_stage *stage, const paged_slot *slot,
                          int n, const uint64_t *hashes)
{
    assert_true(ndl_pages_of(n) <= slot->n);
    for (int pos = 0; pos < n; pos += NDL_PAGE_POSITIONS) {
        const int page = slot->pages[pos / NDL_PAGE_POSITIONS];
        const int left = n - pos;
        const int m = left < NDL_PAGE_POSITIONS ? left : NDL_PAGE_POSITIONS;
        assert_int_equal(memcmp(page_at(stage, (uint32_t)page), hashes + pos,
                                sizeof *hashes * (size_t)m),
                         0);
    }
}

void paged_stage_rows(paged_stage *stage, const ndl_scheduler_rows *r,
                      const uint64_t *hashes)
{
    assert_in_range(r->slot, 0, stage->n_slots - 1);
    const paged_slot *slot = &stage->slots[r->slot];
    assert_int_equal(slot->request, r->request);
    check_context(stage, slot, r->pos, hashes);
    const int end = r->pos + r->n_rows;
    assert_true(r->n_rows >= 1 && ndl_pages_of(end) <= slot->n);
    for (int pos = r->pos; pos < end; pos++) {
        const int page = slot->pages[pos / NDL_PAGE_POSITIONS];
        if (pos == r->pos || pos % NDL_PAGE_POSITIONS == 0)
            assert_int_equal(users_of(stage, page), 1);
        page_at(stage, (uint32_t)page)[pos % NDL_PAGE_POSITIONS] = hashes[pos];
    }
}
