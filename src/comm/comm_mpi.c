/*
 * comm_mpi.c - point-to-point messages over MPI.
 *
 * A receive is not posted with MPI_Irecv: Open MPI 4.1 copies a long message
 * directly out of the sender's memory, as much as the sender has, and writes
 * past the end of a shorter buffer before it says MPI_ERR_TRUNCATE.  So a
 * receive waits in a queue of ours until MPI_Improbe finds its message, whose
 * length is known then.  That costs a copy of messages below the eager limit
 * and a second look, some 0.2 us in all, and tells who is in the middle of a
 * long message.
 */
#include "comm_mpi.h"

#include <string.h>

#include "noodle/clock.h"
#include "noodle/log.h"

typedef enum op_state {
    OP_QUEUED,  /* a receive in its lane, no request yet */
    OP_STARTED, /* MPI has a request                     */
    OP_BROKEN   /* its message cannot be received        */
} op_state;

/* What stands in ndl_comm_op.opaque. */
typedef struct mpi_op {
    MPI_Request request;
    ndl_comm_op *next; /* queued: the one behind it */
    void *buf;
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

static ndl_status mpi_send_begin(ndl_comm *c, ndl_comm_op *op, int to,
                                 ndl_tag tag, const void *buf, size_t len)
{
    ndl_comm_mpi *m = ndl_comm_mpi_of(c);
    mpi_op mine = { .peer = to, .tag = (int)tag, .state = OP_STARTED };
    const int rc =
        MPI_Isend(buf, (int)len, MPI_BYTE, to, (int)tag, m->all, &mine.request);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Isend", rc);
    op_save(op, mine);
    m->n_sends++;
    if (!m->bell[to]) m->is_remote = true;
    ring(m, to);
    return NDL_OK;
}

static ndl_comm_lane *lane_of(ndl_comm_mpi *m, const mpi_op *mine)
{
    return &m->lane[mine->peer][mine->tag - NDL_TAG_FIRST];
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
    ndl_comm_lane *lane = lane_of(m, &mine);
    op_save(op, mine);
    if (lane->last) {
        mpi_op last = op_load(lane->last);
        last.next = op;
        op_save(lane->last, last);
    } else {
        lane->first = op;
    }
    lane->last = op;
    if (!m->bell[from]) m->is_remote = true;
    return NDL_OK;
}

/* Take `op` out of its queue; `before` is the one in front of it, or NULL. */
static void unqueue(ndl_comm_lane *lane, ndl_comm_op *before, ndl_comm_op *op)
{
    ndl_comm_op *next = op_load(op).next;
    if (before) {
        mpi_op mine = op_load(before);
        mine.next = next;
        op_save(before, mine);
    } else {
        lane->first = next;
    }
    if (lane->last == op) lane->last = before;
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

/* Give the messages of a lane that have come to its receives, oldest first;
 * also to other receives than the one that is being tested. */
static ndl_status serve(ndl_comm_mpi *m, ndl_comm_lane *lane)
{
    while (lane->first) {
        ndl_comm_op *op = lane->first;
        mpi_op mine = op_load(op);
        MPI_Message message;
        int flag = 0, len = 0;
        const int rc = improbe(m, &mine, &message, &len, &flag);
        if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Improbe", rc);
        if (!flag) return NDL_OK;
        unqueue(lane, NULL, op);
        const ndl_status st = start_receive(m, &mine, &message, len);
        op->is_arriving = mine.state == OP_STARTED;
        op_save(op, mine);
        NDL_TRY(st);
    }
    return NDL_OK;
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

static ndl_status mpi_test(ndl_comm *c, ndl_comm_op *op, bool *done,
                           size_t *len)
{
    ndl_comm_mpi *m = ndl_comm_mpi_of(c);
    mpi_op mine = op_load(op);
    if (mine.state == OP_QUEUED) {
        NDL_TRY(serve(m, lane_of(m, &mine)));
        mine = op_load(op);
    }
    if (mine.state == OP_QUEUED) return NDL_OK;
    if (mine.state == OP_STARTED) return finish(m, op, done, len);
    return NDL_FAIL(NDL_EPROTO,
                    "message from rank %d, tag %d, is longer than %d bytes: "
                    "run the same version on all nodes",
                    mine.peer, mine.tag, mine.cap);
}

static void cancel_queued(ndl_comm_lane *lane, ndl_comm_op *op)
{
    ndl_comm_op *before = NULL;
    for (ndl_comm_op *o = lane->first; o != op; o = op_load(o).next) before = o;
    unqueue(lane, before, op);
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
    if (mine.state == OP_QUEUED) cancel_queued(lane_of(m, &mine), op);
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
