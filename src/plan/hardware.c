/* hardware.c - see hardware.h. */
#define _GNU_SOURCE
#include "noodle/hardware.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"

enum { N_WORDS = NDL_HARDWARE_CPUS / 64 };

static ndl_status read_affinity(ndl_hardware *h)
{
    cpu_set_t *set = CPU_ALLOC(NDL_HARDWARE_CPUS);
    const size_t bytes = CPU_ALLOC_SIZE(NDL_HARDWARE_CPUS);
    if (!set) return NDL_FAIL(NDL_EOS, "out of memory");
    CPU_ZERO_S(bytes, set);
    if (sched_getaffinity(0, bytes, set) != 0) {
        CPU_FREE(set);
        return NDL_FAIL(NDL_EOS, "cannot read the processor affinity");
    }
    for (int i = 0; i < NDL_HARDWARE_CPUS; i++)
        if (CPU_ISSET_S(i, bytes, set)) h->cpus[i / 64] |= 1ull << (i % 64);
    CPU_FREE(set);
    return NDL_OK;
}

/* "MemAvailable:   12345 kB" of /proc/meminfo in bytes, 0 if not there. */
static uint64_t mem_available(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[256];
    unsigned long long kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) break;
    if (f) fclose(f);
    return (uint64_t)kib * 1024;
}

ndl_status ndl_hardware_read(ndl_hardware *out)
{
    ndl_hardware h = { .n_cpus = (int)sysconf(_SC_NPROCESSORS_ONLN) };
    if (gethostname(h.host, sizeof h.host - 1) != 0)
        snprintf(h.host, sizeof h.host, "%s", "unknown");
    NDL_TRY(read_affinity(&h));
    const uint64_t system = mem_available(), group = ndl_cgroup_left();
    h.free_bytes = system < group ? system : group;
    *out = h;
    return NDL_OK;
}

int ndl_hardware_n_cpus(const ndl_hardware *h)
{
    int n = 0;
    for (int i = 0; i < N_WORDS; i++) n += __builtin_popcountll(h->cpus[i]);
    return n;
}

static bool overlap(const ndl_hardware *a, const ndl_hardware *b)
{
    if (a->node != b->node) return false;
    for (int i = 0; i < N_WORDS; i++)
        if (a->cpus[i] & b->cpus[i]) return true;
    return false;
}

/* Ranks whose sets overlap, directly or through others, share one union of
 * processors.  Marks them in `in` and gives the size of the union. */
static int find_group(const ndl_hardware *all, int n, const bool *hosts,
                      int start, bool *in)
{
    ndl_hardware together = all[start];
    memset(in, 0, sizeof *in * (size_t)n);
    in[start] = true;
    for (bool grown = true; grown;) {
        grown = false;
        for (int i = 0; i < n; i++) {
            if (in[i] || !hosts[i] || !overlap(&together, &all[i])) continue;
            for (int w = 0; w < N_WORDS; w++)
                together.cpus[w] |= all[i].cpus[w];
            in[i] = grown = true;
        }
    }
    return ndl_hardware_n_cpus(&together);
}

/* Do the ranks that may run nowhere but on the processors of rank i have more
 * threads than it has processors? */
static bool is_crowded(const ndl_hardware *all, int n, const int *threads,
                       int i)
{
    int64_t sum = 0;
    for (int k = 0; k < n; k++) {
        bool inside = all[k].node == all[i].node;
        for (int w = 0; w < N_WORDS; w++)
            if (all[k].cpus[w] & ~all[i].cpus[w]) inside = false;
        if (inside) sum += threads[k];
    }
    return sum > ndl_hardware_n_cpus(&all[i]);
}

/* The part of rank i in the processors of its group, `in`. */
static int share_of(const ndl_hardware *all, int n, const bool *in, int i,
                    int n_together)
{
    int members = 0, before = 0;
    for (int k = 0; k < n; k++) {
        if (in[k] && k < i) before++;
        members += in[k];
    }
    int share = n_together / members + (before < n_together % members ? 1 : 0);
    const int own = ndl_hardware_n_cpus(&all[i]);
    if (share > own) share = own;
    return share > 1 ? share : 1;
}

bool ndl_hardware_threads(const ndl_hardware *all, int n, const bool *hosts,
                          int *threads)
{
    bool crowded = false;
    bool *in = calloc((size_t)n, sizeof *in);
    for (int i = 0; i < n; i++) threads[i] = hosts[i] ? 1 : 0;
    if (!in) return true; /* one thread each is always right */
    for (int i = 0; i < n; i++) {
        if (!hosts[i]) continue;
        const int n_together = find_group(all, n, hosts, i, in);
        int members = 0;
        for (int k = 0; k < n; k++) members += in[k];
        if (members > n_together) crowded = true;
        threads[i] = share_of(all, n, in, i, n_together);
    }
    free(in);
    for (int i = 0; i < n; i++)
        if (hosts[i] && is_crowded(all, n, threads, i)) crowded = true;
    return crowded;
}

uint64_t ndl_hardware_share(const ndl_hardware *all, int n, const bool *hosts,
                            int rank)
{
    uint64_t least = UINT64_MAX;
    int members = 0;
    for (int i = 0; i < n; i++) {
        if (all[i].node != all[rank].node || !hosts[i]) continue;
        members++;
        if (all[i].free_bytes < least) least = all[i].free_bytes;
    }
    if (members == 0) return 0;
    return (uint64_t)(0.95 * (double)(least / (uint64_t)members));
}
