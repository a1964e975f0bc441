/*
 * comm_slow.c - a comm whose links are slower than they are: another comm with
 * messages held back by their receiver.
 *
 * A message passes its link after the one before it, at the link's bandwidth,
 * and then takes the delay:
 *
 *   passed = max(seen, passed) + bytes / bandwidth       due = passed + delay
 *
 * `seen` is when its receiver finds it complete.  So what the real link takes
 * comes on top, and time begins to count only when there is a receive for a
 * message: two receives at a time, as stages have them, let at most two
 * messages travel at once, as between buffers of a real network card.  Sends
 * are over when they are over on the real link.
 */
#include <stdlib.h>

#include "noodle/comm.h"

/* A receive whose message is here and is said to be on its way. */
typedef struct held {
    const ndl_comm_op *op;
    double due_sec;
    size_t len;
} held;

typedef struct slow {
    ndl_comm base;
    ndl_comm_link *links; /* (size): of messages from each rank to this one */
    double *passed_sec;   /* (size) */
    held *held;           /* room for all receives that are active */
    int n_held, n_receives, cap;
} slow;

static slow *slow_of(ndl_comm *c)
{
    return (slow *)c;
}

static ndl_status slow_send_begin(ndl_comm *c, ndl_comm_op *op, int to,
                                  ndl_tag tag, const void *buf, size_t len)
{
    return c->inner->ops->send_begin(c->inner, op, to, tag, buf, len);
}

/* So that to hold a message back never needs memory. */
static ndl_status make_room(slow *s)
{
    if (s->n_receives < s->cap) return NDL_OK;
    const int cap = s->cap * 2;
    held *more = realloc(s->held, (size_t)cap * sizeof *more);
    if (!more) return NDL_FAIL(NDL_EUNAVAIL, "slow links: out of memory");
    s->held = more;
    s->cap = cap;
    return NDL_OK;
}

static ndl_status slow_recv_begin(ndl_comm *c, ndl_comm_op *op, int from,
                                  ndl_tag tag, void *buf, size_t cap)
{
    slow *s = slow_of(c);
    NDL_TRY(make_room(s));
    NDL_TRY(c->inner->ops->recv_begin(c->inner, op, from, tag, buf, cap));
    s->n_receives++;
    return NDL_OK;
}

static int find(const slow *s, const ndl_comm_op *op)
{
    int i = 0;
    while (i < s->n_held && s->held[i].op != op) i++;
    return i;
}

static void release(slow *s, int i)
{
    s->held[i] = s->held[--s->n_held];
}

/* A message is here: when shall it be? */
static void hold(slow *s, ndl_comm_op *op, size_t len)
{
    const ndl_comm_link *l = &s->links[op->peer];
    double sec = s->base.inner->ops->now(s->base.inner);
    if (s->passed_sec[op->peer] > sec) sec = s->passed_sec[op->peer];
    if (l->bytes_per_sec > 0.0) sec += (double)len / l->bytes_per_sec;
    s->passed_sec[op->peer] = sec;
    s->held[s->n_held++] = (held){ op, sec + l->delay_sec, len };
    op->is_arriving = true;
}

static ndl_status slow_test(ndl_comm *c, ndl_comm_op *op, bool *done,
                            size_t *len)
{
    slow *s = slow_of(c);
    ndl_comm *inner = c->inner;
    if (!op->is_receive) return inner->ops->test(inner, op, done, len);
    int i = find(s, op);
    if (i == s->n_held) {
        const ndl_status st = inner->ops->test(inner, op, done, len);
        if (st != NDL_OK) s->n_receives--;
        if (st != NDL_OK || !*done) return st;
        hold(s, op, *len);
        *done = false;
    }
    if (inner->ops->now(inner) < s->held[i].due_sec) return NDL_OK;
    *done = true;
    *len = s->held[i].len;
    release(s, i);
    s->n_receives--;
    return NDL_OK;
}

/* A message that is held back is gone with its receive, as one that MPI has
 * begun to receive is. */
static void slow_cancel(ndl_comm *c, ndl_comm_op *op)
{
    slow *s = slow_of(c);
    const int i = op->is_receive ? find(s, op) : s->n_held;
    if (op->is_receive) s->n_receives--;
    if (i < s->n_held)
        release(s, i);
    else
        c->inner->ops->cancel(c->inner, op);
}

static void slow_wait(ndl_comm *c, double max_sec)
{
    const slow *s = slow_of(c);
    const double now = c->inner->ops->now(c->inner);
    for (int i = 0; i < s->n_held; i++)
        if (s->held[i].due_sec - now < max_sec)
            max_sec = s->held[i].due_sec - now;
    c->inner->ops->wait(c->inner, max_sec > 0.0 ? max_sec : 0.0);
}

static double slow_now(ndl_comm *c)
{
    return c->inner->ops->now(c->inner);
}

static void slow_close(ndl_comm *c)
{
    slow *s = slow_of(c);
    free(s->links);
    free(s->passed_sec);
    free(s->held);
    free(s);
}

static const ndl_comm_ops slow_ops = {
    .send_begin = slow_send_begin,
    .recv_begin = slow_recv_begin,
    .test = slow_test,
    .cancel = slow_cancel,
    .wait = slow_wait,
    .now = slow_now,
    .close = slow_close,
};

static bool is_rank(int rank, int size)
{
    return rank >= -1 && rank < size;
}

/* Anything else, NaN too, would hold messages for ever. */
static bool is_sane(const ndl_comm_link *l, int size)
{
    return is_rank(l->from, size) && is_rank(l->to, size) &&
           l->delay_sec >= 0.0 && l->delay_sec <= NDL_LINK_DELAY_MAX_SEC &&
           (l->bytes_per_sec == 0.0 ||
            (l->bytes_per_sec >= NDL_LINK_BANDWIDTH_MIN &&
             l->bytes_per_sec <= NDL_LINK_BANDWIDTH_MAX));
}

/* Later links overrule earlier ones. */
static ndl_status take_links(slow *s, const ndl_comm_link *links, int n)
{
    for (int i = 0; i < n; i++) {
        const ndl_comm_link *l = &links[i];
        if (!is_sane(l, s->base.size))
            return NDL_FAIL(NDL_EPROTO,
                            "link %d-%d, delay %g s, bandwidth %g: no such "
                            "link: run the same version on all nodes",
                            (int)l->from, (int)l->to, l->delay_sec,
                            l->bytes_per_sec);
        if (l->to != -1 && l->to != s->base.rank) continue;
        for (int r = 0; r < s->base.size; r++)
            if (l->from == -1 || l->from == r) s->links[r] = *l;
    }
    return NDL_OK;
}

ndl_status ndl_comm_slow_open(ndl_comm **out, ndl_comm *inner,
                              const ndl_comm_link *links, int n)
{
    enum { FIRST_CAP = 64 };
    const size_t size = (size_t)inner->size;
    slow *s = calloc(1, sizeof *s);
    ndl_status st = NDL_OK;
    if (!s) return NDL_FAIL(NDL_EUNAVAIL, "slow links: out of memory");
    s->base = *inner;
    s->base.ops = &slow_ops;
    s->base.inner = inner;
    s->links = calloc(size, sizeof *s->links);
    s->passed_sec = calloc(size, sizeof *s->passed_sec);
    s->held = calloc(FIRST_CAP, sizeof *s->held);
    s->cap = FIRST_CAP;
    if (!s->links || !s->passed_sec || !s->held)
        st = NDL_FAIL(NDL_EUNAVAIL, "slow links: out of memory");
    if (st == NDL_OK) st = take_links(s, links, n);
    if (st == NDL_OK)
        *out = &s->base;
    else
        slow_close(&s->base);
    return st;
}
