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
    NDL_CMD_LOGITS,
    NDL_CMD_TOKENIZE,
    NDL_CMD_INSPECT,
    NDL_CMD_CHECK,
    NDL_CMD_HELP,
    NDL_N_COMMANDS
} ndl_command;

/* What the user asked for; texts are borrowed from argv. */
typedef struct ndl_options {
    ndl_command command;
    const char *args[2]; /* what is not an option */
    int n_args;

    const char *model, *prompt, *file, *prompts, *prompt_ids;
    const char *split, *out, *dtype, *tokenizer, *ids;
    int predict, top_k, threads, context, rows, parallel, chunk;
    double temperature, top_p, min_p;
    int64_t seed;
    bool json, no_display_prompt, ignore_eos, special;
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

/** "run", "import", ...; static. */
const char *ndl_options_command(ndl_command command);

#endif /* NDL_OPTIONS_H */
