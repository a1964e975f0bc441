/*
 * strategy_options.h - what a plan is to be best at, and what it must keep to,
 * from the options that `plan` and `run` share.
 */
#ifndef NDL_CLI_STRATEGY_OPTIONS_H
#define NDL_CLI_STRATEGY_OPTIONS_H

#include "noodle/strategy.h"
#include "options.h"

enum { NDL_STRATEGY_PINS = 256 };

/* Must not move: the setup borrows the pins. */
typedef struct ndl_strategy_options {
    ndl_strategy_setup setup;
    ndl_pin pins[NDL_STRATEGY_PINS];
} ndl_strategy_options;

/* What the words of the options refer to. */
typedef struct ndl_strategy_context {
    const ndl_cluster *cluster; /* names or ranks of nodes */
    int n_blocks;
    bool is_free; /* order of the stages, if --order does not say */
} ndl_strategy_context;

/** @return NDL_OK; NDL_EUSAGE naming the option; NDL_EOS. */
ndl_status ndl_strategy_options_read(ndl_strategy_options *s,
                                     const ndl_options *o,
                                     const ndl_strategy_context *context);

#endif /* NDL_CLI_STRATEGY_OPTIONS_H */
