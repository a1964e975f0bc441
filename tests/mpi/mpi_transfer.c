/* mpi_transfer.c - messages of all sizes round a ring. */
#include <stdlib.h>
#include <string.h>

#include "mpi_check.h"
#include "noodle/clock.h"
#include "noodle/comm.h"

enum { N_BUFFERS = 2, MAX_BYTES = 3000000, N_MESSAGES = 36 };

static const size_t sizes[] = { 0, 1, 4095, 4096, 65536, MAX_BYTES };

typedef struct lane {
    ndl_comm_op op[N_BUFFERS];
    unsigned char *buf[N_BUFFERS];
    int peer;
    int n_begun, n_done;
} lane;

static size_t bytes_of(int message)
{
    return sizes[message % 6];
}

static unsigned char byte_of(int from, int message, size_t k)
{
    return (unsigned char)((size_t)from * 31 + (size_t)message * 17 + k * 5 +
                           (k >> 12));
}

static void lane_init(lane *l, int peer)
{
    memset(l, 0, sizeof *l);
    l->peer = peer;
    for (int i = 0; i < N_BUFFERS; i++) {
        l->buf[i] = malloc(MAX_BYTES);
        CHECK(l->buf[i]);
    }
}

static void lane_fini(lane *l)
{
    for (int i = 0; i < N_BUFFERS; i++) free(l->buf[i]);
}

static bool finish_one(ndl_comm *c, lane *l, size_t *len)
{
    bool done = false;
    CHECK(ndl_comm_test(c, &l->op[l->n_done % N_BUFFERS], &done, len) ==
          NDL_OK);
    return done;
}

static bool step_send(ndl_comm *c, lane *l, ndl_tag tag)
{
    bool moved = false;
    while (l->n_done < l->n_begun && finish_one(c, l, NULL)) {
        l->n_done++;
        moved = true;
    }
    while (l->n_begun < N_MESSAGES && l->n_begun - l->n_done < N_BUFFERS) {
        const int m = l->n_begun++, i = m % N_BUFFERS;
        for (size_t k = 0; k < bytes_of(m); k++)
            l->buf[i][k] = byte_of(c->rank, m, k);
        CHECK(ndl_comm_send_begin(c, &l->op[i], l->peer, tag, l->buf[i],
                                  bytes_of(m)) == NDL_OK);
        moved = true;
    }
    return moved;
}

static void check_message(const lane *l, int m, size_t len)
{
    CHECK(len == bytes_of(m));
    for (size_t k = 0; k < len; k++)
        if (l->buf[m % N_BUFFERS][k] != byte_of(l->peer, m, k))
            CHECK(!"the bytes that were sent");
}

static bool step_receive(ndl_comm *c, lane *l, ndl_tag tag)
{
    bool moved = false;
    size_t len = 0;
    while (l->n_done < l->n_begun && finish_one(c, l, &len)) {
        check_message(l, l->n_done++, len);
        moved = true;
    }
    while (l->n_begun < N_MESSAGES && l->n_begun - l->n_done < N_BUFFERS) {
        const int i = l->n_begun++ % N_BUFFERS;
        CHECK(ndl_comm_recv_begin(c, &l->op[i], l->peer, tag, l->buf[i],
                                  MAX_BYTES) == NDL_OK);
        moved = true;
    }
    return moved;
}

/* Forward with one tag and backward with another, both at once. */
static void ring_of_all_sizes_arrives_intact_and_in_order(ndl_comm *c)
{
    const int next = (c->rank + 1) % c->size;
    const int prev = (c->rank + c->size - 1) % c->size;
    lane out[2], in[2];
    lane_init(&out[0], next);
    lane_init(&in[0], prev);
    lane_init(&out[1], prev);
    lane_init(&in[1], next);
    for (bool is_over = false; !is_over;) {
        bool moved = false;
        is_over = true;
        for (int d = 0; d < 2; d++) {
            const ndl_tag tag = d ? NDL_TAG_TOKENS : NDL_TAG_BATCH;
            if (step_receive(c, &in[d], tag)) moved = true;
            if (step_send(c, &out[d], tag)) moved = true;
            is_over &= in[d].n_done == N_MESSAGES;
            is_over &= out[d].n_done == N_MESSAGES;
        }
        if (!moved) ndl_comm_wait(c, 1.0);
    }
    for (int d = 0; d < 2; d++) {
        lane_fini(&out[d]);
        lane_fini(&in[d]);
    }
}

static ndl_status finish(ndl_comm *c, ndl_comm_op *op, size_t *len)
{
    bool done = false;
    for (;;) {
        NDL_TRY(ndl_comm_test(c, op, &done, len));
        if (done) return NDL_OK;
        ndl_comm_wait(c, 0.1);
    }
}

/* From the last rank to rank 0; at one rank to itself. */
static void message_longer_than_the_buffer_is_eproto(ndl_comm *c, ndl_tag tag,
                                                     size_t bytes)
{
    const size_t cap = bytes / 2;
    ndl_comm_op in = { 0 }, out = { 0 };
    unsigned char *theirs = calloc(1, bytes), *mine = calloc(1, cap + 1);
    CHECK(theirs && mine);
    mine[cap] = 0x55;
    if (c->rank == 0)
        CHECK(ndl_comm_recv_begin(c, &in, c->size - 1, tag, mine, cap) ==
              NDL_OK);
    if (c->rank == c->size - 1)
        CHECK(ndl_comm_send_begin(c, &out, 0, tag, theirs, bytes) == NDL_OK);
    if (c->rank == 0) {
        CHECK(finish(c, &in, NULL) == NDL_EPROTO);
        CHECK(!in.is_active && mine[cap] == 0x55);
        CHECK(ndl_status_message()[0] != '\0');
        ndl_status_clear();
    }
    CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    ndl_comm_cancel(c, &out);
    free(theirs);
    free(mine);
}

static void message_beyond_int_max_is_refused(ndl_comm *c)
{
    ndl_comm_op op = { 0 };
    char byte = 0;
    CHECK(ndl_comm_send_begin(c, &op, 0, NDL_TAG_BATCH, &byte,
                              (size_t)1 << 31) == NDL_EPROTO);
    CHECK(!op.is_active);
    ndl_status_clear();
}

static void inactive_operation_is_never_done(ndl_comm *c)
{
    ndl_comm_op op = { 0 };
    bool done = true;
    CHECK(ndl_comm_test(c, &op, &done, NULL) == NDL_OK);
    CHECK(!done);
    ndl_comm_cancel(c, &op);
}

/* A cancelled receive takes nothing: the next one gets the first message. */
static void cancelled_receive_leaves_the_message_to_the_next(ndl_comm *c)
{
    ndl_comm_op given_up = { 0 }, in = { 0 }, out = { 0 };
    int old = -1, got = -1;
    const int mine = 42 + c->rank, prev = (c->rank + c->size - 1) % c->size;
    CHECK(ndl_comm_recv_begin(c, &given_up, prev, NDL_TAG_ORDER, &old,
                              sizeof old) == NDL_OK);
    ndl_comm_cancel(c, &given_up);
    CHECK(!given_up.is_active);
    CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    CHECK(ndl_comm_recv_begin(c, &in, prev, NDL_TAG_ORDER, &got, sizeof got) ==
          NDL_OK);
    CHECK(ndl_comm_send_begin(c, &out, (c->rank + 1) % c->size, NDL_TAG_ORDER,
                              &mine, sizeof mine) == NDL_OK);
    CHECK(finish(c, &in, NULL) == NDL_OK);
    CHECK(finish(c, &out, NULL) == NDL_OK);
    CHECK(got == 42 + prev && old == -1);
}

/* A stage computes its next batch while the last one leaves: the pool's hook
 * tests now and then, and nothing waits.  The time is what a machine may take
 * that has much else to do; without progress no time would do. */
static void send_while_computing(ndl_comm *c, const void *buf, size_t bytes)
{
    const double most_sec = 15.0, slice_sec = 200e-6;
    ndl_comm_op op = { 0 };
    const double end = ndl_clock_sec() + most_sec;
    bool done = false;
    CHECK(ndl_comm_send_begin(c, &op, 0, NDL_TAG_BATCH, buf, bytes) == NDL_OK);
    while (!done && ndl_clock_sec() < end) {
        const double slice_end = ndl_clock_sec() + slice_sec;
        while (ndl_clock_sec() < slice_end) continue;
        CHECK(ndl_comm_test(c, &op, &done, NULL) == NDL_OK);
    }
    CHECK(done);
}

static void long_message_arrives_while_its_sender_computes(ndl_comm *c)
{
    enum { BYTES = 4 << 20 };
    unsigned char *buf = calloc(1, BYTES);
    const int last = c->size - 1;
    CHECK(buf != NULL);
    CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    if (c->size > 1 && c->rank == last) send_while_computing(c, buf, BYTES);
    if (c->size > 1 && c->rank == 0) {
        ndl_comm_op in = { 0 };
        size_t len = 0;
        CHECK(ndl_comm_recv_begin(c, &in, last, NDL_TAG_BATCH, buf, BYTES) ==
              NDL_OK);
        CHECK(finish(c, &in, &len) == NDL_OK);
        CHECK(len == BYTES);
    }
    CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    free(buf);
}

/* Rank 0 looks for the answer alone: its question must go on meanwhile. */
static void question_goes_on_while_the_answer_is_awaited(ndl_comm *c)
{
    ndl_comm_op in = { 0 }, out = { 0 };
    unsigned char *mine = calloc(1, MAX_BYTES), *theirs = calloc(1, MAX_BYTES);
    const int last = c->size - 1;
    CHECK(mine && theirs);
    if (last > 0 && (c->rank == 0 || c->rank == last)) {
        const int peer = last - c->rank;
        CHECK(ndl_comm_recv_begin(c, &in, peer, NDL_TAG_PROBE, theirs,
                                  MAX_BYTES) == NDL_OK);
        if (c->rank == last) CHECK(finish(c, &in, NULL) == NDL_OK);
        CHECK(ndl_comm_send_begin(c, &out, peer, NDL_TAG_PROBE, mine,
                                  MAX_BYTES) == NDL_OK);
        if (c->rank == 0) CHECK(finish(c, &in, NULL) == NDL_OK);
        CHECK(finish(c, &out, NULL) == NDL_OK);
    }
    CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    free(mine);
    free(theirs);
}

/* What an aborted run leaves behind must not hang its end. */
static void close_with_receives_cancelled_and_a_send_untaken(ndl_comm **c)
{
    static unsigned char big[MAX_BYTES]; /* MPI may read it for ever */
    ndl_comm_op in = { 0 }, out = { 0 };
    const int next = ((*c)->rank + 1) % (*c)->size;
    int order = 0;
    CHECK(ndl_comm_recv_begin(*c, &in, 0, NDL_TAG_ORDER, &order,
                              sizeof order) == NDL_OK);
    CHECK(ndl_comm_send_begin(*c, &out, next, NDL_TAG_BATCH, big, sizeof big) ==
          NDL_OK);
    ndl_comm_cancel(*c, &in);
    ndl_comm_cancel(*c, &out);
    ndl_comm_close(c);
}

int main(int argc, char **argv)
{
    ndl_comm *c = NULL;
    mpi_check_init(&argc, &argv);
    CHECK(ndl_comm_open_mpi(&c) == NDL_OK);
    ring_of_all_sizes_arrives_intact_and_in_order(c);
    for (int i = 0; i < 2; i++) {
        const ndl_tag tag = i ? NDL_TAG_REPORT : NDL_TAG_BATCH;
        message_longer_than_the_buffer_is_eproto(c, tag, 64);
        message_longer_than_the_buffer_is_eproto(c, tag, 100000);
        message_longer_than_the_buffer_is_eproto(c, tag, MAX_BYTES);
    }
    message_beyond_int_max_is_refused(c);
    inactive_operation_is_never_done(c);
    cancelled_receive_leaves_the_message_to_the_next(c);
    ring_of_all_sizes_arrives_intact_and_in_order(c);
    long_message_arrives_while_its_sender_computes(c);
    question_goes_on_while_the_answer_is_awaited(c);
    close_with_receives_cancelled_and_a_send_untaken(&c);
    MPI_Finalize();
    return 0;
}
