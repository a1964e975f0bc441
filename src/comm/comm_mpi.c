/*
 * comm_mpi.c - point-to-point messages over MPI, and over belts where ranks
 * share memory.
 *
 * A lane with a belt has all its messages on it, in order: short ones as a
 * whole, so that their sends are complete at once, and of long ones a note,
 * after which the message itself comes by MPI.  Only the oldest receive of
 * such a lane is served, when it is tested: a receive that was tested before
 * would not be looked at again before the caller waits.
 *
 * A receive is not posted with MPI_Irecv: Open MPI 4.1 copies a long message
 * directly out of the sender's memory, as much as the sender has, and writes
 * past the end of a shorter buffer before it says MPI_ERR_TRUNCATE.  So a
 * receive waits in a queue of ours until MPI_Improbe finds its message, whose
 * length is known then.  That costs a copy of messages below the eager limit
 * and a second look, some 0.2 us in all, and tells who is in the middle of a
 * long message.  A persistent receive has the same fault, and there is little
 * to gain: between nodes, over TCP on one machine, a row takes 9.9 us like this
 * and 9.3 us with a posted receive, a megabyte 145 and 143 us (bench_hop_apart,
 * medians of interleaved rounds, Zen 4 EPYC).
 */
#include "comm_mpi.h"

#include <string.h>

#include "noodle/clock.h"
#include "noodle/log.h"

typedef enum op_state {
    OP_QUEUED,  /* in a queue of its lane, no request yet */
    OP_STARTED, /* MPI has a request                      */
    OP_OVER,    /* its message went, or came, by the belt */
    OP_BROKEN   /* its message cannot be received         */
} op_state;

/* What stands in ndl_comm_op.opaque. */
typedef struct mpi_op {
    MPI_Request request;
    ndl_comm_op *next; /* queued: the one behind it */
    void *buf;         /* a send's is only read */
    int cap, peer, tag;
    op_state state;
} mpi_op;

static_assert(sizeof(mpi_op) <= sizeof(((ndl_comm_op *)0)->opaque),
              "an operation must fit into its caller's storage");

/* Messages longer than this may go by rendezvous: the sender's operation is
 * complete only when the receiver has answered.  The limit of Open MPI between
 * ranks of a node is 4096 with a header.  Too low costs a needless ring, too
 * high a millisecond. */
static const size_t eager_bytes = 3072;

/* Copied in and out, because the type of the storage is another. */
static mpi_op op_load(const ndl_comm_op *op)
{
    mpi_op mine;
    memcpy(&mine, op->opaque, sizeof mine);
    return mine;
}

static void op_save(ndl_comm_op *op, mpi_op mine)
{
    memcpy(op->opaque, &mine, sizeof mine);
}

ndl_comm_mpi *ndl_comm_mpi_under(ndl_comm *c)
{
    while (c->inner) c = c->inner;
    NDL_ASSERT(c->ops == &ndl_comm_mpi_ops);
    return ndl_comm_mpi_of(c);
}

ndl_status ndl_comm_mpi_fail(const char *call, int error)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    MPI_Error_string(error, text, &n);
    for (char *p = text; *p; p++)
        if (*p == '\n') *p = ' ';
    return NDL_FAIL(NDL_EOS,
                    "%s: %s: check the network and the MPI installation", call,
                    text);
}

static void ring(ndl_comm_mpi *m, int rank)
{
    if (m->bell[rank]) ndl_bell_ring(m->bell[rank]);
}

static ndl_comm_lane *lane_of(ndl_comm_mpi *m, const mpi_op *mine)
{
    return &m->lane[mine->peer][mine->tag - NDL_TAG_FIRST];
}

static void enqueue(ndl_comm_queue *q, ndl_comm_op *op)
{
    if (q->last) {
        mpi_op last = op_load(q->last);
        last.next = op;
        op_save(q->last, last);
    } else {
        q->first = op;
    }
    q->last = op;
}

/* Take `op` out of its queue; `before` is the one in front of it, or NULL. */
static void unqueue(ndl_comm_queue *q, ndl_comm_op *before, ndl_comm_op *op)
{
    ndl_comm_op *next = op_load(op).next;
    if (before) {
        mpi_op mine = op_load(before);
        mine.next = next;
        op_save(before, mine);
    } else {
        q->first = next;
    }
    if (q->last == op) q->last = before;
}

static ndl_status start_send(ndl_comm_mpi *m, mpi_op *mine)
{
    const int rc = MPI_Isend(mine->buf, mine->cap, MPI_BYTE, mine->peer,
                             mine->tag, m->all, &mine->request);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Isend", rc);
    mine->state = OP_STARTED;
    m->n_sends++;
    return NDL_OK;
}

/* By its lane's belt; still queued if there is no room. */
static ndl_status lay_down(ndl_comm_mpi *m, ndl_comm_lane *lane, mpi_op *mine)
{
    const size_t len = (size_t)mine->cap;
    if (!ndl_belt_put(&lane->out, mine->buf, len)) return NDL_OK;
    mine->state = OP_OVER;
    if (len > lane->out.longest) NDL_TRY(start_send(m, mine));
    ring(m, mine->peer);
    return NDL_OK;
}

static ndl_status mpi_send_begin(ndl_comm *c, ndl_comm_op *op, int to,
                                 ndl_tag tag, const void *buf, size_t len)
{
    ndl_comm_mpi *m = ndl_comm_mpi_of(c);
    mpi_op mine = { .request = MPI_REQUEST_NULL,
                    .buf = (void *)buf,
                    .cap = (int)len,
                    .peer = to,
                    .tag = (int)tag,
                    .state = OP_QUEUED };
    ndl_comm_lane *lane = lane_of(m, &mine);
    if (!lane->out.belt) {
        NDL_TRY(start_send(m, &mine));
        ring(m, to);
    } else if (!lane->sends.first) {
        NDL_TRY(lay_down(m, lane, &mine));
    }
    if (!m->bell[to]) m->is_remote = true;
    op_save(op, mine);
    if (mine.state == OP_QUEUED) enqueue(&lane->sends, op);
    return NDL_OK;
}

/* A send that found no room: once more, if it is its turn. */
static ndl_status push(ndl_comm_mpi *m, ndl_comm_lane *lane, ndl_comm_op *op)
{
    mpi_op mine = op_load(op);
    if (lane->sends.first != op) return NDL_OK;
    const ndl_status st = lay_down(m, lane, &mine);
    if (st == NDL_OK && mine.state == OP_QUEUED) return NDL_OK;
    unqueue(&lane->sends, NULL, op);
    op_save(op, mine);
    ndl_comm_mpi_moved(m);
    return st;
}

static ndl_status mpi_recv_begin(ndl_comm *c, ndl_comm_op *op, int from,
                                 ndl_tag tag, void *buf, size_t cap)
{
    ndl_comm_mpi *m = ndl_comm_mpi_of(c);
    const mpi_op mine = { .request = MPI_REQUEST_NULL,
                          .buf = buf,
                          .cap = (int)cap,
                          .peer = from,
                          .tag = (int)tag,
                          .state = OP_QUEUED };
    op_save(op, mine);
    enqueue(&lane_of(m, &mine)->receives, op);
    if (!m->bell[from]) m->is_remote = true;
    return NDL_OK;
}

/* Begin the receive of a message that has come. */
static ndl_status start_receive(ndl_comm_mpi *m, mpi_op *mine,
                                MPI_Message *message, int len)
{
    mine->state = OP_BROKEN;
    /* Left with MPI: whoever broke the protocol is about to be stopped. */
    if (len > mine->cap) return NDL_OK;
    const int rc =
        MPI_Imrecv(mine->buf, len, MPI_BYTE, message, &mine->request);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Imrecv", rc);
    mine->state = OP_STARTED;
    m->n_receiving++;
    return NDL_OK;
}

/* Open MPI looks for the message first and makes progress after that, so what
 * has just come in is found by the second call only. */
static int improbe(ndl_comm_mpi *m, const mpi_op *mine, MPI_Message *message,
                   int *len, int *flag)
{
    MPI_Status status;
    int rc = MPI_Improbe(mine->peer, mine->tag, m->all, flag, message, &status);
    if (rc == MPI_SUCCESS && !*flag)
        rc = MPI_Improbe(mine->peer, mine->tag, m->all, flag, message, &status);
    if (rc == MPI_SUCCESS && *flag) rc = MPI_Get_count(&status, MPI_BYTE, len);
    return rc;
}

/* Is the next message of this lane one that MPI has? */
static bool comes_by_mpi(const ndl_comm_lane *lane)
{
    return !lane->in.belt || lane->is_noted;
}

static void strike_note(ndl_comm_mpi *m, ndl_comm_lane *lane)
{
    if (!lane->is_noted) return;
    lane->is_noted = false;
    m->n_noted--;
}

/* Give the messages of a lane that have come by MPI to its receives, oldest
 * first; also to other receives than the one that is being tested. */
static ndl_status serve(ndl_comm_mpi *m, ndl_comm_lane *lane)
{
    while (lane->receives.first && comes_by_mpi(lane)) {
        ndl_comm_op *op = lane->receives.first;
        mpi_op mine = op_load(op);
        MPI_Message message;
        int flag = 0, len = 0;
        const int rc = improbe(m, &mine, &message, &len, &flag);
        if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Improbe", rc);
        if (!flag) return NDL_OK;
        strike_note(m, lane);
        unqueue(&lane->receives, NULL, op);
        const ndl_status st = start_receive(m, &mine, &message, len);
        op->is_arriving = mine.state == OP_STARTED;
        op_save(op, mine);
        NDL_TRY(st);
    }
    return NDL_OK;
}

/* Thrown away if it does not fit, like one that MPI brings. */
static void take_letter(ndl_comm_mpi *m, ndl_comm_lane *lane, mpi_op *mine,
                        size_t len)
{
    const bool fits = len <= (size_t)mine->cap;
    if (ndl_belt_take(&lane->in, fits ? mine->buf : NULL, NDL_BELT_HAS_LETTER,
                      len))
        ring(m, mine->peer);
    mine->state = fits ? OP_OVER : OP_BROKEN;
    if (fits) mine->cap = (int)len;
}

static void take_note(ndl_comm_mpi *m, ndl_comm_lane *lane, ndl_comm_op *op,
                      size_t len)
{
    if (ndl_belt_take(&lane->in, NULL, NDL_BELT_HAS_NOTE, len))
        ring(m, op_load(op).peer);
    lane->is_noted = op->is_arriving = true;
    m->n_noted++;
}

/* The oldest receive of a lane gets the letter on the belt, or learns that its
 * message is coming. */
static ndl_status take_up(ndl_comm_mpi *m, ndl_comm_lane *lane, ndl_comm_op *op)
{
    mpi_op mine = op_load(op);
    size_t len = 0;
    switch (ndl_belt_look(&lane->in, &len)) {
    case NDL_BELT_NOTHING: return NDL_OK;
    case NDL_BELT_HAS_NOTE: take_note(m, lane, op, len); return NDL_OK;
    case NDL_BELT_HAS_LETTER:
        unqueue(&lane->receives, NULL, op);
        take_letter(m, lane, &mine, len);
        op_save(op, mine);
        return NDL_OK;
    default: break;
    }
    unqueue(&lane->receives, NULL, op);
    return NDL_FAIL(NDL_EPROTO,
                    "what rank %d left in shared memory is no message: run the "
                    "same version in all ranks",
                    mine.peer);
}

/* To look at a belt is no call of MPI, but whoever tests a receive alone relies
 * on its other operations to go on meanwhile.  Nobody sends this to itself. */
static ndl_status make_progress(ndl_comm_mpi *m)
{
    int flag = 0;
    if (m->n_sends + m->n_receiving + m->n_noted == 0) return NDL_OK;
    const int rc = MPI_Iprobe(m->base.rank, NDL_TAG_LAST, m->all, &flag,
                              MPI_STATUS_IGNORE);
    return rc == MPI_SUCCESS ? NDL_OK : ndl_comm_mpi_fail("MPI_Iprobe", rc);
}

/* Has the message of a queued receive come? */
static ndl_status look_for(ndl_comm_mpi *m, ndl_comm_lane *lane,
                           ndl_comm_op *op)
{
    if (!comes_by_mpi(lane) && lane->receives.first == op)
        NDL_TRY(take_up(m, lane, op));
    if (!comes_by_mpi(lane)) return make_progress(m);
    return serve(m, lane);
}

/* One less in flight. */
static void forget(ndl_comm_mpi *m, const ndl_comm_op *op)
{
    if (op->is_receive)
        m->n_receiving--;
    else
        m->n_sends--;
}

static ndl_status finish(ndl_comm_mpi *m, ndl_comm_op *op, bool *done,
                         size_t *len)
{
    mpi_op mine = op_load(op);
    MPI_Status status;
    int flag = 0, n = 0;
    int rc = MPI_Test(&mine.request, &flag, &status);
    if (rc == MPI_SUCCESS && !flag) {
        /* Its sender may have to send the next piece. */
        if (op->is_receive) ring(m, mine.peer);
        return NDL_OK;
    }
    forget(m, op);
    ndl_comm_mpi_moved(m);
    m->is_expecting = false;
    if (rc == MPI_SUCCESS && op->is_receive)
        rc = MPI_Get_count(&status, MPI_BYTE, &n);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Test", rc);
    *done = true;
    *len = (size_t)n;
    /* The sender of a long message waits for the answer that MPI has just
     * sent it. */
    if (*len > eager_bytes) ring(m, mine.peer);
    return NDL_OK;
}

/* Of an operation that is over for its owner no queue may know. */
static void leave_queue(ndl_comm_lane *lane, ndl_comm_op *op)
{
    ndl_comm_queue *q = op->is_receive ? &lane->receives : &lane->sends;
    ndl_comm_op *before = NULL, *o = q->first;
    for (; o && o != op; o = op_load(o).next) before = o;
    if (o) unqueue(q, before, o);
}

static ndl_status mpi_test(ndl_comm *c, ndl_comm_op *op, bool *done,
                           size_t *len)
{
    ndl_comm_mpi *m = ndl_comm_mpi_of(c);
    mpi_op mine = op_load(op);
    if (mine.state == OP_QUEUED) {
        ndl_comm_lane *lane = lane_of(m, &mine);
        const ndl_status st =
            op->is_receive ? look_for(m, lane, op) : push(m, lane, op);
        if (st != NDL_OK) leave_queue(lane, op);
        NDL_TRY(st);
        mine = op_load(op);
    }
    switch (mine.state) {
    case OP_QUEUED: return NDL_OK;
    case OP_STARTED: return finish(m, op, done, len);
    case OP_OVER:
        *done = true;
        *len = (size_t)mine.cap;
        if (!op->is_receive) return NDL_OK;
        ndl_comm_mpi_moved(m);
        m->is_expecting = false;
        return NDL_OK;
    default: break;
    }
    return NDL_FAIL(NDL_EPROTO,
                    "message from rank %d, tag %d, is longer than %d bytes: "
                    "run the same version on all nodes",
                    mine.peer, mine.tag, mine.cap);
}

/* A message that is on its way cannot be cancelled any more, and soon is here.
 * Only a sender that died in the middle of it makes that never happen. */
static void finish_receive(mpi_op *mine)
{
    const double end_sec = ndl_clock_sec() + 1.0;
    for (;;) {
        int flag = 0;
        const int rc = MPI_Test(&mine->request, &flag, MPI_STATUS_IGNORE);
        if (rc != MPI_SUCCESS || flag) return;
        if (ndl_clock_sec() >= end_sec) break;
        ndl_clock_sleep(50e-6);
    }
    ndl_log(NDL_LOG_DEBUG, "comm", "half a message from rank %d was left",
            mine->peer);
    MPI_Request_free(&mine->request);
}

/* MPI cannot cancel sends: Open MPI's MPI_Cancel does nothing to them and the
 * standard has deprecated it.  The request is given back to MPI, which may read
 * the buffer for as long as the receiver can still ask for it; so this is for
 * receivers that never will, and a late one gets what the buffer holds then. */
static void abandon_send(mpi_op *mine)
{
    int flag = 0;
    const int rc = MPI_Test(&mine->request, &flag, MPI_STATUS_IGNORE);
    if (rc == MPI_SUCCESS && !flag) MPI_Request_free(&mine->request);
}

static void mpi_cancel(ndl_comm *c, ndl_comm_op *op)
{
    ndl_comm_mpi *m = ndl_comm_mpi_of(c);
    mpi_op mine = op_load(op);
    ndl_comm_lane *lane = lane_of(m, &mine);
    if (mine.state == OP_QUEUED) leave_queue(lane, op);
    if (mine.state != OP_STARTED) return;
    forget(m, op);
    if (op->is_receive)
        finish_receive(&mine);
    else
        abandon_send(&mine);
}

static double mpi_now(ndl_comm *c)
{
    (void)c;
    return ndl_clock_sec();
}

const ndl_comm_ops ndl_comm_mpi_ops = {
    .send_begin = mpi_send_begin,
    .recv_begin = mpi_recv_begin,
    .test = mpi_test,
    .cancel = mpi_cancel,
    .wait = ndl_comm_mpi_wait,
    .now = mpi_now,
    .close = ndl_comm_mpi_close,
};
