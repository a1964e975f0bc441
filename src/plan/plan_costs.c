/* plan_costs.c - plan.h: what the parts of a model need. */
#include "noodle/layout.h"
#include "noodle/plan.h"

ndl_status ndl_plan_costs_of(ndl_plan_costs *out, const ndl_model *m,
                             ndl_mix mix, const ndl_forward_limits *limits,
                             int n_threads)
{
    const ndl_forward_memory mem = ndl_forward_memory_of(m, limits, n_threads);
    const uint64_t rows =
        (uint64_t)limits->max_rows * (uint64_t)m->width * sizeof(float);
    ndl_plan_costs c = {
        .n_blocks = m->n_layers,
        .width = m->width,
        .block_params = ndl_model_block_params(m),
        .head_params = ndl_model_head_params(m),
        .embed_params = ndl_model_embed_params(m),
        .kv_bytes = mem.kv_layer,
        .buffer_bytes = mem.buffers + 4 * rows, /* messages, two each way */
        .logits_bytes = mem.logits + rows,
    };
    const ndl_part block = { 0, 1, false, false };
    const ndl_part embed = { 0, 0, true, false };
    const ndl_part head = { 0, 0, false, true };
    const ndl_part both = { 0, 0, true, true };
    uint64_t both_bytes = 0;
    NDL_TRY(ndl_layout_bytes(m, mix, &block, &c.block_bytes));
    NDL_TRY(ndl_layout_bytes(m, mix, &embed, &c.embed_bytes));
    NDL_TRY(ndl_layout_bytes(m, mix, &head, &c.head_bytes));
    NDL_TRY(ndl_layout_bytes(m, mix, &both, &both_bytes));
    c.shared_bytes = c.embed_bytes + c.head_bytes - both_bytes;
    c.shared_params = (int64_t)m->n_layers * c.block_params + c.embed_params +
                      c.head_params - ndl_model_params(m);
    *out = c;
    return NDL_OK;
}

void ndl_plan_stage_needs(ndl_plan_stage *s, const ndl_plan_costs *c)
{
    const bool both = s->embed && s->head; /* a tied matrix is there once */
    s->params = s->n_layers * c->block_params +
                (s->embed ? c->embed_params : 0) +
                (s->head ? c->head_params : 0) - (both ? c->shared_params : 0);
    s->weight_bytes = (uint64_t)s->n_layers * c->block_bytes +
                      (s->embed ? c->embed_bytes : 0) +
                      (s->head ? c->head_bytes : 0) -
                      (both ? c->shared_bytes : 0);
    s->kv_bytes = (uint64_t)s->n_layers * c->kv_bytes;
    s->buffer_bytes = c->buffer_bytes + (s->head ? c->logits_bytes : 0);
}
