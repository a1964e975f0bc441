/*
 * survey.c - see survey.h.
 *
 * Every rank reads what it is made of; rank 0 divides the processors among all
 * ranks of a node, as a run would if all of them hosted stages; then all
 * measure the same at the same time, because that is what a run will ask of
 * them.
 */
#include "noodle/survey.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "noodle/hardware.h"
#include "noodle/probe.h"

/* Between two things to do threads spin this long: waking one takes as long,
 * and each try of the machine is 1 ms. */
static const double spin_sec = 50e-6;

/* What rank 0 gives a rank to measure with. */
typedef struct share {
    int32_t n_threads;
    int32_t is_crowded; /* more threads than processors: nobody spins */
    uint64_t memory_bytes;
} share;

/* What a rank needs for its part. */
typedef struct part {
    ndl_comm *comm;
    ndl_survey_rank mine;
    ndl_hardware hardware;
    ndl_hardware *all; /* (size) on rank 0 */
    share *shares;     /* (size)           */
    ndl_link *row;     /* (size)           */
    bool *hosts;       /* (size)           */
    int *threads;      /* (size)           */
} part;

static ndl_status part_init(part *p, ndl_comm *comm)
{
    const size_t n = (size_t)comm->size;
    *p = (part){ .comm = comm };
    p->all = calloc(n, sizeof *p->all);
    p->shares = calloc(n, sizeof *p->shares);
    p->row = calloc(n, sizeof *p->row);
    p->hosts = calloc(n, sizeof *p->hosts);
    p->threads = calloc(n, sizeof *p->threads);
    if (!p->all || !p->shares || !p->row || !p->hosts || !p->threads)
        return NDL_FAIL(NDL_EOS, "hardware: out of memory");
    NDL_TRY(ndl_hardware_read(&p->hardware));
    NDL_TRY(ndl_topology_read(&p->mine.topology));
    p->hardware.node = comm->node;
    p->mine.rank = comm->rank;
    p->mine.node = comm->node;
    p->mine.free_bytes = p->hardware.free_bytes;
    memcpy(p->mine.host, p->hardware.host, sizeof p->mine.host);
    p->mine.host[sizeof p->mine.host - 1] = '\0';
    return NDL_OK;
}

static void part_fini(part *p)
{
    free(p->all);
    free(p->shares);
    free(p->row);
    free(p->hosts);
    free(p->threads);
}

/* At most an eighth of the node's free memory for all of its ranks. */
static ndl_status divide(part *p)
{
    const int n = p->comm->size;
    NDL_TRY(ndl_comm_gather(p->comm, &p->hardware, sizeof p->hardware, p->all));
    if (p->comm->rank == 0) {
        memset(p->hosts, true, (size_t)n * sizeof *p->hosts);
        const bool crowded =
            ndl_hardware_threads(p->all, n, p->hosts, p->threads);
        for (int r = 0; r < n; r++)
            p->shares[r] =
                (share){ .n_threads = p->threads[r],
                         .is_crowded = crowded,
                         .memory_bytes =
                             ndl_hardware_share(p->all, n, p->hosts, r) / 8 };
    }
    return ndl_comm_bcast(p->comm, p->shares, (size_t)n * sizeof *p->shares);
}

static ndl_status meet(void *arg, ndl_status mine)
{
    const part *p = arg;
    return ndl_comm_agree(p->comm, mine);
}

static ndl_status measure(part *p)
{
    const share *s = &p->shares[p->comm->rank];
    const ndl_pool_config config = { .n_threads = s->n_threads,
                                     .spin_sec = s->is_crowded ? 0.0 : spin_sec,
                                     .thread_init = ndl_fp_setup };
    ndl_machine_setup setup = { .memory_bytes = s->memory_bytes,
                                .meet = meet,
                                .meet_arg = p };
    ndl_machine_count_caches(&setup, &p->mine.topology, s->n_threads);
    p->mine.n_threads = s->n_threads;
    p->mine.crowded = s->is_crowded;
    ndl_status st =
        ndl_comm_agree(p->comm, ndl_pool_create(&setup.pool, &config));
    if (st == NDL_OK) st = ndl_machine_measure(&p->mine.machine, &setup);
    ndl_pool_destroy(&setup.pool);
    return st;
}

/* What lead and followers do alike; `s` on rank 0 only. */
static ndl_status take_part(ndl_comm *comm, ndl_survey *s)
{
    part p;
    ndl_status st = part_init(&p, comm);
    if (st == NDL_OK && comm->rank == 0 && !(s->ranks && s->links))
        st = NDL_FAIL(NDL_EOS, "hardware: out of memory for %d ranks",
                      comm->size);
    NDL_TRY_GOTO(done, st, ndl_comm_agree(comm, st));
    NDL_TRY_GOTO(done, st, divide(&p));
    NDL_TRY_GOTO(done, st, measure(&p));
    NDL_TRY_GOTO(done, st, ndl_probe_links(comm, p.row));
    NDL_TRY_GOTO(
        done, st,
        ndl_comm_gather(comm, &p.mine, sizeof p.mine, s ? s->ranks : NULL));
    st = ndl_comm_gather(comm, p.row, (size_t)comm->size * sizeof *p.row,
                         s ? s->links : NULL);
done:
    part_fini(&p);
    return st;
}

ndl_status ndl_survey_lead(ndl_comm *comm, ndl_survey *out)
{
    const size_t n = (size_t)comm->size;
    ndl_wire_job job = { .magic = NDL_WIRE_MAGIC, .kind = NDL_JOB_HARDWARE };
    ndl_survey s = { .n_ranks = comm->size,
                     .ranks = calloc(n, sizeof *s.ranks),
                     .links = calloc(n * n, sizeof *s.links) };
    ndl_status st = ndl_comm_bcast(comm, &job, sizeof job);
    if (st == NDL_OK) st = take_part(comm, &s);
    if (st == NDL_OK)
        *out = s;
    else
        ndl_survey_fini(&s);
    return st;
}

void ndl_survey_fini(ndl_survey *s)
{
    free(s->ranks);
    free(s->links);
    *s = (ndl_survey){ .n_ranks = 0 };
}

ndl_status ndl_survey_follow(ndl_comm *comm)
{
    return take_part(comm, NULL);
}
