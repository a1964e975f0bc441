/* stage_clock.c - see stage_clock.h. */
#include "stage_clock.h"

#include <string.h>

#include "noodle/message.h"

void ndl_stage_clock_start(ndl_stage_clock *c, double now)
{
    if (c->is_started) return;
    c->is_started = true;
    c->begin = c->since = now;
    c->state = NDL_STAGE_IDLE;
}

void ndl_stage_clock_to(ndl_stage_clock *c, ndl_stage_state state, double now)
{
    c->step[c->state] += now - c->since;
    c->total[c->state] += now - c->since;
    c->state = state;
    c->since = now;
}

static ndl_wire_step *new_record(ndl_stage_clock *c)
{
    if (c->n == NDL_STAGE_CLOCK_STEPS) {
        c->lost++;
        return NULL;
    }
    return &c->ring[(c->first + c->n++) % NDL_STAGE_CLOCK_STEPS];
}

void ndl_stage_clock_step(ndl_stage_clock *c, uint64_t batch_id, double now)
{
    ndl_stage_clock_to(c, NDL_STAGE_OTHER, now);
    ndl_wire_step *r = c->keeps ? new_record(c) : NULL;
    if (r)
        *r = (ndl_wire_step){
            .batch_id = batch_id,
            .end_sec = now - c->begin,
            .receive_sec = (float)c->step[NDL_STAGE_RECEIVE],
            .busy_sec = (float)c->step[NDL_STAGE_BUSY],
            .send_sec = (float)c->step[NDL_STAGE_SEND],
            .bubble_sec = (float)c->step[NDL_STAGE_BUBBLE],
            .other_sec = (float)c->step[NDL_STAGE_OTHER],
        };
    memset(c->step, 0, sizeof c->step);
}

void ndl_stage_clock_totals(const ndl_stage_clock *c, double now,
                            ndl_wire_totals *out)
{
    double t[NDL_N_STAGE_STATES];
    memcpy(t, c->total, sizeof t);
    if (c->is_started) t[c->state] += now - c->since;
    out->busy_sec = t[NDL_STAGE_BUSY];
    out->send_sec = t[NDL_STAGE_SEND];
    out->wait_sec =
        t[NDL_STAGE_IDLE] + t[NDL_STAGE_BUBBLE] + t[NDL_STAGE_RECEIVE];
}

size_t ndl_stage_clock_cap(const ndl_stage_clock *c)
{
    return ndl_message_steps_bytes(NDL_WIRE_STEPS, (uint32_t)c->n_layers + 2);
}

/* What the model calls hosted layer i: embedding, blocks, head. */
static uint32_t model_layer(const ndl_stage_clock *c, int i)
{
    if (i == 0) return 0;
    if (i > c->n_layers) return (uint32_t)c->n_model_layers + 1;
    return (uint32_t)(c->first_layer + i);
}

static void write_layers(ndl_stage_clock *c, void *msg)
{
    ndl_wire_steps *h = msg;
    ndl_wire_layer *out = ndl_message_layers(msg);
    for (int i = 0; i < c->n_layers + 2; i++) {
        const ndl_layer_clock *l = &c->layers[i];
        if (l->steps == 0) continue;
        out[h->n_layers++] = (ndl_wire_layer){ .layer = model_layer(c, i),
                                               .steps = (uint32_t)l->steps,
                                               .rows = (uint64_t)l->rows,
                                               .sum_sec = l->sum_sec,
                                               .min_sec = (float)l->min_sec,
                                               .max_sec = (float)l->max_sec };
    }
    memset(c->layers, 0, ((size_t)c->n_layers + 2) * sizeof *c->layers);
}

size_t ndl_stage_clock_write(ndl_stage_clock *c, int stage, void *msg)
{
    ndl_wire_steps *h = msg;
    const int n = c->n < NDL_WIRE_STEPS ? c->n : NDL_WIRE_STEPS;
    *h = (ndl_wire_steps){ .magic = NDL_WIRE_MAGIC,
                           .kind = NDL_REPORT_STEPS,
                           .n_steps = (uint32_t)n,
                           .stage = (uint32_t)stage,
                           .lost = c->lost };
    ndl_wire_step *out = ndl_message_steps(msg);
    for (int i = 0; i < n; i++)
        out[i] = c->ring[(c->first + i) % NDL_STAGE_CLOCK_STEPS];
    c->first = (c->first + n) % NDL_STAGE_CLOCK_STEPS;
    c->n -= n;
    c->lost = 0;
    write_layers(c, msg);
    return ndl_message_steps_bytes(h->n_steps, h->n_layers);
}
