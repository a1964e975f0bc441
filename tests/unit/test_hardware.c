/* test_hardware.c - processors and memory of a node are divided fairly. */
#define _GNU_SOURCE
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "noodle/hardware.h"

enum { MAX = 8 };

/* Processors first .. last of a node. */
static ndl_hardware cpus(int node, int first, int last)
{
    ndl_hardware h = { .node = node, .n_cpus = 64, .free_bytes = 1000 };
    for (int i = first; i <= last; i++)
        h.cpus[i / 64] |= UINT64_C(1) << (i % 64);
    return h;
}

static const bool yes[MAX] = { true, true, true, true, true, true, true, true };

static void expect(const ndl_hardware *all, int n, const bool *hosts,
                   const int *threads, bool crowded)
{
    int got[MAX];
    assert_int_equal(ndl_hardware_threads(all, n, hosts, got), crowded);
    for (int i = 0; i < n; i++) assert_int_equal(got[i], threads[i]);
}

static void ranks_with_processors_of_their_own_use_them_all(void **state)
{
    (void)state;
    const ndl_hardware all[3] = { cpus(0, 0, 3), cpus(0, 4, 5),
                                  cpus(0, 62, 66) };
    expect(all, 3, yes, (int[]){ 4, 2, 5 }, false);
}

static void shared_processors_are_divided(void **state)
{
    (void)state;
    const ndl_hardware all[3] = { cpus(0, 0, 7), cpus(0, 0, 7), cpus(0, 0, 7) };
    expect(all, 3, yes, (int[]){ 3, 3, 2 }, false);
    expect(all, 2, yes, (int[]){ 4, 4 }, false);
    expect(all, 1, yes, (int[]){ 8 }, false);
}

static void rank_that_does_not_host_takes_nothing(void **state)
{
    (void)state;
    const ndl_hardware all[3] = { cpus(0, 0, 7), cpus(0, 0, 7), cpus(0, 0, 7) };
    expect(all, 3, (bool[]){ false, true, true }, (int[]){ 0, 4, 4 }, false);
    expect(all, 3, (bool[]){ false, false, false }, (int[]){ 0, 0, 0 }, false);
}

static void chain_of_overlaps_is_one_group(void **state)
{
    (void)state;
    /* 0-3, 3-6, 6-9: ten processors for three */
    const ndl_hardware all[3] = { cpus(0, 0, 3), cpus(0, 3, 6), cpus(0, 6, 9) };
    expect(all, 3, yes, (int[]){ 4, 3, 3 }, false);
    /* Without the link in the middle they are two groups. */
    expect(all, 3, (bool[]){ true, false, true }, (int[]){ 4, 0, 4 }, false);
}

static void nobody_gets_more_than_it_may_use(void **state)
{
    (void)state;
    const ndl_hardware all[2] = { cpus(0, 0, 0), cpus(0, 0, 7) };
    expect(all, 2, yes, (int[]){ 1, 4 }, false);
}

static void more_ranks_than_processors_is_crowded(void **state)
{
    (void)state;
    const ndl_hardware all[3] = { cpus(0, 0, 1), cpus(0, 0, 1), cpus(0, 0, 1) };
    expect(all, 3, yes, (int[]){ 1, 1, 1 }, true);
    expect(all, 2, yes, (int[]){ 1, 1 }, false);
}

/* Two ranks are bound to one processor; that a third has many helps not. */
static void two_ranks_on_one_processor_are_crowded(void **state)
{
    (void)state;
    const ndl_hardware all[3] = { cpus(0, 0, 0), cpus(0, 0, 0), cpus(0, 0, 7) };
    expect(all, 3, yes, (int[]){ 1, 1, 2 }, true);
}

/* No pair of processors has more ranks than it bears, but all three have. */
static void four_ranks_on_three_processors_are_crowded(void **state)
{
    (void)state;
    ndl_hardware all[4] = { cpus(0, 0, 1), cpus(0, 1, 2), cpus(0, 0, 2),
                            cpus(0, 0, 1) };
    all[2].cpus[0] = 5; /* 0 and 2 */
    expect(all, 4, yes, (int[]){ 1, 1, 1, 1 }, true);
    expect(all, 3, yes, (int[]){ 1, 1, 1 }, false);
}

static void nodes_do_not_share_processors(void **state)
{
    (void)state;
    const ndl_hardware all[4] = { cpus(0, 0, 3), cpus(1, 0, 3), cpus(0, 0, 3),
                                  cpus(1, 0, 0) };
    expect(all, 3, yes, (int[]){ 2, 4, 2 }, false);
    expect(all, 4, yes, (int[]){ 2, 2, 2, 1 }, false);
}

static void memory_of_a_node_is_shared_by_those_that_host(void **state)
{
    (void)state;
    ndl_hardware all[4] = { cpus(0, 0, 3), cpus(0, 0, 3), cpus(1, 0, 3),
                            cpus(0, 0, 3) };
    const bool hosts[4] = { false, true, true, true };
    assert_int_equal(ndl_hardware_share(all, 4, hosts, 1), 475);
    assert_int_equal(ndl_hardware_share(all, 4, hosts, 2), 950);
    assert_int_equal(ndl_hardware_share(all, 4, yes, 0), 316);
    /* They measure one after the other: the least is the safe one. */
    all[3].free_bytes = 600;
    assert_int_equal(ndl_hardware_share(all, 4, hosts, 1), 285);
    assert_int_equal(
        ndl_hardware_share(all, 4, (bool[]){ false, false, true, false }, 0),
        0);
}

static void this_machine_is_read_sanely(void **state)
{
    (void)state;
    ndl_hardware h = { .node = 77 };
    cpu_set_t mine;
    char host[256] = "";
    assert_int_equal(ndl_hardware_read(&h), NDL_OK);
    CPU_ZERO(&mine);
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    assert_int_equal(ndl_hardware_n_cpus(&h), CPU_COUNT(&mine));
    for (int i = 0; i < NDL_HARDWARE_CPUS; i++)
        assert_int_equal(h.cpus[i / 64] >> (i % 64) & 1,
                         CPU_ISSET(i, &mine) != 0);
    assert_true(h.n_cpus >= ndl_hardware_n_cpus(&h));
    gethostname(host, sizeof host - 1);
    assert_memory_equal(h.host, host, strnlen(host, sizeof h.host - 1));
    /* More than nothing, and less than the machine has. */
    const uint64_t all =
        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(h.free_bytes > 1 << 20 && h.free_bytes <= all);
}

static void narrower_affinity_is_seen(void **state)
{
    (void)state;
    cpu_set_t before, one;
    ndl_hardware h;
    int first = 0;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    while (!CPU_ISSET(first, &before)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(ndl_hardware_read(&h), NDL_OK);
    assert_int_equal(ndl_hardware_n_cpus(&h), 1);
    assert_true(h.cpus[first / 64] >> (first % 64) & 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_with_processors_of_their_own_use_them_all),
        cmocka_unit_test(shared_processors_are_divided),
        cmocka_unit_test(rank_that_does_not_host_takes_nothing),
        cmocka_unit_test(chain_of_overlaps_is_one_group),
        cmocka_unit_test(nobody_gets_more_than_it_may_use),
        cmocka_unit_test(more_ranks_than_processors_is_crowded),
        cmocka_unit_test(two_ranks_on_one_processor_are_crowded),
        cmocka_unit_test(four_ranks_on_three_processors_are_crowded),
        cmocka_unit_test(nodes_do_not_share_processors),
        cmocka_unit_test(memory_of_a_node_is_shared_by_those_that_host),
        cmocka_unit_test(this_machine_is_read_sanely),
        cmocka_unit_test(narrower_affinity_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
