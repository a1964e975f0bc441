/* mpi_survey.c - rank 0 learns what all ranks are made of, as often as it asks,
 * and an error of one rank is an error of all. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mpi_check.h"
#include "noodle/clock.h"
#include "noodle/hardware.h"
#include "noodle/survey.h"

static void check_rate(double v)
{
    CHECK(isfinite(v) && v > 1e6 && v < 1e15);
}

static void check_rank(const ndl_survey_rank *r, int rank)
{
    char host[NDL_WIRE_HOST] = "";
    CHECK(r->rank == rank);
    CHECK(r->node >= 0 && r->node <= rank);
    gethostname(host, sizeof host - 1);
    CHECK(strcmp(r->host, host) == 0);
    CHECK(r->n_threads >= 1);
    CHECK(r->n_threads <= r->topology.n_pus_allowed);
    CHECK(r->free_bytes > 0);
    CHECK(r->topology.n_pus == sysconf(_SC_NPROCESSORS_ONLN));
    CHECK(r->topology.memory_bytes >= r->free_bytes / 2);
    check_rate(r->machine.f32_flop);
    check_rate(r->machine.bf16_flop);
    check_rate(r->machine.int8_op);
    check_rate(r->machine.read_bytes);
    check_rate(r->machine.core_f32_flop);
    check_rate(r->machine.core_read_bytes);
}

static void check_threads(const ndl_survey *s)
{
    /* All ranks of a node together have no more threads than processors,
     * except for the one that each has at least. */
    for (int r = 0; r < s->n_ranks; r++) {
        int threads = 0, ranks = 0;
        for (int k = 0; k < s->n_ranks; k++) {
            if (s->ranks[k].node != s->ranks[r].node) continue;
            threads += s->ranks[k].n_threads;
            ranks++;
        }
        const int n_pus = s->ranks[r].topology.n_pus;
        CHECK(threads <= (n_pus > ranks ? n_pus : ranks));
    }
}

static void rank_0_learns_what_all_are_made_of(ndl_comm *c)
{
    ndl_survey s;
    const double start = ndl_clock_sec();
    CHECK(ndl_survey_lead(c, &s) == NDL_OK);
    const int n = c->size;
    CHECK(s.n_ranks == n);
    for (int r = 0; r < n; r++) check_rank(&s.ranks[r], r);
    check_threads(&s);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            const ndl_link *l = &s.links[i * n + k];
            CHECK(l->same_node == (s.ranks[i].node == s.ranks[k].node));
            if (i == k) continue;
            CHECK(isfinite(l->latency_sec) && l->latency_sec > 0.0);
            check_rate(l->bytes_per_sec);
        }
    printf("%d ranks in %.2f s: rank 0 with %d threads: %.1f, %.1f, %.1f GOP/s,"
           " %.1f GB/s\n",
           n, ndl_clock_sec() - start, s.ranks[0].n_threads,
           1e-9 * s.ranks[0].machine.f32_flop,
           1e-9 * s.ranks[0].machine.bf16_flop,
           1e-9 * s.ranks[0].machine.int8_op,
           1e-9 * s.ranks[0].machine.read_bytes);
    ndl_survey_fini(&s);
    CHECK(s.ranks == NULL && s.links == NULL && s.n_ranks == 0);
}

/* What session.c does between two jobs. */
static void follow(ndl_comm *c, ndl_status want)
{
    ndl_wire_job job;
    CHECK(ndl_comm_bcast(c, &job, sizeof job) == NDL_OK);
    CHECK(job.magic == NDL_WIRE_MAGIC && job.kind == NDL_JOB_HARDWARE);
    CHECK(ndl_survey_follow(c) == want);
}

static void an_error_of_one_rank_is_an_error_of_all(ndl_comm *c)
{
    const int last = c->size - 1;
    if (c->rank == last) {
        setenv("HWLOC_XMLFILE", "/nowhere/at/all.xml", 1);
        setenv("HWLOC_COMPONENTS", "xml,stop", 1);
        setenv("HWLOC_HIDE_ERRORS", "2", 1);
    }
    if (c->rank == 0) {
        ndl_survey s = { .n_ranks = 77 };
        char want[32];
        CHECK(ndl_survey_lead(c, &s) == NDL_EOS);
        CHECK(s.n_ranks == 77 && !s.ranks && !s.links);
        snprintf(want, sizeof want, "rank %d", last);
        if (last > 0) CHECK(strstr(ndl_status_message(), want));
        CHECK(strstr(ndl_status_message(), "hwloc"));
    } else {
        follow(c, NDL_EOS);
    }
    ndl_status_clear();
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_COMPONENTS");
}

int main(int argc, char **argv)
{
    ndl_comm *c = NULL;
    mpi_check_init(&argc, &argv);
    CHECK(ndl_comm_open_mpi(&c) == NDL_OK);
    for (int i = 0; i < 2; i++) {
        if (c->rank == 0)
            rank_0_learns_what_all_are_made_of(c);
        else
            follow(c, NDL_OK);
        if (i == 0) an_error_of_one_rank_is_an_error_of_all(c);
    }
    ndl_comm_close(&c);
    MPI_Finalize();
    return 0;
}
