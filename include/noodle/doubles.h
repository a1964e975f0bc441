/* doubles.h - measured values in order, and the one in the middle. */
#ifndef NOODLE_DOUBLES_H
#define NOODLE_DOUBLES_H

#include <stddef.h>

/** Sort, the least first.  A NaN has no place in an order: there is none. */
void ndl_doubles_sort(double *v, size_t n);

/** The middle of n >= 1 sorted values; of an even n the mean of the two. */
double ndl_doubles_median(const double *sorted, size_t n);

#endif /* NOODLE_DOUBLES_H */
