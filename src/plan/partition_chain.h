/*
 * partition_chain.h - a partition problem, checked and prepared: prefix sums,
 * what fits without regard to time, and the best split so far.
 */
#ifndef NOODLE_PARTITION_CHAIN_H
#define NOODLE_PARTITION_CHAIN_H

#include <stddef.h>

#include "noodle/partition.h"

typedef struct ndl_chain {
    const ndl_partition_problem *p;
    int n, k;         /* items, kinds                                     */
    int nodes;        /* all counts                                       */
    int min, max;     /* stages; min 0: no limit, max <= nodes, n         */
    int *count;       /* (k) nodes that can be of use, <= max             */
    const int *order; /* (nodes) or NULL: free                           */
    double *time;     /* (k, n + 1) prefix sums, of the period            */
    double *sum;      /* (k, n + 1) prefix sums, of the sum               */
    double *enter, *leave;  /* (k)                                        */
    const double *sum_link; /* (k, k)                                    */
    int *fit;        /* (k, n + 1) furthest end of a stage that begins here, by
                        memory, pins and stage_limit */
    double deadline; /* of the clock; INFINITY: none                 */
    bool late;       /* the deadline has passed, or memory ran out   */
    int64_t states;  /* looked at                                    */
} ndl_chain;

/** Check and prepare; the problem is borrowed until fini. */
ndl_status ndl_chain_init(ndl_chain *c, const ndl_partition_problem *p,
                          double max_sec);
void ndl_chain_fini(ndl_chain *c);

/** Whether to stop; asks the clock, so call it once in a while. */
bool ndl_chain_late(ndl_chain *c);

/* A split; room for c->max stages. */
typedef struct ndl_split {
    int n; /* 0: none */
    ndl_partition_stage *stage;
    double period, sum;
} ndl_split;

ndl_status ndl_split_init(ndl_split *s, const ndl_chain *c);
void ndl_split_fini(ndl_split *s);

/** Begin an empty split; then push stages from the last to the first, or in
 * order; end turns the former around, sets the costs and says whether the
 * number of stages is allowed. */
void ndl_split_push(ndl_split *s, ndl_partition_stage stage);
void ndl_split_reverse(ndl_split *s);
bool ndl_split_price(ndl_split *s, const ndl_chain *c);
void ndl_split_copy(ndl_split *to, const ndl_split *from);

/* What a solver asks for: where the split goes that it finds. */
typedef struct ndl_hunt {
    ndl_chain *c;
    struct ndl_reach *r;
    ndl_split *found;
} ndl_hunt;

/* Answers of a solver. */
typedef enum ndl_answer {
    NDL_ANSWER_NO,
    NDL_ANSWER_YES,
    NDL_ANSWER_UNKNOWN /* too large, late, or out of memory */
} ndl_answer;

/* Multisets of used nodes in mixed radix, least kind first. */
enum { NDL_COUNTS_KINDS = 22, NDL_COUNTS_STATES = 1 << 22 };
static const size_t NDL_PARTITION_BYTES = (size_t)1 << 30;

typedef struct ndl_counts {
    int k;
    int64_t n; /* states; 0: too many */
    int64_t stride[NDL_COUNTS_KINDS];
    int digit[NDL_COUNTS_KINDS];
    int used; /* sum of the digits */
} ndl_counts;

/** The empty multiset. */
void ndl_counts_init(ndl_counts *s, const ndl_chain *c);
/** The next one; wraps around. */
void ndl_counts_next(ndl_counts *s, const ndl_chain *c);

/* How many stages a given order has used: 0 .. last.  If `open`, the last
 * means "so many or more". */
typedef struct ndl_slots {
    int n;
    bool open;
} ndl_slots;

ndl_slots ndl_slots_of(const ndl_chain *c);
/** The slot after one stage more; -1: too many. */
int ndl_slots_next(ndl_slots s, int slot);
/** Whether a split may end in it. */
bool ndl_slots_done(ndl_slots s, const ndl_chain *c, int slot);

#endif /* NOODLE_PARTITION_CHAIN_H */
