/* stage_reports.c - see stage_reports.h. */
#include "stage_reports.h"

#include <string.h>
#include <sys/resource.h>

#include "noodle/message.h"

/* Far below the 30 s after which a stage counts as dead. */
static const double ALIVE_EVERY_SEC = 2.0;
/* Records go to rank 0 at least so often, and before they fill half of the
 * room for them. */
static const double RECORDS_EVERY_SEC = 1.0;

static size_t records_bytes(const ndl_stage_clock *clock)
{
    const size_t steps = ndl_stage_clock_cap(clock);
    const size_t accounts = ndl_message_accounts_bytes(NDL_WIRE_ACCOUNTS);
    if (!clock->keeps) return 0;
    return steps > accounts ? steps : accounts;
}

size_t ndl_stage_reports_bytes(const ndl_stage_clock *clock)
{
    return sizeof(ndl_wire_report) + records_bytes(clock) + 2 * 64;
}

void ndl_stage_reports_init(ndl_stage_reports *r, ndl_arena *arena)
{
    r->report = ndl_arena_alloc(arena, sizeof *r->report);
    if (r->clock->keeps)
        r->records = ndl_arena_alloc(arena, records_bytes(r->clock));
}

static void send(ndl_stage_reports *r, const void *msg, size_t len)
{
    r->last_alive = ndl_comm_now(r->comm);
    r->is_busy = ndl_comm_send_begin(r->comm, &r->op, 0, NDL_TAG_REPORT, msg,
                                     len) == NDL_OK;
}

static void report(ndl_stage_reports *r, ndl_report_kind kind,
                   ndl_status status)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    r->totals->peak_rss_bytes = (uint64_t)used.ru_maxrss * 1024;
    ndl_stage_clock_totals(r->clock, ndl_comm_now(r->comm), r->totals);
    memset(r->report, 0, sizeof *r->report);
    r->report->magic = NDL_WIRE_MAGIC;
    r->report->kind = kind;
    r->report->status = status;
    r->report->stage = (uint32_t)r->index;
    r->report->pong = r->pong_due;
    r->report->totals = *r->totals;
    if (kind == NDL_REPORT_FAULT)
        strncpy(r->report->text, ndl_status_message(), NDL_WIRE_TEXT - 1);
    r->pong_due = 0;
    send(r, r->report, sizeof *r->report);
}

/* Layers can be read between batches only. */
static bool steps_are_due(const ndl_stage_reports *r)
{
    const ndl_stage_clock *c = r->clock;
    if (!c->keeps || c->n == 0 || c->state == NDL_STAGE_BUSY) return false;
    return r->done_due || c->n >= NDL_WIRE_STEPS / 2 ||
           ndl_comm_now(r->comm) - r->last_records > RECORDS_EVERY_SEC;
}

static bool accounts_are_due(const ndl_stage_reports *r)
{
    const int n = r->sessions->n_closed;
    return r->clock->keeps && n > 0 &&
           (r->done_due || n >= NDL_WIRE_ACCOUNTS / 2);
}

/* A fault first, the records before the totals, all before a mere sign of
 * life.  After the totals nothing is awaited, and what is sent all the same
 * would meet the next job. */
void ndl_stage_reports_send(ndl_stage_reports *r, ndl_status status,
                            bool may_end)
{
    const double now = ndl_comm_now(r->comm);
    if (r->is_busy) return;
    if (r->fault_due) {
        r->fault_due = false;
        report(r, NDL_REPORT_FAULT, status);
    } else if (steps_are_due(r)) {
        r->last_records = now;
        send(r, r->records,
             ndl_stage_clock_write(r->clock, r->index, r->records));
    } else if (accounts_are_due(r)) {
        send(r, r->records,
             ndl_stage_sessions_write(r->sessions, r->index, r->records));
    } else if (r->done_due && may_end) {
        r->done_due = false;
        r->is_over = true;
        report(r, NDL_REPORT_DONE, status);
    } else if (!r->is_over &&
               (r->pong_due > 0 || now - r->last_alive > ALIVE_EVERY_SEC)) {
        report(r, NDL_REPORT_ALIVE, status);
    }
}
