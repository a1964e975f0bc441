/* comm_mpi.h - what the files of the MPI implementation share; private to
 * comm_*.c, the only files beside main.c that know mpi.h. */
#ifndef NOODLE_COMM_MPI_H
#define NOODLE_COMM_MPI_H

#include <mpi.h>

#include "doorbell.h"
#include "noodle/comm.h"

/* Receives of one sender and tag that wait for a message, oldest first. */
typedef struct ndl_comm_lane {
    ndl_comm_op *first, *last;
} ndl_comm_lane;

typedef struct ndl_comm_mpi {
    ndl_comm base;
    MPI_Comm all;    /* duplicate of the world; owned */
    MPI_Comm local;  /* the ranks of this node, in world order; owned */
    MPI_Win window;  /* holds the bells of this node; owned */
    ndl_bell **bell; /* (size): in the window; NULL for ranks elsewhere */
    ndl_bell *mine;
    ndl_bell lonely; /* `mine` where there is no window */
    ndl_comm_lane (*lane)[NDL_TAG_LAST - NDL_TAG_FIRST]; /* (size, tags) */

    int n_sends;     /* active */
    int n_receiving; /* receives whose message is on its way */

    /* Waiting; see comm_wait.c. */
    uint32_t heard;    /* my bell's count at the end of the last wait */
    bool is_remote;    /* has talked to a rank whose bell it cannot reach */
    bool is_expecting; /* my bell has rung, and nothing completed since */
    bool is_spun;      /* this wait begins with a spin */
    unsigned n_waits;
    double spin_sec;  /* budget */
    double payoff;    /* 0..1: share of the late spins that ended the wait */
    double since_sec; /* when this wait began; 0: none is under way */
} ndl_comm_mpi;

/** The whole from its first member. */
static inline ndl_comm_mpi *ndl_comm_mpi_of(ndl_comm *c)
{
    return (ndl_comm_mpi *)c;
}

/** Turn a failed MPI call into a status with a message. */
ndl_status ndl_comm_mpi_fail(const char *call, int error);

extern const ndl_comm_ops ndl_comm_mpi_ops;

/** ops->close. */
void ndl_comm_mpi_close(ndl_comm *c);

/** ops->wait. */
void ndl_comm_mpi_wait(ndl_comm *c, double max_sec);

/** Something has moved: the wait, if there was one, is over. */
void ndl_comm_mpi_moved(ndl_comm_mpi *m);

/** Test a request until it is complete, asleep between the tests. */
ndl_status ndl_comm_mpi_finish(MPI_Request *request, const char *call);

#endif /* NOODLE_COMM_MPI_H */
