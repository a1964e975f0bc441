/*
 * toy.h - models of four blocks that run in milliseconds, and what they say
 * when one thread computes them alone, with neither messages nor scheduler:
 * the truth that every pipeline must give to the bit.
 */
#ifndef NOODLE_TESTS_TOY_H
#define NOODLE_TESTS_TOY_H

#include "noodle/kv_types.h"
#include "noodle/request.h"
#include "noodle/weights.h"

typedef struct toy {
    const char *name, *config;
    const char *mix; /* of the weights, as ndl_mix_read() takes it */
    ndl_kv_types kv_types;
} toy;

enum { N_TOYS = 9, TOY_LLAMA_F32 = 0, TOY_BLOCKS = 4, TOY_CONTEXT = 600 };
extern const toy toys[N_TOYS];

/** Write the weights file of toys[i]. */
ndl_status toy_write(int i, const char *path);

/** Ids that look like text to it: n of them, from a seed. */
void toy_prompt(uint64_t seed, int32_t *ids, int n);

/** Vocabulary of every toy. */
int toy_vocab(void);

/* With what a toy is computed. */
typedef struct toy_how {
    ndl_kv_types kv_types;
    unsigned cpu_flags; /* kernels */
} toy_how;

/**
 * Logits (n, V) of `ids`, all rows in one step.
 * @param[out] logits  malloc'ed, the caller frees it.
 */
ndl_status toy_logits(const char *path, toy_how how, const int32_t *ids, int n,
                      float **logits);

/** Continue a request alone.  @param[out] out  (max_new)  @return how many. */
int toy_generate(const char *path, toy_how how, const ndl_request *r,
                 int32_t *out);

#endif /* NOODLE_TESTS_TOY_H */
