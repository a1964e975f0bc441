/*
 * session_options.h - from what the user gave to what a session takes: plan,
 * strategy, loading, emulation, metrics.  Private to src/cli.
 */
#ifndef NDL_CLI_SESSION_OPTIONS_H
#define NDL_CLI_SESSION_OPTIONS_H

#include "noodle/session.h"
#include "options.h"
#include "strategy_options.h"

enum { NDL_SESSION_FACTS = 96 };

/* Storage behind a session setup; freed by ndl_session_options_fini. */
typedef struct ndl_session_options {
    double *speeds; /* (size) or NULL */
    ndl_comm_link *links;
    int n_links;
    ndl_strategy_options wishes;
    char metrics[4400];
    ndl_options_fact facts[NDL_SESSION_FACTS];
    ndl_metrics_fact config[NDL_SESSION_FACTS];
} ndl_session_options;

/* Ranks that may host a stage: first .. size - 1. */
typedef struct ndl_session_hosts {
    int first, size;
} ndl_session_hosts;

ndl_session_hosts ndl_session_options_hosts(int size, bool rank0_hosts);

/** "rank=2,speed=0.2", "rank=*,speed=0.2": one or several ranks; words about
 * links are not looked at.
 * @param[out] speeds  (size) malloc'ed, or NULL if none was given
 * @return NDL_OK; NDL_EUSAGE naming the word; NDL_EOS. */
ndl_status ndl_session_options_speeds(const ndl_options_list *emulate,
                                      const ndl_session_hosts *hosts,
                                      double **speeds);

/** -ctk and -ctv; what is not given is what weights of `mix` have.
 * @return NDL_OK; NDL_EUSAGE. */
ndl_status ndl_session_options_kv_types(const ndl_options *o, ndl_mix mix,
                                        ndl_kv_types *out);

/** --rank0.  @return NDL_OK; NDL_EUSAGE. */
ndl_status ndl_session_options_rank0(const char *name, bool *hosts);

/** --load.  @return NDL_OK; NDL_EUSAGE. */
ndl_status ndl_session_options_load(const char *name, ndl_load *out);

/**
 * Would fill() take the options, as far as that can be said without a model?
 * For who writes files before there is one.
 * @return NDL_OK; NDL_EUSAGE, NDL_ENOINPUT, NDL_EOS.
 */
ndl_status ndl_session_options_check(const ndl_options *o, ndl_comm *comm);

/**
 * Fill in what `run` decides by options: plan, strategy, types of the KV
 * cache, load, stage-in, emulation, metrics.  The setup borrows from `s`, which
 * must not move.
 * @return NDL_OK; NDL_EUSAGE; NDL_EOS.
 */
ndl_status ndl_session_options_fill(ndl_session_options *s,
                                    const ndl_options *o,
                                    ndl_session_setup *setup);
void ndl_session_options_fini(ndl_session_options *s);

#endif /* NDL_CLI_SESSION_OPTIONS_H */
