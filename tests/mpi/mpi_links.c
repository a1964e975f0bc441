/* mpi_links.c - every link is measured, each rank in one pair at a time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/run/probe_links.h"
#include "mpi_check.h"
#include "noodle/clock.h"
#include "noodle/probe.h"

static void everybody_meets_everybody_once(void)
{
    for (int n = 1; n <= 33; n++) {
        int met[33][33] = { { 0 } };
        const int n_rounds = n % 2 ? n : n - 1;
        for (int round = 0; round < n_rounds; round++)
            for (int me = 0; me < n; me++) {
                const int other = ndl_probe_links_partner(n, round, me);
                CHECK(other >= -1 && other < n && other != me);
                if (other < 0) continue;
                CHECK(ndl_probe_links_partner(n, round, other) == me);
                met[me][other]++;
            }
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n; k++) CHECK(met[i][k] == (i != k));
    }
}

/* From a nanosecond to a second, from a megabyte a second to a hundred
 * terabytes: beyond that it is no link but a defect. */
static void check_link(const ndl_link *l)
{
    CHECK(isfinite(l->latency_sec) && isfinite(l->bytes_per_sec));
    CHECK(l->latency_sec > 1e-9 && l->latency_sec < 1.0);
    CHECK(l->bytes_per_sec > 1e6 && l->bytes_per_sec < 1e14);
}

static ndl_link *gather(ndl_comm *c, const ndl_link *row, int32_t *nodes)
{
    const size_t n = (size_t)c->size;
    const int32_t node = c->node;
    ndl_link *all = calloc(n * n, sizeof *all);
    CHECK(all);
    CHECK(ndl_comm_gather(c, row, n * sizeof *row, all) == NDL_OK);
    CHECK(ndl_comm_gather(c, &node, sizeof node, nodes) == NDL_OK);
    CHECK(ndl_comm_bcast(c, all, n * n * sizeof *all) == NDL_OK);
    CHECK(ndl_comm_bcast(c, nodes, n * sizeof *nodes) == NDL_OK);
    return all;
}

static void all_links_are_measured_and_the_same_both_ways(ndl_comm *c, int most)
{
    const int n = c->size;
    ndl_link *row = calloc((size_t)n, sizeof *row);
    int32_t *nodes = calloc((size_t)n, sizeof *nodes);
    CHECK(row && nodes);
    memset(row, 0xff, (size_t)n * sizeof *row);
    const double start = ndl_clock_sec();
    CHECK(ndl_probe_links_upto(c, row, most) == NDL_OK);
    const double sec = ndl_clock_sec() - start;
    ndl_link *all = gather(c, row, nodes);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            const ndl_link *l = &all[i * n + k], *back = &all[k * n + i];
            CHECK(l->same_node == (nodes[i] == nodes[k]));
            if (i == k) {
                CHECK(l->latency_sec == 0.0 && l->bytes_per_sec == 0.0);
                continue;
            }
            check_link(l);
            CHECK(l->latency_sec == back->latency_sec);
            CHECK(l->bytes_per_sec == back->bytes_per_sec);
        }
    if (c->rank == 0 && n > 1)
        printf("%d ranks, up to %d: %.2f s; %.2f us, %.2f GB/s\n", n, most, sec,
               1e6 * row[1].latency_sec, 1e-9 * row[1].bytes_per_sec);
    free(all);
    free(row);
    free(nodes);
}

/* One link stands for all inside of nodes, if some node has two ranks. */
static void one_rank_plays_for_its_node(ndl_comm *c)
{
    const int n = c->size;
    ndl_link *row = calloc((size_t)n, sizeof *row);
    int32_t *nodes = calloc((size_t)n, sizeof *nodes);
    CHECK(row && nodes);
    CHECK(ndl_probe_links_upto(c, row, 0) == NDL_OK);
    ndl_link *all = gather(c, row, nodes);
    const ndl_link *between[5][5] = { { NULL } }, *inside = NULL;
    for (int i = 0; i < n && n <= 5; i++)
        for (int k = 0; k < n; k++) {
            const ndl_link *l = &all[i * n + k];
            const ndl_link **known =
                nodes[i] == nodes[k] ? &inside : &between[nodes[i]][nodes[k]];
            if (i == k) continue;
            check_link(l);
            if (*known) CHECK(memcmp(*known, l, sizeof *l) == 0);
            *known = l;
        }
    free(all);
    free(row);
    free(nodes);
}

static void nothing_is_left_in_the_air(ndl_comm *c)
{
    /* A message too many would be taken for an echo of the next time. */
    for (int i = 0; i < 3; i++)
        all_links_are_measured_and_the_same_both_ways(c, i == 1 ? 1 : 64);
}

int main(int argc, char **argv)
{
    ndl_comm *c = NULL;
    mpi_check_init(&argc, &argv);
    CHECK(ndl_comm_open_mpi(&c) == NDL_OK);
    everybody_meets_everybody_once();
    nothing_is_left_in_the_air(c);
    one_rank_plays_for_its_node(c);
    ndl_comm_close(&c);
    MPI_Finalize();
    return 0;
}
