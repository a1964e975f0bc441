/* mpi_wait.c - what waiting costs, and how fast it ends. */
#include <stdlib.h>

#include "mpi_check.h"
#include "noodle/clock.h"
#include "noodle/comm.h"

static void receive(ndl_comm *c, int from, void *buf, size_t len)
{
    ndl_comm_op op = { 0 };
    CHECK(ndl_comm_recv_begin(c, &op, from, NDL_TAG_BATCH, buf, len) == NDL_OK);
    mpi_check_finish(c, &op);
}

static void send(ndl_comm *c, int to, const void *buf, size_t len)
{
    ndl_comm_op op = { 0 };
    CHECK(ndl_comm_send_begin(c, &op, to, NDL_TAG_BATCH, buf, len) == NDL_OK);
    mpi_check_finish(c, &op);
}

/* On one node the bell tells; between nodes a waiting rank has to look. */
static double allowed_share = 0.02;

static void find_allowed_share(ndl_comm *c)
{
    int last_node = 0;
    MPI_Allreduce(&c->node, &last_node, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (last_node > 0) allowed_share = 0.06;
}

static void check_share(ndl_comm *c, const char *what, double wall, double cpu)
{
    const double share = (ndl_clock_cpu_sec() - cpu) / (ndl_clock_sec() - wall);
    if (c->rank == c->size - 1)
        printf("%s: %.2f %% of a core\n", what, 100.0 * share);
    CHECK(share < allowed_share);
}

static void waiting_2_sec_for_rank_0_uses_no_processor(ndl_comm *c)
{
    int word = 7;
    const double wall = ndl_clock_sec(), cpu = ndl_clock_cpu_sec();
    if (c->rank == 0) {
        ndl_clock_sleep(2.0);
        for (int r = 1; r < c->size; r++) send(c, r, &word, sizeof word);
        return;
    }
    word = 0;
    receive(c, 0, &word, sizeof word);
    CHECK(word == 7);
    check_share(c, "waiting for a message", wall, cpu);
}

/* The receiver posts its receive two seconds late: a stage whose successor's
 * buffers are full.  Too long for a belt, or there would be no wait. */
static void waiting_2_sec_to_be_rid_of_a_message_uses_no_processor(ndl_comm *c)
{
    enum { BYTES = 3 << 20 };
    unsigned char *buf = calloc(1, BYTES);
    CHECK(buf);
    const double wall = ndl_clock_sec(), cpu = ndl_clock_cpu_sec();
    if (c->rank == 0) {
        ndl_clock_sleep(2.0);
        for (int r = 1; r < c->size; r++) receive(c, r, buf, BYTES);
    } else {
        send(c, 0, buf, BYTES);
        check_share(c, "waiting for a receiver", wall, cpu);
    }
    free(buf);
}

static void wait_ends_after_max_sec_at_the_latest(ndl_comm *c)
{
    const double start = ndl_clock_sec();
    int n = 0;
    while (ndl_clock_sec() < start + 0.1 && n < 100000) {
        ndl_comm_wait(c, 0.004);
        n++;
    }
    /* It returned, and it did sleep: far from 100000 rounds. */
    CHECK(ndl_clock_sec() < start + 5.0);
    CHECK(n < 3000);
}

static void wait_of_0_sec_returns(ndl_comm *c)
{
    for (int i = 0; i < 1000; i++) ndl_comm_wait(c, 0.0);
    ndl_comm_wait(c, -1.0);
}

/* Pairs (0,1), (2,3): half of the round trip, smallest of all. */
static double ping_pong_sec(ndl_comm *c, int n, size_t bytes, double pause_sec)
{
    unsigned char *buf = calloc(1, bytes);
    double best = 1e9;
    const int peer = c->rank ^ 1;
    CHECK(buf);
    for (int i = 0; peer < c->size && i < n; i++) {
        if (c->rank & 1) {
            receive(c, peer, buf, bytes);
            send(c, peer, buf, bytes);
            continue;
        }
        ndl_clock_sleep(pause_sec);
        const double start = ndl_clock_sec();
        send(c, peer, buf, bytes);
        receive(c, peer, buf, bytes);
        const double sec = (ndl_clock_sec() - start) / 2.0;
        if (sec < best) best = sec;
    }
    free(buf);
    return best;
}

static void message_wakes_a_sleeper(ndl_comm *c)
{
    static const struct {
        const char *name;
        double spin_sec, pause_sec;
    } cases[] = { { "spinning", 50e-6, 0.0 },
                  { "asleep", 0.0, 0.0 },
                  { "after 5 ms", 50e-6, 5e-3 } };
    for (int i = 0; i < 3; i++) {
        ndl_comm_set_spin(c, cases[i].spin_sec);
        const int n = cases[i].pause_sec > 0.0 ? 40 : 300;
        const double sec = ping_pong_sec(c, n, 64, cases[i].pause_sec);
        if (c->rank != 0 || c->size == 1) continue;
        printf("64 bytes one way, %s: %.1f us\n", cases[i].name, 1e6 * sec);
        CHECK(sec < 0.02);
    }
}

/* One that got lost would be found by the safety net, 10 ms later; so many
 * rounds within the time show that few or none do. */
static void no_wake_up_is_lost(ndl_comm *c)
{
    enum { ROUNDS = 3000 };
    const int next = (c->rank + 1) % c->size;
    const int prev = (c->rank + c->size - 1) % c->size;
    int word = 0;
    ndl_comm_set_spin(c, 0.0);
    const double start = ndl_clock_sec();
    for (int i = 0; i < ROUNDS; i++) {
        if (c->rank == 0) send(c, next, &i, sizeof i);
        if (c->size > 1 || c->rank != 0) receive(c, prev, &word, sizeof word);
        if (c->size == 1) break;
        CHECK(word == i);
        if (c->rank != 0) send(c, next, &i, sizeof i);
    }
    const double sec = ndl_clock_sec() - start;
    if (c->rank == 0) printf("%d laps asleep: %.3f s\n", ROUNDS, sec);
    CHECK(sec < 0.5 * ROUNDS * 10e-3);
}

int main(int argc, char **argv)
{
    ndl_comm *c = NULL;
    mpi_check_init(&argc, &argv);
    CHECK(ndl_comm_open_mpi(&c) == NDL_OK);
    find_allowed_share(c);
    wait_of_0_sec_returns(c);
    wait_ends_after_max_sec_at_the_latest(c);
    if (c->size > 1) {
        waiting_2_sec_for_rank_0_uses_no_processor(c);
        waiting_2_sec_to_be_rid_of_a_message_uses_no_processor(c);
        message_wakes_a_sleeper(c);
        no_wake_up_is_lost(c);
    }
    ndl_comm_close(&c);
    MPI_Finalize();
    return 0;
}
