/*
 * stage_reports.h - what a stage tells rank 0 beside the stream: signs of life,
 * a fault, where its time went, what it did for each sequence, and its totals
 * at the end.  One message at a time.  Private to src/run.
 */
#ifndef NDL_STAGE_REPORTS_H
#define NDL_STAGE_REPORTS_H

#include <stdbool.h>

#include "noodle/arena.h"
#include "noodle/comm.h"
#include "stage_clock.h"
#include "stage_sessions.h"

typedef struct ndl_stage_reports {
    ndl_comm *comm;               /* borrowed, as are the next three */
    ndl_stage_clock *clock;       /* keeps records if they are wanted */
    ndl_stage_sessions *sessions; /* likewise */
    ndl_wire_totals *totals;
    int index; /* of the stage, from 0 */
    ndl_comm_op op;
    ndl_wire_report *report; /* in the arena of init(): MPI may read it for
                                longer than this lives */
    unsigned char *records;  /* the STEPS or ACCOUNTS message, likewise */
    bool is_busy;            /* a message is on its way */
    bool fault_due, done_due;
    bool is_over;      /* the totals were told: nothing comes after them */
    uint32_t pong_due; /* number to answer with; 0: none */
    double last_alive, last_records; /* seconds */
} ndl_stage_reports;

/** Bytes that init() takes from its arena; clock->keeps says what is wanted. */
size_t ndl_stage_reports_bytes(const ndl_stage_clock *clock);

/** The borrowed members are set by the caller. */
void ndl_stage_reports_init(ndl_stage_reports *r, ndl_arena *arena);

/**
 * Send what is due, if nothing is on its way.
 * @param status   of the stage, for a fault
 * @param may_end  the totals may go, if they are due: all else was sent
 */
void ndl_stage_reports_send(ndl_stage_reports *r, ndl_status status,
                            bool may_end);

#endif /* NDL_STAGE_REPORTS_H */
