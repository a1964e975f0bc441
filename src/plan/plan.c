/* plan.c - see plan.h: the plan itself, and what the parts of a model need. */
#include "noodle/plan.h"

#include <stdlib.h>

char *ndl_plan_bytes_text(uint64_t bytes, char *buf, size_t cap)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024.0 && u < 4) {
        v /= 1024.0;
        u++;
    }
    snprintf(buf, cap, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
    return buf;
}

void ndl_plan_fini(ndl_plan *p)
{
    free(p->stages);
    *p = (ndl_plan){ 0 };
}
