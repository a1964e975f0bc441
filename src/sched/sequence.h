/*
 * sequence.h - what the scheduler knows of each request, and what happens to
 * it: it gets a slot, is stopped for another, ends.  Private to src/sched.
 *
 * A request goes WAITING -> PREFILL -> FLYING <-> READY -> FINISHED; DRAINING
 * comes before FINISHED where it is known that nothing more is to be sent,
 * and the slot is given away.  FLYING means that its next token is on the way;
 * while a prompt is in PREFILL any number of its chunks may be in flight,
 * because only the last one samples.  One that is stopped is WAITING again,
 * and all of its text is its prompt.
 */
#ifndef NOODLE_SEQUENCE_H
#define NOODLE_SEQUENCE_H

#include "noodle/scheduler.h"

typedef enum ndl_phase {
    NDL_PHASE_WAITING,
    NDL_PHASE_PREFILL,
    NDL_PHASE_FLYING,
    NDL_PHASE_READY,
    NDL_PHASE_DRAINING,
    NDL_PHASE_FINISHED
} ndl_phase;

typedef struct ndl_sequence {
    const ndl_request *r;
    int32_t *text; /* (context): prompt and tokens; NULL: not started, ended */
    ndl_phase phase;
    int slot;           /* -1: none                                      */
    int n_text;         /* ids of the text                               */
    int goal;           /* of them the prompt, or what takes its place   */
    int pos;            /* of the next row to send                       */
    int sent;           /* rows before it went with earlier batches      */
    int n_new;          /* tokens that came back                         */
    uint64_t last_sent; /* the newest batch with rows of it              */
    int leader;         /* it waits for rows of this request ...         */
    int leader_end;     /* before this position; 0: for nobody's         */
    bool awaits;        /* a token of it is on the way                   */
} ndl_sequence;

/* A batch in flight. */
typedef struct ndl_flight {
    uint64_t id; /* 0: free */
    ndl_cadence_load load;
    bool goes_on;  /* a text that it gives a token goes on after it */
    bool is_group; /* such a text has a decode row in it            */
    int n_seqs, n_sampled;
    int *requests; /* (n_slots): those with rows in it */
    int *sampled;  /* (n_slots): those that get a token */
} ndl_flight;

/* Request numbers, at most n_slots. */
typedef struct ndl_line {
    int *items;
    int n;
} ndl_line;

struct ndl_scheduler {
    ndl_scheduler_config config;
    ndl_pages *pages;
    ndl_cadence *cadence;
    ndl_sequence *seqs; /* (max_requests), by number */
    int n_submitted, n_started, n_finished, n_draining;
    ndl_line running; /* those with a slot, oldest first         */
    ndl_line stopped; /* those that wait for one again, likewise */
    ndl_line ready;   /* who goes on, in the order of tokens     */
    int *free_slots;  /* (n_slots): a stack */
    int n_free_slots;
    int32_t *texts;       /* (n_slots, context) */
    int32_t **free_texts; /* (n_slots): a stack */
    int n_free_texts;
    int n_unmixed;       /* batches with decode rows alone, so far   */
    int n_begun;         /* that came back with goes_on; <= window+1 */
    bool prompts_waited; /* the last batch had no room for them      */
    bool prompts_flow;   /* the last one that could take some has them */
    int n_groups;        /* of the last batch with decode rows  */
    ndl_flight *flights; /* (window) */
    int *flown;          /* (window, 2, n_slots): their lists */
    int n_flights;
    int n_decode_flights; /* those with is_group */
    uint64_t last_id, last_done;
    double apart_sec; /* between batches with decode rows that came back of
                         late, in a full pipeline: of the slowest stage */
    ndl_scheduler_rows *rows; /* (n_slots): the batch being told */
    int *ended;               /* (n_slots): told by done()       */
    int64_t miss_tokens, preemptions;
};

/* The batch that next() is at. */
typedef struct ndl_draft {
    ndl_scheduler_batch b;
    ndl_cadence_load load;
    int n_decoding;   /* sequences that are past their prompts      */
    int n_groups;     /* to have in flight                          */
    int n_alone;      /* if there were no prompts                   */
    double alone_sec; /* of a step without prompts; 0: none yet     */
    bool is_blind;    /* no step without prompts was measured yet */
    bool has_room;    /* prompt rows may go now                     */
    double sec;       /* the step may take so long, if it has them  */
} ndl_draft;

/** May it be stopped, and what it has computed be computed again? */
bool ndl_sequence_can_stop(const ndl_sequence *q);

/** Positions whose rows it may need in all. */
int ndl_sequence_most_rows(const ndl_scheduler *s, const ndl_sequence *q);

/** Give waiting requests slots, as far as slots and pages go. */
void ndl_sequences_admit(ndl_scheduler *s);

/** Stop the youngest sequence after `request` that can be stopped and is not
 * in the batch under way.  @return false: there is none. */
bool ndl_sequences_stop_one(ndl_scheduler *s, int request);

/** Take away slot, pages and text of a running one; the phase stays. */
void ndl_sequence_release(ndl_scheduler *s, int request);

/** It is over. */
void ndl_sequence_finish(ndl_scheduler *s, int request);

/** A page for its next row, at the expense of younger ones if need be; a
 * prompt goes on after what is there already.  @return false: not now. */
bool ndl_sequence_take_page(ndl_scheduler *s, int request);

/** Rows of prompts for the batch, oldest first. */
void ndl_prompts_add(ndl_scheduler *s, ndl_draft *d);

/** Does it look for its beginning among the pages? */
bool ndl_prompt_is_reusing(const ndl_scheduler *s, const ndl_sequence *q);

/** Add n_rows rows of it to the batch; the pages are there. */
void ndl_draft_add(ndl_scheduler *s, ndl_draft *d, int request, int n_rows);

/** Add at the end, or where it belongs by its number; take away (asserted:
 * it is there). */
void ndl_line_push(ndl_line *l, int item);
void ndl_line_insert(ndl_line *l, int item);
void ndl_line_remove(ndl_line *l, int item);
int ndl_line_find(const ndl_line *l, int item);

#endif /* NOODLE_SEQUENCE_H */
