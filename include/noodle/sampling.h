/* sampling.h - how a request wants its tokens drawn.  Plain data. */
#ifndef NOODLE_SAMPLING_H
#define NOODLE_SAMPLING_H

#include <stdint.h>

/* How the next token is drawn.  Filters apply in the order top_k, top_p,
 * min_p, temperature, as in llama.cpp. */
typedef struct ndl_sampling {
    float temperature; /* 0: greedy, the rest is ignored          */
    int32_t top_k;     /* keep the k most likely; 0: all          */
    float top_p;       /* keep the smallest set of at least this  */
                       /* probability; 1: all                     */
    float min_p;       /* drop what is less likely than min_p     */
                       /* times the most likely; 0: nothing       */
    uint64_t seed;     /* key of the request's random numbers     */
} ndl_sampling;

#endif /* NOODLE_SAMPLING_H */
