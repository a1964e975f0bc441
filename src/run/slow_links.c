/* slow_links.c - see slow_links.h. */
#include "noodle/slow_links.h"

#include <stdlib.h>

#include "noodle/wire_setup.h"

/* More than any pair of ranks that somebody would write down. */
enum { MOST_LINKS = 1 << 16 };

ndl_status ndl_slow_links_lead(ndl_comm *comm, const ndl_comm_link *links,
                               int n, ndl_comm **out)
{
    ndl_wire_job job = { .magic = NDL_WIRE_MAGIC, .kind = NDL_JOB_LINKS };
    int32_t count = n;
    ndl_comm *slow = NULL;
    NDL_TRY(ndl_comm_bcast(comm, &job, sizeof job));
    NDL_TRY(ndl_comm_bcast(comm, &count, sizeof count));
    NDL_TRY(ndl_comm_agree(comm, NDL_OK));
    /* What is sent is not changed. */
    NDL_TRY(ndl_comm_bcast(comm, (void *)links, (size_t)n * sizeof *links));
    const ndl_status st =
        ndl_comm_agree(comm, ndl_comm_slow_open(&slow, comm, links, n));
    if (st == NDL_OK)
        *out = slow;
    else
        ndl_comm_close(&slow);
    return st;
}

static ndl_status take_count(ndl_comm *comm, ndl_comm_link **links, int32_t *n)
{
    NDL_TRY(ndl_comm_bcast(comm, n, sizeof *n));
    if (*n <= 0 || *n > MOST_LINKS)
        return NDL_FAIL(NDL_EPROTO, "%d slow links: give fewer", (int)*n);
    *links = malloc((size_t)*n * sizeof **links);
    return *links ? NDL_OK
                  : NDL_FAIL(NDL_EUNAVAIL, "slow links: out of memory");
}

static ndl_status open_slow(ndl_comm *comm, ndl_comm_link *links, int n,
                            ndl_comm **slow)
{
    ndl_comm *made = NULL;
    NDL_TRY(ndl_comm_bcast(comm, links, (size_t)n * sizeof *links));
    const ndl_status st =
        ndl_comm_agree(comm, ndl_comm_slow_open(&made, comm, links, n));
    if (st == NDL_OK)
        *slow = made;
    else
        ndl_comm_close(&made);
    return st;
}

ndl_status ndl_slow_links_follow(ndl_comm *comm, ndl_comm **slow)
{
    ndl_comm_link *links = NULL;
    int32_t n = 0;
    ndl_comm_close(slow);
    ndl_status st = ndl_comm_agree(comm, take_count(comm, &links, &n));
    if (st == NDL_OK) st = open_slow(comm, links, n, slow);
    free(links);
    return st;
}
