/* comm_mpi.h - what the files of the MPI implementation share; private to
 * comm_*.c, the only files beside main.c that know mpi.h. */
#ifndef NOODLE_COMM_MPI_H
#define NOODLE_COMM_MPI_H

#include <mpi.h>

#include "belt.h"
#include "doorbell.h"
#include "noodle/comm.h"
#include "rhythm.h"

/* Operations, oldest first. */
typedef struct ndl_comm_queue {
    ndl_comm_op *first, *last;
} ndl_comm_queue;

/* What one peer and tag have to do with this rank. */
typedef struct ndl_comm_lane {
    ndl_comm_queue receives; /* wait for a message */
    ndl_comm_queue sends;    /* wait for room on the belt */
    ndl_belt_end in, out;    /* no belts between nodes */
    bool is_noted;           /* the next message comes by MPI: its note said */
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
    void *belts; /* of this node, mapped; or NULL */
    size_t belts_bytes;

    int n_sends;     /* active, by MPI */
    int n_receiving; /* receives whose message is on its way */
    int n_noted;     /* lanes with is_noted */

    /* Waiting; see comm_wait.c. */
    uint32_t heard;    /* my bell's count at the end of the last wait */
    bool is_remote;    /* has talked to a rank whose bell it cannot reach */
    bool is_expecting; /* my bell has rung, and nothing completed since */
    bool is_spun;      /* this wait begins with a spin */
    unsigned n_waits;
    double spin_sec;  /* budget */
    double payoff;    /* 0..1: share of the late spins that ended the wait */
    double since_sec; /* when this wait began; 0: none is under way */
    ndl_rhythm rhythm;
} ndl_comm_mpi;

/** The whole from its first member. */
static inline ndl_comm_mpi *ndl_comm_mpi_of(ndl_comm *c)
{
    return (ndl_comm_mpi *)c;
}

/** The same below whatever changes it: what is not in ndl_comm_ops is asked of
 * that one. */
ndl_comm_mpi *ndl_comm_mpi_under(ndl_comm *c);

/** Turn a failed MPI call into a status with a message. */
ndl_status ndl_comm_mpi_fail(const char *call, int error);

extern const ndl_comm_ops ndl_comm_mpi_ops;

/**
 * Collective over m->local: belts between all its ranks, in both ends' lanes.
 * Where memory cannot be shared there are none, for all alike.
 * @param node_of  (size)
 */
ndl_status ndl_comm_mpi_open_belts(ndl_comm_mpi *m, const int *node_of);

/** ops->close. */
void ndl_comm_mpi_close(ndl_comm *c);

/** ops->wait. */
void ndl_comm_mpi_wait(ndl_comm *c, double max_sec);

/** Something has moved: the wait, if there was one, is over. */
void ndl_comm_mpi_moved(ndl_comm_mpi *m);

/** Test a request until it is complete, asleep between the tests. */
ndl_status ndl_comm_mpi_finish(MPI_Request *request, const char *call);

#endif /* NOODLE_COMM_MPI_H */
