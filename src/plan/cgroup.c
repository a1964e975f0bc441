/* cgroup.c - see cgroup.h.  Knows both versions of control groups, as they are
 * mounted by every distribution. */
#include "cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of one group. */
typedef uint64_t (*group_fn)(const char *folder, bool v2);

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

static uint64_t group_limit(const char *folder, bool v2)
{
    const uint64_t max =
        read_number(folder, v2 ? "memory.max" : "memory.limit_in_bytes");
    /* Version 1 writes 2^63 - 4096 where there is no limit. */
    return max >= UINT64_MAX / 4 ? UINT64_MAX : max;
}

/* Page cache of the group that can be dropped. */
static uint64_t group_cache(const char *folder)
{
    char path[1400], line[128];
    unsigned long long v;
    uint64_t cache = 0;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "inactive_file %llu", &v) == 1 ||
            sscanf(line, "active_file %llu", &v) == 1)
            cache += v;
    if (f) fclose(f);
    return cache;
}

static uint64_t group_left(const char *folder, bool v2)
{
    const uint64_t max = group_limit(folder, v2);
    if (max == UINT64_MAX) return UINT64_MAX;
    uint64_t used =
        read_number(folder, v2 ? "memory.current" : "memory.usage_in_bytes");
    if (used == UINT64_MAX) used = 0;
    const uint64_t cache = group_cache(folder);
    used -= cache < used ? cache : used;
    return max > used ? max - used : 0;
}

/* The least of a group and those above it; cuts `path` to pieces. */
static uint64_t least_upward(char *path, bool v2, group_fn of)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        char folder[1200];
        snprintf(folder, sizeof folder, "/sys/fs/cgroup%s%s",
                 v2 ? "" : "/memory", path);
        const uint64_t bytes = of(folder, v2);
        if (bytes < least) least = bytes;
        char *slash = strrchr(path, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup: "ID:CONTROLLERS:PATH", of which version 2 has
 * one without controllers. */
static uint64_t least_of_line(char *line, group_fn of)
{
    line[strcspn(line, "\n")] = '\0';
    char *names = strchr(line, ':');
    char *path = names ? strchr(names + 1, ':') : NULL;
    if (!path) return UINT64_MAX;
    *path++ = '\0';
    const bool v2 = names[1] == '\0';
    if (!v2 && !strstr(names + 1, "memory")) return UINT64_MAX;
    return least_upward(path, v2, of);
}

static uint64_t least_of_all(group_fn of)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[1024];
    uint64_t least = UINT64_MAX;
    while (f && fgets(line, sizeof line, f)) {
        const uint64_t bytes = least_of_line(line, of);
        if (bytes < least) least = bytes;
    }
    if (f) fclose(f);
    return least;
}

uint64_t ndl_cgroup_left(void)
{
    return least_of_all(group_left);
}

uint64_t ndl_cgroup_limit(void)
{
    return least_of_all(group_limit);
}
