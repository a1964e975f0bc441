/* mpi_slow.c - slow links over MPI: announced, agreed on, and late. */
#include <string.h>

#include "mpi_check.h"
#include "noodle/clock.h"
#include "noodle/slow_links.h"
#include "noodle/wire_setup.h"

static const double delay_sec = 0.03;

/* Over `c`, from rank 0 to the last: how long it takes. */
static double one_way_sec(ndl_comm *c)
{
    ndl_comm_op op = { 0 };
    double sent = 0.0;
    if (c->rank == 0) {
        sent = ndl_clock_sec();
        CHECK(ndl_comm_send_begin(c, &op, c->size - 1, NDL_TAG_BATCH, &sent,
                                  sizeof sent) == NDL_OK);
        mpi_check_finish(c, &op);
    } else if (c->rank == c->size - 1) {
        CHECK(ndl_comm_recv_begin(c, &op, 0, NDL_TAG_BATCH, &sent,
                                  sizeof sent) == NDL_OK);
        mpi_check_finish(c, &op);
        sent = ndl_clock_sec() - sent;
    }
    return c->rank == c->size - 1 ? sent : 0.0;
}

static ndl_comm *open_slow(ndl_comm *c, const ndl_comm_link *links, int n,
                           ndl_status want)
{
    ndl_comm *slow = NULL;
    ndl_wire_job job;
    ndl_status st;
    if (c->rank == 0) {
        st = ndl_slow_links_lead(c, links, n, &slow);
    } else {
        CHECK(ndl_comm_bcast(c, &job, sizeof job) == NDL_OK);
        CHECK(job.magic == NDL_WIRE_MAGIC && job.kind == NDL_JOB_LINKS);
        st = ndl_slow_links_follow(c, &slow);
    }
    CHECK(st == want);
    CHECK((slow != NULL) == (want == NDL_OK));
    ndl_status_clear();
    return slow;
}

static void messages_are_late_on_links_that_are_slow(ndl_comm *c)
{
    const ndl_comm_link there = { 0, -1, delay_sec, 0.0 };
    const ndl_comm_link back = { -1, 0, delay_sec, 0.0 };
    ndl_comm *slow = open_slow(c, &there, 1, NDL_OK);
    double sec = one_way_sec(slow);
    if (c->rank == c->size - 1 && c->size > 1) {
        printf("a link of %.0f ms: %.3f ms\n", 1e3 * delay_sec, 1e3 * sec);
        CHECK(sec >= delay_sec && sec < delay_sec + 1.0);
    }
    ndl_comm_close(&slow);
    slow = open_slow(c, &back, 1, NDL_OK);
    sec = one_way_sec(slow);
    if (c->size > 1) CHECK(sec < delay_sec || c->rank != c->size - 1);
    ndl_comm_close(&slow);
}

static void collectives_work_as_before(ndl_comm *c)
{
    const ndl_comm_link all = { -1, -1, delay_sec, 1e6 };
    ndl_comm *slow = open_slow(c, &all, 1, NDL_OK);
    int ranks[64] = { 0 }, word = c->rank == 0 ? 17 : 0;
    CHECK(slow->rank == c->rank && slow->size == c->size);
    CHECK(slow->node == c->node);
    CHECK(ndl_comm_gather(slow, &c->rank, sizeof c->rank, ranks) == NDL_OK);
    for (int r = 0; c->rank == 0 && r < c->size; r++) CHECK(ranks[r] == r);
    CHECK(ndl_comm_bcast(slow, &word, sizeof word) == NDL_OK);
    CHECK(word == 17);
    CHECK(ndl_comm_agree(slow, c->rank == c->size - 1 ? NDL_EIO : NDL_OK) ==
          NDL_EIO);
    ndl_status_clear();
    ndl_comm_set_spin(slow, 0.0);
    ndl_comm_close(&slow);
}

static void links_that_cannot_be_are_refused_by_all(ndl_comm *c)
{
    const ndl_comm_link bad = { 0, 0, -1.0, 0.0 };
    CHECK(open_slow(c, &bad, 1, NDL_EPROTO) == NULL);
}

int main(int argc, char **argv)
{
    ndl_comm *c = NULL;
    mpi_check_init(&argc, &argv);
    CHECK(ndl_comm_open_mpi(&c) == NDL_OK);
    messages_are_late_on_links_that_are_slow(c);
    collectives_work_as_before(c);
    links_that_cannot_be_are_refused_by_all(c);
    ndl_comm_close(&c);
    MPI_Finalize();
    return 0;
}
