/*
 * commands.h - the subcommands: one file each.  All run on rank 0 only; those
 * that need the pipeline lead a session, and the other ranks follow.
 */
#ifndef NDL_COMMANDS_H
#define NDL_COMMANDS_H

#include <signal.h>

#include "noodle/comm.h"
#include "options.h"

/* What main gives to a command. */
typedef struct ndl_cli {
    const ndl_options *options;
    ndl_comm *comm;
    const volatile sig_atomic_t *signal; /* last signal, 0: none        */
    double start_sec;                    /* clock_sec when MPI was up */
    bool session_ran; /* set by a command that led a session: the others are
                         on their way home already */
} ndl_cli;

ndl_status ndl_cmd_run(ndl_cli *cli);
ndl_status ndl_cmd_logits(ndl_cli *cli);
ndl_status ndl_cmd_eval(ndl_cli *cli);
ndl_status ndl_cmd_import(ndl_cli *cli);
ndl_status ndl_cmd_synth(ndl_cli *cli);
ndl_status ndl_cmd_export(ndl_cli *cli);
ndl_status ndl_cmd_quantize(ndl_cli *cli);
ndl_status ndl_cmd_tokenize(ndl_cli *cli);
ndl_status ndl_cmd_inspect(ndl_cli *cli);
ndl_status ndl_cmd_check(ndl_cli *cli);
ndl_status ndl_cmd_profile(ndl_cli *cli);
ndl_status ndl_cmd_plan(ndl_cli *cli);
ndl_status ndl_cmd_hardware(ndl_cli *cli);
ndl_status ndl_cmd_bench(ndl_cli *cli);
ndl_status ndl_cmd_version(void);

/** @param command  whose page; NULL: the overview. */
ndl_status ndl_cmd_help(const char *command);

/**
 * Path of the weights to use: what the user gave, or the bundled model, found
 * beside the program (../share/noodle-mpi/models).
 * @param[out] path  malloc'ed; the caller frees it.
 * @return NDL_OK; NDL_ENOINPUT if the bundled model is not there.
 */
ndl_status ndl_model_path(const char *given, char **path);

#endif /* NDL_COMMANDS_H */
