/* hardware.c - see hardware.h. */
#define _GNU_SOURCE
#include "noodle/hardware.h"

#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* A number in a file; UINT64_MAX for "max" or when there is none. */
static uint64_t read_number(const char *folder, const char *name)
{
    char path[1400], text[64] = "";
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (!f) return UINT64_MAX;
    const bool ok = fgets(text, sizeof text, f) != NULL;
    fclose(f);
    char *end;
    const unsigned long long v = strtoull(text, &end, 10);
    return ok && end != text ? v : UINT64_MAX;
}

/* What one group leaves: limit - (usage - page cache that can be dropped). */
static uint64_t cgroup_left(const char *folder, const char *limit,
                            const char *usage)
{
    const uint64_t max = read_number(folder, limit);
    if (max >= UINT64_MAX / 4) return UINT64_MAX; /* v1 writes 2^63 - 4096 */
    uint64_t used = read_number(folder, usage), cache = 0;
    if (used == UINT64_MAX) used = 0;
    char path[1400], line[128];
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    FILE *f = fopen(path, "re");
    unsigned long long v;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "inactive_file %llu", &v) == 1 ||
            sscanf(line, "active_file %llu", &v) == 1)
            cache += v;
    if (f) fclose(f);
    used -= cache < used ? cache : used;
    return max > used ? max - used : 0;
}

/* The least that a group and those above it leave; cuts `path` to pieces. */
static uint64_t cgroup_least(char *path, bool v2)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        char folder[1200];
        snprintf(folder, sizeof folder, "/sys/fs/cgroup%s%s",
                 v2 ? "" : "/memory", path);
        const uint64_t left =
            v2 ? cgroup_left(folder, "memory.max", "memory.current")
               : cgroup_left(folder, "memory.limit_in_bytes",
                             "memory.usage_in_bytes");
        if (left < least) least = left;
        char *slash = strrchr(path, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup: "ID:CONTROLLERS:PATH", of which version 2 has
 * one without controllers. */
static uint64_t cgroup_of_line(char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *names = strchr(line, ':');
    char *path = names ? strchr(names + 1, ':') : NULL;
    if (!path) return UINT64_MAX;
    *path++ = '\0';
    const bool v2 = names[1] == '\0';
    if (!v2 && !strstr(names + 1, "memory")) return UINT64_MAX;
    return cgroup_least(path, v2);
}

static uint64_t cgroup_free(void)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[1024];
    uint64_t least = UINT64_MAX;
    while (f && fgets(line, sizeof line, f)) {
        const uint64_t left = cgroup_of_line(line);
        if (left < least) least = left;
    }
    if (f) fclose(f);
    return least;
}

ndl_status ndl_hardware_read(ndl_hardware *out)
{
    ndl_hardware h = { .n_cpus = (int)sysconf(_SC_NPROCESSORS_ONLN) };
    if (gethostname(h.host, sizeof h.host - 1) != 0)
        snprintf(h.host, sizeof h.host, "%s", "unknown");
    NDL_TRY(read_affinity(&h));
    const uint64_t system = mem_available(), group = cgroup_free();
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

const char *ndl_hardware_library(void)
{
    static char text[32];
    const unsigned v = hwloc_get_api_version();
    snprintf(text, sizeof text, "hwloc %u.%u.%u", v >> 16, (v >> 8) & 255,
             v & 255);
    return text;
}
