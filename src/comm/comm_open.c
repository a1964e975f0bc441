/*
 * comm_open.c - bringing the ranks together, and letting them go.
 *
 * A duplicate of the world communicator, so that no other traffic meets ours,
 * with errors returned.  The ranks of a node find each other with
 * MPI_Comm_split_type and share one window of bells; nothing else is in it,
 * and it is used with plain C11 atomics, so no epoch is ever opened.  Belts
 * have a mapping of their own (comm_belts.c).
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "comm_mpi.h"
#include "comm_name.h"
#include "noodle/log.h"

static void release(ndl_comm_mpi *m)
{
    if (m->window != MPI_WIN_NULL) MPI_Win_free(&m->window);
    if (m->local != MPI_COMM_NULL) MPI_Comm_free(&m->local);
    if (m->all != MPI_COMM_NULL) MPI_Comm_free(&m->all);
    if (m->belts) munmap(m->belts, m->belts_bytes);
    free(m->bell);
    free(m->lane);
    free(m);
}

void ndl_comm_mpi_close(ndl_comm *c)
{
    ndl_comm_mpi *m = ndl_comm_mpi_of(c);
    MPI_Request request;
    /* Freeing a window waits for all, and uses the processor; so meet first,
     * asleep. */
    if (MPI_Ibarrier(m->all, &request) == MPI_SUCCESS)
        (void)ndl_comm_mpi_finish(&request, "MPI_Ibarrier");
    release(m);
}

/* The window begins with the first rank's memory, of which it has enough for
 * all; aligned by hand, because MPI promises no alignment.  All processes
 * map it at the same place in a page. */
static ndl_bell *open_bells(ndl_comm_mpi *m, int n_local, int local_rank)
{
    const MPI_Aint bytes =
        local_rank == 0 ? (MPI_Aint)(n_local + 1) * NDL_BELL_SPACING : 0;
    void *base = NULL;
    MPI_Aint size = 0;
    int unit = 0;
    if (MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, m->local, &base,
                                &m->window) != MPI_SUCCESS)
        return NULL;
    if (MPI_Win_shared_query(m->window, 0, &size, &unit, &base) != MPI_SUCCESS)
        return NULL;
    const uintptr_t at = (uintptr_t)base + NDL_BELL_SPACING - 1;
    return (ndl_bell *)(at - at % NDL_BELL_SPACING);
}

/* Where shared memory is refused the bells stay NULL, on all ranks of the node
 * alike, and it is waited for them as for ranks of other nodes. */
static ndl_status hang_up_bells(ndl_comm_mpi *m, const int *node_of)
{
    int n_local = 0, local_rank = 0, all_have = 0;
    MPI_Comm_size(m->local, &n_local);
    MPI_Comm_rank(m->local, &local_rank);
    ndl_bell *bells = open_bells(m, n_local, local_rank);
    int have = bells != NULL;
    if (have) ndl_bell_init(&bells[local_rank]);
    /* Also the barrier between making the bells and ringing them. */
    const int rc =
        MPI_Allreduce(&have, &all_have, 1, MPI_INT, MPI_MIN, m->local);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Allreduce", rc);
    ndl_bell_init(&m->lonely);
    m->mine = &m->lonely;
    m->heard = 0;
    if (!all_have) {
        ndl_log(NDL_LOG_WARN, "comm",
                "no shared memory between the ranks of this node: "
                "messages come up to 1 ms late");
        return NDL_OK;
    }
    m->mine = &bells[local_rank];
    for (int r = 0; r < m->base.size; r++)
        if (node_of[r] == m->base.node) m->bell[r] = bells++;
    return NDL_OK;
}

/* A node is named after its lowest rank. */
static ndl_status find_nodes(ndl_comm_mpi *m)
{
    int rc = MPI_Comm_split_type(m->all, MPI_COMM_TYPE_SHARED, m->base.rank,
                                 MPI_INFO_NULL, &m->local);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Comm_split_type", rc);
    MPI_Comm_set_errhandler(m->local, MPI_ERRORS_RETURN);
    rc = MPI_Allreduce(&m->base.rank, &m->base.node, 1, MPI_INT, MPI_MIN,
                       m->local);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Allreduce", rc);
    return NDL_OK;
}

static ndl_status connect_ranks(ndl_comm_mpi *m)
{
    int *node_of = calloc((size_t)m->base.size, sizeof *node_of);
    ndl_status st = NDL_OK;
    if (!node_of) return NDL_FAIL(NDL_EUNAVAIL, "out of memory at start");
    NDL_TRY_GOTO(done, st, find_nodes(m));
    const int rc =
        MPI_Allgather(&m->base.node, 1, MPI_INT, node_of, 1, MPI_INT, m->all);
    if (rc != MPI_SUCCESS) {
        st = ndl_comm_mpi_fail("MPI_Allgather", rc);
        goto done;
    }
    NDL_TRY_GOTO(done, st, hang_up_bells(m, node_of));
    /* Without bells nobody would tell that a belt has something. */
    if (m->mine != &m->lonely) st = ndl_comm_mpi_open_belts(m, node_of);
done:
    free(node_of);
    return st;
}

/* Spinning on a node with more ranks than processors takes the processor away
 * from the rank that is waited for. */
static double default_spin_sec(ndl_comm_mpi *m)
{
    int n_local = 0;
    MPI_Comm_size(m->local, &n_local);
    return n_local <= sysconf(_SC_NPROCESSORS_ONLN) ? 50e-6 : 0.0;
}

static ndl_status create(ndl_comm_mpi **out)
{
    ndl_comm_mpi *m = calloc(1, sizeof *m);
    if (!m) return NDL_FAIL(NDL_EUNAVAIL, "out of memory at start");
    m->base.ops = &ndl_comm_mpi_ops;
    m->all = MPI_COMM_NULL;
    m->local = MPI_COMM_NULL;
    m->window = MPI_WIN_NULL;
    m->payoff = 1.0;
    ndl_rhythm_init(&m->rhythm);
    MPI_Comm_rank(MPI_COMM_WORLD, &m->base.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &m->base.size);
    m->bell = calloc((size_t)m->base.size, sizeof(ndl_bell *));
    m->lane = calloc((size_t)m->base.size, sizeof *m->lane);
    if (!m->bell || !m->lane) {
        release(m);
        return NDL_FAIL(NDL_EUNAVAIL, "out of memory at start");
    }
    *out = m;
    return NDL_OK;
}

static ndl_status check_threads(void)
{
    int level = 0;
    const int rc = MPI_Query_thread(&level);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Query_thread", rc);
    if (level < MPI_THREAD_FUNNELED)
        return NDL_FAIL(NDL_ECONFIG,
                        "%s has no support for threads: use a build that has",
                        ndl_comm_library());
    return NDL_OK;
}

ndl_status ndl_comm_open_mpi(ndl_comm **out)
{
    ndl_comm_mpi *m = NULL;
    ndl_status st = NDL_OK;
    NDL_TRY(check_threads());
    NDL_TRY(create(&m));
    int rc = MPI_Comm_dup(MPI_COMM_WORLD, &m->all);
    if (rc == MPI_SUCCESS)
        rc = MPI_Comm_set_errhandler(m->all, MPI_ERRORS_RETURN);
    if (rc != MPI_SUCCESS) {
        st = ndl_comm_mpi_fail("MPI_Comm_dup", rc);
        goto done;
    }
    NDL_TRY_GOTO(done, st, connect_ranks(m));
    m->spin_sec = default_spin_sec(m);
    /* Linux adds up to 50 us to a sleep of 50 us, to save power. */
    prctl(PR_SET_TIMERSLACK, 1000ul, 0ul, 0ul, 0ul);
    *out = &m->base;
    m = NULL;
done:
    if (m) release(m);
    return st;
}

const char *ndl_comm_library(void)
{
    static char name[128];
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int n = 0;
    MPI_Get_library_version(version, &n);
    ndl_comm_name_library(name, sizeof name, version);
    return name;
}
