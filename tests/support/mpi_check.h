/* mpi_check.h - checks for programs of several ranks: a fact that does not
 * hold is printed with its rank and ends the whole job, so that the others do
 * not wait for the one that stopped. */
#ifndef NOODLE_TESTS_MPI_CHECK_H
#define NOODLE_TESTS_MPI_CHECK_H

#include <mpi.h>
#include <stdio.h>

#include "noodle/comm.h"

#define CHECK(fact)                                                            \
    do {                                                                       \
        if (!(fact)) mpi_check_fail(#fact, __FILE__, __LINE__);                \
    } while (0)

static inline void mpi_check_fail(const char *fact, const char *file, int line)
{
    int rank = -1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    fprintf(stderr, "%s:%d: rank %d: does not hold: %s\n", file, line, rank,
            fact);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/** MPI up, as main.c does it. */
static inline void mpi_check_init(int *argc, char ***argv)
{
    int level = 0;
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &level);
    CHECK(level >= MPI_THREAD_FUNNELED);
}

/** `op` is done; waits for it as pumps do. */
static inline void mpi_check_finish(ndl_comm *c, ndl_comm_op *op)
{
    for (bool done = false;;) {
        CHECK(ndl_comm_test(c, op, &done, NULL) == NDL_OK);
        if (done) return;
        ndl_comm_wait(c, 5.0);
    }
}

#endif /* NOODLE_TESTS_MPI_CHECK_H */
