/*
 * comm_fake.c - see comm_fake.h.
 *
 * Two lists, both in the order of posting: messages and receives.  A pair is
 * matched as soon as both are there, the oldest with the oldest of the same
 * sender, receiver and tag.  When a message will arrive is fixed when it
 * leaves: an eager one at its send, a long one at its match.
 */
#include "comm_fake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_TAGS = NDL_TAG_LAST - NDL_TAG_FIRST };

typedef struct route {
    int from, to;
    ndl_tag tag;
} route;

typedef struct message {
    struct message *next;
    uint64_t id;
    route way;
    const void *buf; /* the sender's; NULL once its operation is over */
    unsigned char *copy;
    size_t len;
    double sent_sec;
    double arrive_sec; /* INFINITY: not yet left */
    bool is_long, is_lost, is_received;
    uint64_t receive; /* its receive's id; 0: unmatched */
} message;

typedef struct receive {
    struct receive *next;
    uint64_t id;
    route way;
    void *buf;
    size_t cap;
    double posted_sec;
    uint64_t message; /* 0: unmatched */
} receive;

typedef struct fake_rank {
    ndl_comm base; /* first */
    ndl_fake *world;
    double busy_until_sec;
    double wake_sec; /* end of its wait */
    bool is_waiting, is_dead;
} fake_rank;

/* One direction between two ranks. */
typedef struct channel {
    double free_sec;            /* when its last message has passed */
    double arrived_sec[N_TAGS]; /* of the last message, by tag      */
    int n_to_drop[N_TAGS];
} channel;

struct ndl_fake {
    ndl_fake_config cfg;
    double now_sec;
    uint64_t random, last_id;
    message *messages;
    receive *receives;
    fake_rank *ranks;
    channel *channels; /* (n_ranks, n_ranks): from, to */
    int n_sent[N_TAGS];
};

static fake_rank *rank_of(ndl_comm *c)
{
    return (fake_rank *)c;
}

static channel *channel_of(const ndl_fake *f, const route *w)
{
    return &f->channels[w->from * f->cfg.n_ranks + w->to];
}

static int tag_index(ndl_tag tag)
{
    return (int)tag - NDL_TAG_FIRST;
}

static bool same_way(const route *a, const route *b)
{
    return a->from == b->from && a->to == b->to && a->tag == b->tag;
}

static double own_time(const fake_rank *r)
{
    return r->busy_until_sec > r->world->now_sec ? r->busy_until_sec
                                                 : r->world->now_sec;
}

static void *allocate(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    NDL_ASSERT(p);
    return p;
}

/* splitmix64, in 0 .. 1. */
static double random_share(ndl_fake *f)
{
    uint64_t x = f->random += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    x ^= x >> 31;
    return (double)(x >> 11) * 0x1p-53;
}

static void leave(ndl_fake *f, message *m, double sec)
{
    channel *l = channel_of(f, &m->way);
    const int tag = tag_index(m->way.tag);
    if (m->is_lost) return;
    if (l->free_sec > sec) sec = l->free_sec;
    if (f->cfg.bytes_per_sec > 0.0)
        sec += (double)m->len / f->cfg.bytes_per_sec;
    l->free_sec = sec;
    sec += f->cfg.latency_sec;
    if (f->cfg.jitter_sec > 0.0) sec += f->cfg.jitter_sec * random_share(f);
    /* Jitter must not let a message overtake another of its kind. */
    if (sec < l->arrived_sec[tag]) sec = l->arrived_sec[tag];
    l->arrived_sec[tag] = sec;
    m->arrive_sec = sec;
}

static message *find_message(const ndl_fake *f, uint64_t id)
{
    message *m = f->messages;
    while (m && m->id != id) m = m->next;
    return m;
}

static receive *find_receive(const ndl_fake *f, uint64_t id)
{
    receive *r = f->receives;
    while (r && r->id != id) r = r->next;
    return r;
}

/* The oldest message and the oldest receive of a way, if both are there. */
static void match(ndl_fake *f, const route *way)
{
    message *m = f->messages;
    receive *r = f->receives;
    while (m && (m->receive || m->is_lost || !same_way(&m->way, way)))
        m = m->next;
    while (r && (r->message || !same_way(&r->way, way))) r = r->next;
    if (!m || !r) return;
    m->receive = r->id;
    r->message = m->id;
    if (m->is_long)
        leave(f, m, m->sent_sec > r->posted_sec ? m->sent_sec : r->posted_sec);
}

static void append_message(ndl_fake *f, message *m)
{
    message **end = &f->messages;
    while (*end) end = &(*end)->next;
    m->id = ++f->last_id;
    *end = m;
}

static void append_receive(ndl_fake *f, receive *r)
{
    receive **end = &f->receives;
    while (*end) end = &(*end)->next;
    r->id = ++f->last_id;
    *end = r;
}

static void remove_message(ndl_fake *f, message *m)
{
    message **at = &f->messages;
    while (*at != m) at = &(*at)->next;
    *at = m->next;
    free(m->copy);
    free(m);
}

static void remove_receive(ndl_fake *f, receive *r)
{
    receive **at = &f->receives;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    free(r);
}

/* Both its sender and its receiver are through with it. */
static void remove_if_over(ndl_fake *f, message *m)
{
    if (!m->buf && (m->is_received || m->is_lost)) remove_message(f, m);
}

/* A dead rank's calls succeed and do nothing: its id is never found. */
static ndl_status fake_send_begin(ndl_comm *c, ndl_comm_op *op, int to,
                                  ndl_tag tag, const void *buf, size_t len)
{
    fake_rank *me = rank_of(c);
    ndl_fake *f = me->world;
    op->opaque[0] = 0;
    if (me->is_dead) return NDL_OK;

    message *m = allocate(sizeof *m);
    m->way = (route){ c->rank, to, tag };
    m->buf = buf ? buf : "";
    m->len = len;
    m->copy = allocate(len);
    if (len) memcpy(m->copy, buf, len);
    m->sent_sec = own_time(me);
    m->arrive_sec = INFINITY;
    m->is_long = len > f->cfg.eager_bytes;
    f->n_sent[tag_index(tag)]++;
    int *n_to_drop = &channel_of(f, &m->way)->n_to_drop[tag_index(tag)];
    if (*n_to_drop > 0) {
        --*n_to_drop;
        m->is_lost = true;
    }
    append_message(f, m);
    op->opaque[0] = m->id;
    if (!m->is_long) leave(f, m, m->sent_sec);
    match(f, &(route){ c->rank, to, tag });
    return NDL_OK;
}

static ndl_status fake_recv_begin(ndl_comm *c, ndl_comm_op *op, int from,
                                  ndl_tag tag, void *buf, size_t cap)
{
    fake_rank *me = rank_of(c);
    op->opaque[0] = 0;
    if (me->is_dead) return NDL_OK;

    receive *r = allocate(sizeof *r);
    r->way = (route){ from, c->rank, tag };
    r->buf = buf;
    r->cap = cap;
    r->posted_sec = own_time(me);
    if (cap) memset(buf, 0xa5, cap);
    append_receive(me->world, r);
    op->opaque[0] = r->id;
    match(me->world, &r->way);
    return NDL_OK;
}

static ndl_status take(ndl_fake *f, receive *r, bool *done, size_t *len)
{
    message *m = r->message ? find_message(f, r->message) : NULL;
    if (!m || m->arrive_sec > f->now_sec) return NDL_OK;
    const bool fits = m->len <= r->cap;
    if (fits && m->len) memcpy(r->buf, m->copy, m->len);
    *done = true;
    *len = m->len;
    m->is_received = true;
    remove_receive(f, r);
    remove_if_over(f, m);
    if (!fits)
        return NDL_FAIL(NDL_EPROTO, "message longer than its receive allows");
    return NDL_OK;
}

/* A lost message is sent for its sender, who has noticed nothing. */
static void finish_send(ndl_fake *f, message *m, bool *done)
{
    const double over_sec = m->is_lost ? m->sent_sec : m->arrive_sec;
    if (over_sec > f->now_sec) return;
    /* The buffer was lent until now. */
    NDL_ASSERT(m->len == 0 || memcmp(m->buf, m->copy, m->len) == 0);
    *done = true;
    m->buf = NULL;
    remove_if_over(f, m);
}

static ndl_status fake_test(ndl_comm *c, ndl_comm_op *op, bool *done,
                            size_t *len)
{
    fake_rank *me = rank_of(c);
    ndl_fake *f = me->world;
    ndl_status st = NDL_OK;
    if (me->is_dead || me->busy_until_sec > f->now_sec) return NDL_OK;
    if (op->is_receive) {
        receive *r = find_receive(f, op->opaque[0]);
        if (r) st = take(f, r, done, len);
    } else {
        message *m = find_message(f, op->opaque[0]);
        if (m) finish_send(f, m, done);
    }
    if (*done) me->is_waiting = false;
    return st;
}

static void fake_cancel(ndl_comm *c, ndl_comm_op *op)
{
    ndl_fake *f = rank_of(c)->world;
    if (op->is_receive) {
        receive *r = find_receive(f, op->opaque[0]);
        message *m = r && r->message ? find_message(f, r->message) : NULL;
        if (m) m->is_received = true;
        if (r) remove_receive(f, r);
        if (m) remove_if_over(f, m);
    } else {
        message *m = find_message(f, op->opaque[0]);
        if (!m) return;
        NDL_ASSERT(m->len == 0 || memcmp(m->buf, m->copy, m->len) == 0);
        /* A long one that nobody asked for never leaves. */
        if (m->arrive_sec == INFINITY) m->is_lost = true;
        m->buf = NULL;
        remove_if_over(f, m);
    }
}

static void fake_wait(ndl_comm *c, double max_sec)
{
    fake_rank *me = rank_of(c);
    const double now = own_time(me);
    me->is_waiting = true;
    me->wake_sec = now + max_sec;
    /* A wait too short for the clock's digits must pass, too. */
    if (!(me->wake_sec > now)) me->wake_sec = nextafter(now, INFINITY);
}

static double fake_now(ndl_comm *c)
{
    return own_time(rank_of(c));
}

static void fake_close(ndl_comm *c)
{
    (void)c; /* belongs to the world */
}

static const ndl_comm_ops fake_ops = {
    .send_begin = fake_send_begin,
    .recv_begin = fake_recv_begin,
    .test = fake_test,
    .cancel = fake_cancel,
    .wait = fake_wait,
    .now = fake_now,
    .close = fake_close,
};

ndl_fake *ndl_fake_create(const ndl_fake_config *cfg)
{
    ndl_fake *f = allocate(sizeof *f);
    const size_t n = (size_t)cfg->n_ranks;
    f->cfg = *cfg;
    f->random = cfg->seed;
    f->ranks = allocate(n * sizeof *f->ranks);
    f->channels = allocate(n * n * sizeof *f->channels);
    for (int r = 0; r < cfg->n_ranks; r++) {
        f->ranks[r].base = (ndl_comm){
            .ops = &fake_ops, .rank = r, .size = cfg->n_ranks, .node = 0
        };
        f->ranks[r].world = f;
    }
    return f;
}

void ndl_fake_destroy(ndl_fake **f)
{
    if (!*f) return;
    while ((*f)->messages) remove_message(*f, (*f)->messages);
    while ((*f)->receives) remove_receive(*f, (*f)->receives);
    free((*f)->ranks);
    free((*f)->channels);
    free(*f);
    *f = NULL;
}

ndl_comm *ndl_fake_comm(ndl_fake *f, int rank)
{
    return &f->ranks[rank].base;
}

double ndl_fake_now(const ndl_fake *f)
{
    return f->now_sec;
}

bool ndl_fake_is_ready(const ndl_fake *f, int rank)
{
    const fake_rank *r = &f->ranks[rank];
    return !r->is_dead && r->busy_until_sec <= f->now_sec;
}

/* What has come for a rank, or come free, and that it has not tested. */
static bool has_news(const ndl_fake *f, int rank)
{
    for (const message *m = f->messages; m; m = m->next) {
        if (m->arrive_sec > f->now_sec) continue;
        if (m->way.from == rank && m->buf) return true;
        if (m->way.to == rank && m->receive && !m->is_received) return true;
    }
    return false;
}

bool ndl_fake_is_idle(const ndl_fake *f, int rank)
{
    return f->ranks[rank].is_waiting && ndl_fake_is_ready(f, rank) &&
           !has_news(f, rank);
}

void ndl_fake_spend(ndl_fake *f, int rank, double sec)
{
    fake_rank *r = &f->ranks[rank];
    NDL_ASSERT(sec >= 0.0);
    r->busy_until_sec = own_time(r) + sec;
    r->is_waiting = false;
}

/* The earlier of two times, but none that has passed. */
static double next_time(const ndl_fake *f, double best, double sec)
{
    return sec > f->now_sec && sec < best ? sec : best;
}

static double next_event_sec(const ndl_fake *f)
{
    double best = INFINITY;
    for (const message *m = f->messages; m; m = m->next)
        best = next_time(f, best, m->arrive_sec);
    for (int r = 0; r < f->cfg.n_ranks; r++)
        if (!f->ranks[r].is_dead)
            best = next_time(f, best, f->ranks[r].busy_until_sec);
    return best;
}

static bool move_clock(ndl_fake *f, double sec)
{
    if (sec == INFINITY) return false;
    f->now_sec = sec;
    return true;
}

bool ndl_fake_advance(ndl_fake *f)
{
    return move_clock(f, next_event_sec(f));
}

bool ndl_fake_advance_or_wake(ndl_fake *f)
{
    double best = next_event_sec(f);
    for (int r = 0; r < f->cfg.n_ranks; r++)
        if (f->ranks[r].is_waiting && !f->ranks[r].is_dead)
            best = next_time(f, best, f->ranks[r].wake_sec);
    return move_clock(f, best);
}

/* Its receives are gone, and so are its long messages that have not left. */
void ndl_fake_kill(ndl_fake *f, int rank)
{
    f->ranks[rank].is_dead = true;
    receive *next = NULL;
    for (receive *r = f->receives; r; r = next) {
        next = r->next;
        if (r->way.to == rank && !r->message) remove_receive(f, r);
    }
    for (message *m = f->messages; m; m = m->next)
        if (m->way.from == rank && m->arrive_sec == INFINITY) m->is_lost = true;
}

void ndl_fake_drop(ndl_fake *f, int from, int to, ndl_tag tag, int n)
{
    const route way = { from, to, tag };
    channel_of(f, &way)->n_to_drop[tag_index(tag)] += n;
}

int ndl_fake_n_sent(const ndl_fake *f, ndl_tag tag)
{
    return f->n_sent[tag_index(tag)];
}

int ndl_fake_n_unreceived(const ndl_fake *f)
{
    int n = 0;
    for (const message *m = f->messages; m; m = m->next)
        if (!m->is_received && !m->is_lost) n++;
    return n;
}

int ndl_fake_n_unmatched(const ndl_fake *f)
{
    int n = 0;
    for (const receive *r = f->receives; r; r = r->next)
        if (!r->message) n++;
    return n;
}
