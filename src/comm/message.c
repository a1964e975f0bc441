/*
 * message.c - see message.h.
 *
 * Every number in a message may be anything.  Counts have 32 bits and are
 * added and multiplied in 64; where even that could overflow, the length of
 * the message is divided instead.
 */
#include "noodle/message.h"

#include <math.h>
#include <string.h>

/* Page operations fill whole cache lines. */
static uint64_t ops_bytes(uint32_t n_ops)
{
    const uint64_t lines =
        ((uint64_t)n_ops + NDL_WIRE_OPS_LINE - 1) / NDL_WIRE_OPS_LINE;
    return lines * NDL_WIRE_OPS_LINE * sizeof(ndl_wire_op);
}

/* Header, table and page operations. */
static uint64_t front_bytes(uint32_t n_seqs, uint32_t n_ops)
{
    return sizeof(ndl_wire_batch) + (uint64_t)n_seqs * sizeof(ndl_wire_seq) +
           ops_bytes(n_ops);
}

size_t ndl_message_front_bytes(uint32_t n_seqs, uint32_t n_ops)
{
    return (size_t)front_bytes(n_seqs, n_ops);
}

size_t ndl_message_batch_bytes(uint32_t n_seqs, uint32_t n_ops, uint32_t n_rows,
                               uint32_t row_bytes)
{
    const uint64_t front = front_bytes(n_seqs, n_ops);
    const uint64_t rows = (uint64_t)n_rows * row_bytes;
    if (rows > SIZE_MAX - front) return SIZE_MAX;
    return (size_t)(front + rows);
}

ndl_wire_seq *ndl_message_batch_table(void *msg)
{
    return (ndl_wire_seq *)((unsigned char *)msg + sizeof(ndl_wire_batch));
}

ndl_wire_op *ndl_message_batch_ops(void *msg)
{
    const ndl_wire_batch *h = msg;
    return (ndl_wire_op *)(void *)(ndl_message_batch_table(msg) + h->n_seqs);
}

void *ndl_message_batch_rows(void *msg)
{
    const ndl_wire_batch *h = msg;
    return (unsigned char *)msg + front_bytes(h->n_seqs, h->n_ops);
}

int32_t *ndl_message_batch_targets(void *msg)
{
    const ndl_wire_batch *h = msg;
    unsigned char *rows = ndl_message_batch_rows(msg);
    return (int32_t *)(void *)(rows + (size_t)h->n_rows * (h->row_bytes - 4));
}

ndl_wire_token *ndl_message_tokens(void *msg)
{
    return (ndl_wire_token *)((unsigned char *)msg + sizeof(ndl_wire_batch));
}

ndl_wire_candidate *ndl_message_candidates(void *msg)
{
    const ndl_wire_batch *h = msg;
    return (ndl_wire_candidate *)(void *)(ndl_message_tokens(msg) + h->n_seqs);
}

ndl_wire_score *ndl_message_scores(void *msg)
{
    const ndl_wire_batch *h = msg;
    return (ndl_wire_score *)(void *)(ndl_message_candidates(msg) + h->n_ops);
}

static bool is_time(float sec)
{
    return sec >= 0.0f && sec < 1e9f; /* false for NaN */
}

static bool read_header(ndl_wire_batch *h, const void *msg, size_t len)
{
    if (len < sizeof *h) return false;
    memcpy(h, msg, sizeof *h);
    return h->magic == NDL_WIRE_MAGIC && is_time(h->slowest_sec) &&
           is_time(h->sum_sec);
}

static bool is_share(float x)
{
    return x >= 0.0f && x <= 1.0f; /* false for NaN */
}

static bool seq_is_valid(const ndl_wire_seq *s, uint32_t n_slots)
{
    const uint32_t known =
        NDL_SEQ_SAMPLE | NDL_SEQ_LOGITS | NDL_SEQ_SCORE | NDL_SEQ_LOG_P;
    return s->slot < n_slots && s->n_rows >= 1 && s->n_rows <= INT32_MAX &&
           s->pos <= INT32_MAX - s->n_rows && (s->flags & ~known) == 0 &&
           isfinite(s->temperature) && s->temperature >= 0.0f &&
           is_share(s->top_p) && is_share(s->min_p) && s->top_k >= 0 &&
           s->n_top <= NDL_WIRE_TOP && s->reserved == 0;
}

/* Do the lengths of table and rows add up to exactly `len`? */
static bool sizes_add_up(const ndl_wire_batch *h, size_t len)
{
    const uint64_t front = front_bytes(h->n_seqs, h->n_ops);
    if (len < front) return false;
    const uint64_t rows_bytes = len - front;
    return rows_bytes % h->row_bytes == 0 &&
           rows_bytes / h->row_bytes == h->n_rows;
}

static bool op_is_valid(const ndl_wire_op *o, const ndl_message_batch_limits *l)
{
    if (o->slot >= l->n_slots) return false;
    switch (o->kind) {
    case NDL_OP_OPEN: return o->b == 0;
    case NDL_OP_MAP: return o->a < l->n_entries && o->b < l->n_pages;
    case NDL_OP_COPY: return o->a < l->n_pages && o->b < l->n_pages;
    case NDL_OP_CLOSE: return o->a == 0 && o->b == 0;
    default: return false;
    }
}

static bool table_is_valid(const ndl_wire_batch *h, const unsigned char *table,
                           const ndl_message_batch_limits *l)
{
    uint64_t n_rows = 0;
    for (uint32_t i = 0; i < h->n_seqs; i++) {
        ndl_wire_seq s;
        memcpy(&s, table + (size_t)i * sizeof s, sizeof s);
        if (!seq_is_valid(&s, l->n_slots)) return false;
        n_rows += s.n_rows;
    }
    table += (size_t)h->n_seqs * sizeof(ndl_wire_seq);
    for (uint32_t i = 0; i < h->n_ops; i++) {
        ndl_wire_op o;
        memcpy(&o, table + (size_t)i * sizeof o, sizeof o);
        if (!op_is_valid(&o, l)) return false;
    }
    return n_rows == h->n_rows;
}

bool ndl_message_batch_is_valid(const void *msg, size_t len,
                                const ndl_message_batch_limits *l)
{
    ndl_wire_batch h;
    if (!read_header(&h, msg, len)) return false;
    if (h.kind == NDL_BATCH_STOP)
        return h.n_rows == 0 && h.n_seqs == 0 && h.n_ops == 0 &&
               len == sizeof h;
    if (h.kind != NDL_BATCH_ROWS || h.batch_id == 0) return false;
    if (l->row_bytes == 0 || h.row_bytes != l->row_bytes) return false;
    if (h.n_rows == 0 || h.n_rows > l->max_rows) return false;
    if (h.n_seqs == 0 || h.n_seqs > h.n_rows || h.n_seqs > l->n_slots)
        return false;
    return h.n_ops <= l->max_ops && sizes_add_up(&h, len) &&
           table_is_valid(&h, (const unsigned char *)msg + sizeof h, l);
}

static bool score_is_valid(const ndl_wire_score *s)
{
    return s->pos >= 1 && s->pos <= INT32_MAX && s->same_top <= 1 &&
           isfinite(s->log_p) && isfinite(s->divergence) &&
           isfinite(s->max_diff);
}

static bool is_log_p(float x)
{
    return x <= 0.0f && isfinite(x);
}

/* Tokens, their candidates and the scores, which fill the message. */
static bool answer_is_valid(const ndl_wire_batch *h, const unsigned char *at,
                            uint32_t n_vocab)
{
    uint64_t n_top = 0;
    for (uint32_t i = 0; i < h->n_seqs; i++, at += sizeof(ndl_wire_token)) {
        ndl_wire_token t;
        memcpy(&t, at, sizeof t);
        if (t.id < 0 || (uint32_t)t.id >= n_vocab || t.pos > INT32_MAX ||
            t.n_top > NDL_WIRE_TOP || (!isnan(t.log_p) && !is_log_p(t.log_p)))
            return false;
        n_top += t.n_top;
    }
    for (uint32_t i = 0; i < h->n_ops; i++, at += sizeof(ndl_wire_candidate)) {
        ndl_wire_candidate c;
        memcpy(&c, at, sizeof c);
        if (c.id < 0 || (uint32_t)c.id >= n_vocab || !is_log_p(c.log_p))
            return false;
    }
    for (uint32_t i = 0; i < h->n_rows; i++, at += sizeof(ndl_wire_score)) {
        ndl_wire_score s;
        memcpy(&s, at, sizeof s);
        if (!score_is_valid(&s)) return false;
    }
    return n_top == h->n_ops;
}

bool ndl_message_tokens_is_valid(const void *msg, size_t len,
                                 const ndl_message_token_limits *l)
{
    ndl_wire_batch h;
    if (!read_header(&h, msg, len)) return false;
    if (h.kind != NDL_BATCH_ROWS || h.batch_id == 0 || h.row_bytes != 0)
        return false;
    if (h.n_seqs > l->max_tokens || h.n_rows > l->max_scores) return false;
    if ((uint64_t)h.n_seqs * sizeof(ndl_wire_token) +
            (uint64_t)h.n_ops * sizeof(ndl_wire_candidate) +
            (uint64_t)h.n_rows * sizeof(ndl_wire_score) !=
        len - sizeof h)
        return false;
    return answer_is_valid(&h, (const unsigned char *)msg + sizeof h,
                           l->n_vocab);
}

bool ndl_message_report_is_valid(const void *msg, size_t len)
{
    ndl_wire_report r;
    if (len != sizeof r) return false;
    memcpy(&r, msg, sizeof r);
    return r.magic == NDL_WIRE_MAGIC && r.kind >= NDL_REPORT_ALIVE &&
           r.kind <= NDL_REPORT_DONE && isfinite(r.totals.busy_sec) &&
           isfinite(r.totals.wait_sec) && isfinite(r.totals.send_sec) &&
           memchr(r.text, '\0', sizeof r.text) != NULL;
}

static bool is_duration(double sec)
{
    return sec >= 0.0 && sec < 1e9; /* false for NaN */
}

static bool step_is_valid(const ndl_wire_step *s)
{
    return s->batch_id > 0 && is_duration(s->end_sec) &&
           is_duration(s->receive_sec) && is_duration(s->busy_sec) &&
           is_duration(s->send_sec) && is_duration(s->bubble_sec) &&
           is_duration(s->other_sec);
}

static bool layer_is_valid(const ndl_wire_layer *l, uint32_t n_layers)
{
    return l->layer < n_layers && is_duration(l->sum_sec) &&
           is_duration(l->min_sec) && is_duration(l->max_sec);
}

size_t ndl_message_steps_bytes(uint32_t n_steps, uint32_t n_layers)
{
    return sizeof(ndl_wire_steps) + n_steps * sizeof(ndl_wire_step) +
           n_layers * sizeof(ndl_wire_layer);
}

ndl_wire_step *ndl_message_steps(void *msg)
{
    return (ndl_wire_step *)((unsigned char *)msg + sizeof(ndl_wire_steps));
}

ndl_wire_layer *ndl_message_layers(void *msg)
{
    const ndl_wire_steps *h = msg;
    return (ndl_wire_layer *)(void *)(ndl_message_steps(msg) + h->n_steps);
}

bool ndl_message_steps_is_valid(const void *msg, size_t len, uint32_t n_layers)
{
    ndl_wire_steps h;
    if (len < sizeof h) return false;
    memcpy(&h, msg, sizeof h);
    if (h.magic != NDL_WIRE_MAGIC || h.kind != NDL_REPORT_STEPS) return false;
    if (h.n_steps > NDL_WIRE_STEPS || h.n_layers > n_layers) return false;
    if (len != ndl_message_steps_bytes(h.n_steps, h.n_layers)) return false;
    const unsigned char *at = (const unsigned char *)msg + sizeof h;
    for (uint32_t i = 0; i < h.n_steps; i++, at += sizeof(ndl_wire_step)) {
        ndl_wire_step s;
        memcpy(&s, at, sizeof s);
        if (!step_is_valid(&s)) return false;
    }
    for (uint32_t i = 0; i < h.n_layers; i++, at += sizeof(ndl_wire_layer)) {
        ndl_wire_layer l;
        memcpy(&l, at, sizeof l);
        if (!layer_is_valid(&l, n_layers)) return false;
    }
    return true;
}

size_t ndl_message_accounts_bytes(uint32_t n)
{
    return sizeof(ndl_wire_accounts) + n * sizeof(ndl_wire_account);
}

ndl_wire_account *ndl_message_accounts(void *msg)
{
    ndl_wire_accounts *h = msg;
    return (ndl_wire_account *)(void *)(h + 1);
}

bool ndl_message_accounts_is_valid(const void *msg, size_t len)
{
    ndl_wire_accounts h;
    if (len < sizeof h) return false;
    memcpy(&h, msg, sizeof h);
    if (h.magic != NDL_WIRE_MAGIC || h.kind != NDL_REPORT_ACCOUNTS ||
        h.n > NDL_WIRE_ACCOUNTS || len != ndl_message_accounts_bytes(h.n))
        return false;
    const unsigned char *at = (const unsigned char *)msg + sizeof h;
    for (uint32_t i = 0; i < h.n; i++, at += sizeof(ndl_wire_account)) {
        ndl_wire_account a;
        memcpy(&a, at, sizeof a);
        if (!is_duration(a.busy_sec)) return false;
    }
    return true;
}

bool ndl_message_order_is_valid(const void *msg, size_t len)
{
    ndl_wire_order o;
    if (len != sizeof o) return false;
    memcpy(&o, msg, sizeof o);
    return o.magic == NDL_WIRE_MAGIC && o.kind >= NDL_ORDER_ALIVE &&
           o.kind <= NDL_ORDER_LEAVE;
}
