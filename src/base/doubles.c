/* doubles.c - see doubles.h. */
#include "noodle/doubles.h"

#include <stdlib.h>

#include "noodle/status.h"

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void ndl_doubles_sort(double *v, size_t n)
{
    if (n > 1) qsort(v, n, sizeof *v, by_value);
}

double ndl_doubles_median(const double *sorted, size_t n)
{
    NDL_ASSERT(n > 0);
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
}
