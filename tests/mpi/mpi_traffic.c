/* mpi_traffic.c - all ranks to all, all tags, lengths and pauses at random:
 * each message arrives once, whole, and in its turn. */
#include <limits.h>
#include <string.h>

#include "chance.h"
#include "mpi_check.h"
#include "noodle/clock.h"
#include "noodle/comm.h"

enum {
    DEPTH = 2, /* operations of a lane at a time */
    MOST_RANKS = 5,
    N_TAGS = NDL_TAG_LAST - NDL_TAG_FIRST,
    LONGEST = 1300000
};

static uint64_t seed;
static int n_messages = 24; /* of a lane */

typedef struct lane {
    ndl_comm_op op[DEPTH];
    unsigned char *buf[DEPTH];
    int from, to, peer;
    ndl_tag tag;
    bool is_out;
    int message[DEPTH]; /* of each operation */
    int n_begun, n_done;
} lane;

/* Sender and receiver know the same of each message. */
static uint64_t bits_of(const lane *l, int message)
{
    random_state = seed + (uint64_t)message * 1000003u +
                   (uint64_t)(l->from * 64 + l->to) * 64u + (uint64_t)l->tag;
    (void)random_bits();
    return random_bits();
}

/* From nothing to what no belt takes; most are short. */
static size_t length_of(const lane *l, int message)
{
    const uint64_t bits = bits_of(l, message), more = bits >> 8;
    switch (bits % 16) {
    case 0: return 0;
    case 1: return (1 << 20) - 3 + more % 7;
    case 2: return LONGEST - more % 9;
    case 3: return 4 * 1024 - 3 + more % 7;
    case 4:
    case 5: return more % 200000;
    default: return more % 9000;
    }
}

static unsigned char byte_of(const lane *l, int m, size_t k)
{
    return (unsigned char)(l->from * 31 + l->to * 7 + (int)l->tag + m * 17 +
                           (int)(k * 5 + (k >> 12)));
}

static void check_one(const lane *l, int at, size_t len)
{
    const int m = l->message[at];
    CHECK(l->is_out || len == length_of(l, m));
    for (size_t k = 0; !l->is_out && k < len; k += 1 + len / 500)
        if (l->buf[at][k] != byte_of(l, m, k))
            CHECK(!"the bytes that were sent");
}

static void begin(ndl_comm *c, lane *l, int at)
{
    const int m = l->message[at] = l->n_begun++;
    const size_t n = l->is_out ? length_of(l, m) : LONGEST;
    l->buf[at] = malloc(n + 1);
    CHECK(l->buf[at]);
    for (size_t k = 0; l->is_out && k < n; k++)
        l->buf[at][k] = byte_of(l, m, k);
    CHECK((l->is_out ? ndl_comm_send_begin(c, &l->op[at], l->peer, l->tag,
                                           l->buf[at], n)
                     : ndl_comm_recv_begin(c, &l->op[at], l->peer, l->tag,
                                           l->buf[at], n)) == NDL_OK);
}

/* The younger operation may be tested first, as in a stage. */
static bool step_lane(ndl_comm *c, lane *l)
{
    bool moved = false;
    for (int at = 0; at < DEPTH; at++) {
        bool done = false;
        size_t len = 0;
        CHECK(ndl_comm_test(c, &l->op[at], &done, &len) == NDL_OK);
        if (done) {
            check_one(l, at, len);
            free(l->buf[at]);
            l->n_done++;
            moved = true;
        }
        if (l->op[at].is_active || l->n_begun == n_messages) continue;
        begin(c, l, at);
        moved = true;
    }
    return moved;
}

static void all_messages_arrive_in_their_turn(ndl_comm *c)
{
    static lane lanes[2 * MOST_RANKS * N_TAGS];
    const int n = c->size * N_TAGS;
    uint64_t pauses = seed + (uint64_t)c->rank;
    memset(lanes, 0, sizeof lanes);
    for (int i = 0; i < n; i++) {
        const int peer = i / N_TAGS;
        const ndl_tag tag = (ndl_tag)(NDL_TAG_FIRST + i % N_TAGS);
        lanes[i] = (lane){ .from = c->rank,
                           .to = peer,
                           .peer = peer,
                           .tag = tag,
                           .is_out = true };
        lanes[n + i] =
            (lane){ .from = peer, .to = c->rank, .peer = peer, .tag = tag };
    }
    for (bool is_over = false; !is_over;) {
        bool moved = false;
        is_over = true;
        for (int i = 0; i < 2 * n; i++) {
            if (step_lane(c, &lanes[i])) moved = true;
            is_over &= lanes[i].n_done == n_messages;
        }
        random_state = pauses;
        pauses = random_bits();
        if (pauses % 64 == 0) ndl_clock_sleep(1e-6 * (double)(pauses % 3000));
        if (!moved) ndl_comm_wait(c, 1.0);
    }
}

/* Rank 0 sends more than any belt holds before anybody takes anything; what
 * does not go is given up from the end, and the rest comes in order. */
static void sends_that_find_no_room_wait_or_are_given_up(ndl_comm *c)
{
    enum { N = 40, BYTES = 100000, GIVEN_UP = 5 };
    static unsigned char out[N][BYTES], in[BYTES]; /* MPI may go on reading */
    static ndl_comm_op op[N];
    const int last = c->size - 1;
    int n_over = 0;
    for (int i = 0; c->rank == 0 && i < N; i++) {
        bool done = false;
        memset(out[i], i + 1, BYTES);
        memset(&op[i], 0, sizeof op[i]);
        CHECK(ndl_comm_send_begin(c, &op[i], last, NDL_TAG_BATCH, out[i],
                                  BYTES) == NDL_OK);
        CHECK(ndl_comm_test(c, &op[i], &done, NULL) == NDL_OK);
        n_over += done;
    }
    CHECK(n_over < N);
    for (int i = N - GIVEN_UP; c->rank == 0 && i < N; i++)
        (void)ndl_comm_cancel(c, &op[i]);
    CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    if (c->rank == 0 && last > 0)
        for (int i = 0; i < N - GIVEN_UP; i++)
            if (op[i].is_active) mpi_check_finish(c, &op[i]);
    for (int i = 0; c->rank == last && i < N - GIVEN_UP; i++) {
        ndl_comm_op one = { 0 };
        CHECK(ndl_comm_recv_begin(c, &one, 0, NDL_TAG_BATCH, in, BYTES) ==
              NDL_OK);
        for (bool done = false; !done;) {
            CHECK(ndl_comm_test(c, &one, &done, NULL) == NDL_OK);
            for (int k = 0; last == 0 && k < N - GIVEN_UP; k++) {
                bool sent = false;
                CHECK(ndl_comm_test(c, &op[k], &sent, NULL) == NDL_OK);
            }
            if (!done) ndl_comm_wait(c, 1.0);
        }
        CHECK(in[0] == i + 1 && in[BYTES - 1] == i + 1);
    }
    CHECK(ndl_comm_agree(c, NDL_OK) == NDL_OK);
    if (c->rank == 0 && c->size > 1)
        printf("%d of %d sends of %d bytes over at once\n", n_over, N, BYTES);
}

int main(int argc, char **argv)
{
    ndl_comm *c = NULL;
    mpi_check_init(&argc, &argv);
    CHECK(ndl_comm_open_mpi(&c) == NDL_OK);
    CHECK(c->size <= MOST_RANKS);
    if (c->rank == 0) seed = chance_seed(1);
    CHECK(ndl_comm_bcast(c, &seed, sizeof seed) == NDL_OK);
    n_messages = CHANCE_CASES(n_messages) + 4;
    all_messages_arrive_in_their_turn(c);
    sends_that_find_no_room_wait_or_are_given_up(c);
    ndl_comm_close(&c);
    MPI_Finalize();
    return 0;
}
