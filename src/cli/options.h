/*
 * options.h - the command line: one table makes parsing, help and the page of
 * every subcommand.
 */
#ifndef NDL_OPTIONS_H
#define NDL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "noodle/status.h"

typedef enum ndl_command {
    NDL_CMD_RUN,
    NDL_CMD_IMPORT,
    NDL_CMD_SYNTH,
    NDL_CMD_EXPORT,
    NDL_CMD_QUANTIZE,
    NDL_CMD_LOGITS,
    NDL_CMD_TOKENIZE,
    NDL_CMD_INSPECT,
    NDL_CMD_CHECK,
    NDL_CMD_PROFILE,
    NDL_CMD_PLAN,
    NDL_CMD_HARDWARE,
    NDL_CMD_EVAL,
    NDL_CMD_BENCH,
    NDL_CMD_HELP,
    NDL_N_COMMANDS
} ndl_command;

/* Texts of an option that may be given several times. */
enum { NDL_OPTIONS_LIST = 32 };
typedef struct ndl_options_list {
    const char *at[NDL_OPTIONS_LIST];
    int n;
} ndl_options_list;

/* What the user asked for; texts are borrowed from argv. */
typedef struct ndl_options {
    ndl_command command;
    const char *args[2]; /* what is not an option */
    int n_args;

    const char *model, *prompt, *file, *prompts, *prompt_ids;
    const char *split, *out, *dtype, *tokenizer, *ids;
    const char *plan, *save_profile, *load, *stage_in, *metrics, *rank0;
    int groups, kv_size;
    double stall_ms;
    bool no_reuse;
    const char *shape, *nodes, *profile, *strategy, *order, *stage_limit;
    const char *read, *keep, *against, *logits_file;
    const char *type_k, *type_v; /* of the KV cache */
    const char *requests, *results;
    ndl_options_list emulate, pin;
    int stride, windows;
    int prompt_tokens, new_tokens, min_stages, max_stages;
    int predict, top_k, threads, context, rows, parallel, chunk;
    double temperature, top_p, min_p;
    int64_t seed;
    bool json, no_display_prompt, ignore_eos, special;
    /* bench: lists of numbers (counts.h) */
    ndl_options_list bench_prompt, bench_gen, bench_both, bench_depth;
    ndl_options_list bench_seqs, bench_rows, bench_threads;
    const char *bench_format;
    int bench_repeats;
    double bench_delay;
    bool bench_no_warmup;
    const char *log_level;
    bool help, version, named; /* named: the command was given */
} ndl_options;

/**
 * Read the command line.  No command but options means `run`.
 * @return NDL_OK; NDL_EUSAGE naming the word and, for an unknown one, the
 *         nearest known.
 */
ndl_status ndl_options_parse(ndl_options *out, int argc, char **argv);

/** The overview, or the page of one command (by name; NULL: overview).
 * @return NDL_OK; NDL_EUSAGE if there is no such command. */
ndl_status ndl_options_help(FILE *out, const char *command);

/* An option's first long name without dashes, and its value. */
typedef struct ndl_options_fact {
    char name[32];
    char text[224];
} ndl_options_fact;

/** What the options of the command are set to, defaults included.
 * @param[out] facts  (cap)
 * @return how many. */
int ndl_options_facts(const ndl_options *o, ndl_options_fact *facts, int cap);

/** "run", "import", ...; static. */
const char *ndl_options_command(ndl_command command);

#endif /* NDL_OPTIONS_H */
