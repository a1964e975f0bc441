/*
 * comm_setup.c - the collectives of the setup phase.
 *
 * Other ranks wait here while rank 0 reads files for seconds or minutes, so
 * every one is the non-blocking form and a loop of tests and sleeps.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "comm_mpi.h"
#include "noodle/clock.h"

/* What the lowest failing rank tells all. */
typedef struct verdict {
    int32_t status;
    char host[MPI_MAX_PROCESSOR_NAME];
    char message[NDL_STATUS_MESSAGE_MAX];
} verdict;

ndl_status ndl_comm_mpi_finish(MPI_Request *request, const char *call)
{
    /* Each sleep is an eighth of the time already waited. */
    const double shortest_sec = 50e-6, longest_sec = 5e-3;
    const double start_sec = ndl_clock_sec();
    for (;;) {
        int flag = 0;
        const int rc = MPI_Test(request, &flag, MPI_STATUS_IGNORE);
        if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail(call, rc);
        if (flag) return NDL_OK;
        double sec = (ndl_clock_sec() - start_sec) / 8.0;
        if (sec < shortest_sec) sec = shortest_sec;
        if (sec > longest_sec) sec = longest_sec;
        ndl_clock_sleep(sec);
    }
}

static ndl_status lowest_failing_rank(ndl_comm_mpi *m, ndl_status mine,
                                      int *lowest)
{
    const int vote = mine == NDL_OK ? m->base.size : m->base.rank;
    MPI_Request request;
    int result = 0;
    const int rc =
        MPI_Iallreduce(&vote, &result, 1, MPI_INT, MPI_MIN, m->all, &request);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Iallreduce", rc);
    NDL_TRY(ndl_comm_mpi_finish(&request, "MPI_Iallreduce"));
    *lowest = result;
    return NDL_OK;
}

static ndl_status bcast_from(ndl_comm_mpi *m, int root, void *buf, int len)
{
    MPI_Request request;
    const int rc = MPI_Ibcast(buf, len, MPI_BYTE, root, m->all, &request);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Ibcast", rc);
    return ndl_comm_mpi_finish(&request, "MPI_Ibcast");
}

static void describe(verdict *v, ndl_status mine)
{
    const char *message = ndl_status_message();
    int n = 0;
    memset(v, 0, sizeof *v);
    v->status = mine;
    MPI_Get_processor_name(v->host, &n);
    snprintf(v->message, sizeof v->message, "%s",
             message[0] ? message : ndl_status_text(mine));
}

ndl_status ndl_comm_agree(ndl_comm *c, ndl_status mine)
{
    ndl_comm_mpi *m = ndl_comm_mpi_under(c);
    verdict v = { 0 };
    int lowest = 0;
    NDL_TRY(lowest_failing_rank(m, mine, &lowest));
    if (lowest == c->size) return NDL_OK;

    if (lowest == c->rank) describe(&v, mine);
    NDL_TRY(bcast_from(m, lowest, &v, (int)sizeof v));
    ndl_status_clear();
    if (c->rank != 0) return v.status;
    if (lowest == 0) return NDL_FAIL(v.status, "%s", v.message);
    return NDL_FAIL(v.status, "rank %d on %s: %s", lowest, v.host, v.message);
}

ndl_status ndl_comm_bcast(ndl_comm *c, void *buf, size_t len)
{
    const size_t piece_bytes = (size_t)1 << 30; /* counts are int */
    unsigned char *at = buf;
    while (len > 0) {
        const size_t n = len < piece_bytes ? len : piece_bytes;
        NDL_TRY(bcast_from(ndl_comm_mpi_under(c), 0, at, (int)n));
        at += n;
        len -= n;
    }
    return NDL_OK;
}

ndl_status ndl_comm_gather(ndl_comm *c, const void *mine, size_t len, void *all)
{
    MPI_Request request;
    if (len == 0) return NDL_OK;
    if (len > INT_MAX)
        return NDL_FAIL(NDL_EPROTO, "gather of %zu bytes: at most %d", len,
                        INT_MAX);
    const int rc =
        MPI_Igather(mine, (int)len, MPI_BYTE, all, (int)len, MPI_BYTE, 0,
                    ndl_comm_mpi_under(c)->all, &request);
    if (rc != MPI_SUCCESS) return ndl_comm_mpi_fail("MPI_Igather", rc);
    return ndl_comm_mpi_finish(&request, "MPI_Igather");
}
