/*
 * main.c - MPI up, roles by rank, MPI down.
 *
 * Rank 0 reads the command line and does what it says; the others follow it.
 * The one place that prints an error and gives the process its exit code.
 */
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "kernels.h"
#include "noodle/clock.h"
#include "noodle/log.h"
#include "noodle/session.h"

enum { FINALIZE_SEC = 5 }; /* a peer that is gone must not keep us */

static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t final_status;
static double start_sec; /* when MPI was up */

static void on_signal(int sig)
{
    /* The second interrupt ends at once: the user does not want to wait. */
    if (last_signal == SIGINT && sig == SIGINT) _exit(130);
    last_signal = sig;
}

static void on_alarm(int sig)
{
    (void)sig;
    _exit(-final_status);
}

static void set_handler(int sig, void (*handler)(int))
{
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = handler;
    sigemptyset(&a.sa_mask);
    sigaction(sig, &a, NULL); /* no SA_RESTART: waits end early */
}

static void set_signals(void)
{
    set_handler(SIGINT, on_signal);
    set_handler(SIGTERM, on_signal);
    set_handler(SIGUSR1, on_signal);
    set_handler(SIGALRM, on_alarm);
    /* Both are told by the write that fails, which knows the file. */
    set_handler(SIGPIPE, SIG_IGN);
    set_handler(SIGXFSZ, SIG_IGN);
}

/* A closed stdin, stdout or stderr would give its number to the next file that
 * is opened, and text would go there.  stdout is opened for reading, so that
 * writing to it fails as it should. */
static void guard_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
}

static ndl_status read_level(const ndl_options *o, ndl_log_level *level)
{
    const char *name = o->log_level ? o->log_level : getenv("NDL_LOG");
    if (!name || ndl_log_parse(name, level)) return NDL_OK;
    return NDL_FAIL(NDL_EUSAGE,
                    "log level %s: give error, warn, info, debug or trace",
                    name);
}

static ndl_status dispatch(ndl_cli *cli)
{
    const ndl_options *o = cli->options;
    if (o->version) return ndl_cmd_version();
    if (o->help)
        return ndl_cmd_help(o->named ? ndl_options_command(o->command) : NULL);
    switch (o->command) {
    case NDL_CMD_RUN: return ndl_cmd_run(cli);
    case NDL_CMD_EVAL: return ndl_cmd_eval(cli);
    case NDL_CMD_IMPORT: return ndl_cmd_import(cli);
    case NDL_CMD_SYNTH: return ndl_cmd_synth(cli);
    case NDL_CMD_EXPORT: return ndl_cmd_export(cli);
    case NDL_CMD_QUANTIZE: return ndl_cmd_quantize(cli);
    case NDL_CMD_LOGITS: return ndl_cmd_logits(cli);
    case NDL_CMD_TOKENIZE: return ndl_cmd_tokenize(cli);
    case NDL_CMD_INSPECT: return ndl_cmd_inspect(cli);
    case NDL_CMD_CHECK: return ndl_cmd_check(cli);
    case NDL_CMD_PROFILE: return ndl_cmd_profile(cli);
    case NDL_CMD_PLAN: return ndl_cmd_plan(cli);
    case NDL_CMD_HARDWARE: return ndl_cmd_hardware(cli);
    case NDL_CMD_BENCH: return ndl_cmd_bench(cli);
    case NDL_CMD_HELP: return ndl_cmd_help(o->n_args ? o->args[0] : NULL);
    case NDL_N_COMMANDS: break;
    }
    return NDL_FAIL(NDL_ESOFTWARE, "a command without a function");
}

/* Rank 0: the command, then everybody goes home with its status. */
static ndl_status lead(ndl_comm *comm, int argc, char **argv)
{
    ndl_options options = { 0 };
    ndl_cli cli = { .options = &options,
                    .comm = comm,
                    .signal = &last_signal,
                    .start_sec = start_sec };
    ndl_log_level level = NDL_LOG_WARN;
    ndl_status st = ndl_options_parse(&options, argc, argv);
    if (st == NDL_OK) st = read_level(&options, &level);
    ndl_log_init(comm->rank, level);
    if (st == NDL_OK) st = dispatch(&cli);
    if (!cli.session_ran) (void)ndl_session_dismiss(comm, st);
    return st;
}

static ndl_status start_mpi(int *argc, char ***argv, ndl_comm **comm)
{
    int level = 0;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS)
        return NDL_FAIL(NDL_EOS,
                        "MPI cannot start: check the MPI installation");
    start_sec = ndl_clock_sec();
    if (level < MPI_THREAD_FUNNELED)
        return NDL_FAIL(NDL_EOS, "this MPI gives no MPI_THREAD_FUNNELED: use "
                                 "one built with thread support");
    return ndl_comm_open_mpi(comm);
}

int main(int argc, char **argv)
{
    ndl_comm *comm = NULL;
    guard_standard_files();
    /* Shared memory may be refused by a limit on files already here. */
    set_handler(SIGXFSZ, SIG_IGN);
    ndl_status st = start_mpi(&argc, &argv, &comm);
    set_signals(); /* after MPI, which has handlers of its own */
    ndl_fp_setup();
    const bool first = !comm || comm->rank == 0;
    if (st == NDL_OK)
        st = comm->rank == 0 ? lead(comm, argc, argv)
                             : ndl_session_follow(comm, &last_signal);
    if (st != NDL_OK && first) {
        const char *why = ndl_status_message();
        if (why[0] == '\0') why = ndl_status_text(st);
        fprintf(stderr, "noodle-mpi: %s\n", why);
    }
    final_status = st;
    alarm(FINALIZE_SEC);
    ndl_comm_close(&comm);
    int is_up = 0;
    MPI_Initialized(&is_up);
    if (is_up) MPI_Finalize();
    return -st;
}
